//! What the tests share: the matrix of backends, and handlers that record.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use ferrevent::{Address, BackendKind, Builder, CloseReason, EventLoop, Handler, Stream, Timeout};

/// No test takes this long unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a test on every backend; a failure names the one it happened on.
pub(crate) fn on_every_backend(test: impl Fn(&mut EventLoop)) {
    // The simulated kernel does something else with every seed.
    let more = (2..10).map(BackendKind::Simulated);
    for kind in BackendKind::ALL.iter().copied().chain(more) {
        eprintln!("-- on {kind}");
        let mut events = Builder::new().backend(kind).build().unwrap();
        test(&mut events);
    }
}

/// The two transports a stream test runs over.
pub(crate) fn addresses(name: &str) -> [Address; 2] {
    let path = std::env::temp_dir().join(format!("ferrevent-{name}-{}", std::process::id()));
    ["127.0.0.1:0".parse().unwrap(), Address::Unix(path)]
}

/// Turns the loop until a condition holds.
pub(crate) fn until(events: &mut EventLoop, what: &str, mut done: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + PATIENCE;
    while !done() {
        assert!(std::time::Instant::now() < end, "{what} did not come about");
        events.run_for(Duration::from_millis(2)).unwrap();
    }
}

/// Listens, and answers the address that a client connects to.
pub(crate) fn listen<H: Handler + 'static>(
    events: &mut EventLoop,
    address: &Address,
    factory: impl FnMut() -> H + 'static,
) -> Address {
    let listener = events.listen(address.clone(), factory).unwrap();
    match events.context().listener_addr(listener) {
        Some(bound) => Address::Socket(bound),
        None => address.clone(),
    }
}

/// What happened to one stream, in order.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) log: Vec<&'static str>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) reason: Option<CloseReason>,
}

/// A record that a handler and its test share.
pub(crate) type Shared = Rc<RefCell<Record>>;

type Action = Box<dyn FnMut(&mut Stream<'_>, &'static str)>;

/// A handler that records everything, reads everything, and does something
/// more at each callback.
pub(crate) struct Recorder {
    pub(crate) record: Shared,
    pub(crate) action: Action,
}

impl Recorder {
    pub(crate) fn new() -> (Self, Shared) {
        Self::with(|_, _| ())
    }

    pub(crate) fn with(
        action: impl FnMut(&mut Stream<'_>, &'static str) + 'static,
    ) -> (Self, Shared) {
        let record = Shared::default();
        let recorder = Self {
            record: Rc::clone(&record),
            action: Box::new(action),
        };
        (recorder, record)
    }

    fn tell(&mut self, stream: &mut Stream<'_>, what: &'static str) {
        {
            let mut record = self.record.borrow_mut();
            assert!(record.reason.is_none(), "{what} after closed");
            if record.log.last() != Some(&what) || what == "opened" || what == "ended" {
                record.log.push(what);
            }
        }
        (self.action)(stream, what);
    }
}

impl Handler for Recorder {
    fn opened(&mut self, stream: &mut Stream<'_>) {
        self.tell(stream, "opened");
    }

    fn readable(&mut self, stream: &mut Stream<'_>) {
        let len = stream.input().len();
        let bytes = stream.input().take_vec(len).unwrap();
        self.record.borrow_mut().bytes.extend(bytes);
        self.tell(stream, "readable");
    }

    fn writable(&mut self, stream: &mut Stream<'_>) {
        (self.action)(stream, "writable");
    }

    fn ended(&mut self, stream: &mut Stream<'_>) {
        self.tell(stream, "ended");
        stream.finish();
    }

    fn timed_out(&mut self, stream: &mut Stream<'_>, which: Timeout) {
        self.tell(stream, "timed out");
        stream.close_because(CloseReason::TimedOut(which));
    }

    fn closed(&mut self, stream: &mut Stream<'_>, reason: CloseReason) {
        self.tell(stream, "closed");
        self.record.borrow_mut().reason = Some(reason);
    }
}

/// Bytes that differ everywhere, from a seed.
pub(crate) fn random_bytes(len: usize, mut seed: u64) -> Vec<u8> {
    seed |= 1;
    (0..len)
        .map(|_| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed >> 32) as u8
        })
        .collect()
}
