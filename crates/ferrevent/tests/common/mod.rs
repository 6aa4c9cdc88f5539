//! What the tests share: the matrix of backends, and handlers that record.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ferrevent::{
    Address, BackendKind, Builder, CloseReason, Context, EventLoop, Handle, Handler, Pool, Remote,
    Stream, Timeout,
};

/// No test takes this long unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What a test of streams runs on: a loop that it turns, or a pool that
/// works by itself.
pub(crate) enum Rig {
    Loop(Box<EventLoop>),
    Pool(RunningPool),
}

/// A pool at work on a thread of its own.
pub(crate) struct RunningPool {
    pool: Arc<Pool>,
    remote: Remote,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl RunningPool {
    pub(crate) fn new(pool: Pool) -> Self {
        let pool = Arc::new(pool);
        // Something is always registered, so that it goes on.
        pool.context().trigger(|_| ()).unwrap();
        let remote = pool.context().remote();
        let running = Arc::clone(&pool);
        Self {
            pool,
            remote,
            thread: Some(thread::spawn(move || running.run())),
        }
    }
}

impl RunningPool {
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }
}

impl Drop for RunningPool {
    fn drop(&mut self) {
        assert!(self.remote.stop());
        let ended = self.thread.take().unwrap().join();
        if !thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

impl Rig {
    pub(crate) fn is_pool(&self) -> bool {
        matches!(self, Rig::Pool(_))
    }

    pub(crate) fn backend_kind(&self) -> BackendKind {
        match self {
            Rig::Loop(events) => events.backend_kind(),
            Rig::Pool(running) => running.pool.backend_kind(),
        }
    }
}

/// A loop or a rig: what tests are written for.
pub(crate) trait Works {
    fn context(&mut self) -> Context<'_>;
    /// Lets it work for a while.
    fn run_for(&mut self, time: Duration) -> std::io::Result<()>;
    fn dump(&mut self) -> String;

    fn connect(
        &mut self,
        address: Address,
        handler: impl Handler + Send + 'static,
    ) -> std::io::Result<Handle> {
        self.context().connect(&address, handler)
    }
}

impl Works for EventLoop {
    fn context(&mut self) -> Context<'_> {
        EventLoop::context(self)
    }

    fn run_for(&mut self, time: Duration) -> std::io::Result<()> {
        EventLoop::run_for(self, time)
    }

    fn dump(&mut self) -> String {
        EventLoop::dump(self)
    }
}

impl Works for Rig {
    fn context(&mut self) -> Context<'_> {
        match self {
            Rig::Loop(events) => events.context(),
            Rig::Pool(running) => running.pool.context(),
        }
    }

    fn run_for(&mut self, time: Duration) -> std::io::Result<()> {
        match self {
            Rig::Loop(events) => events.run_for(time),
            Rig::Pool(_) => {
                thread::sleep(time);
                Ok(())
            }
        }
    }

    fn dump(&mut self) -> String {
        match self {
            Rig::Loop(events) => events.dump(),
            Rig::Pool(running) => running.pool.dump(),
        }
    }
}

/// Runs a test on a loop on every backend.
pub(crate) fn on_every_loop(test: impl Fn(&mut EventLoop)) {
    for kind in BackendKind::ALL {
        eprintln!("-- loop on {kind}");
        test(&mut Builder::new().backend(*kind).build().unwrap());
    }
}

/// Runs a test on every backend, on a loop and on pools of one, two and four
/// workers; a failure names the one it happened on.
pub(crate) fn on_every_backend(test: impl Fn(&mut Rig)) {
    // The simulated kernel does something else with every seed.
    let more = (2..10).map(BackendKind::Simulated);
    for kind in BackendKind::ALL.iter().copied().chain(more) {
        eprintln!("-- loop on {kind}");
        let builder = Builder::new().backend(kind);
        test(&mut Rig::Loop(Box::new(builder.clone().build().unwrap())));
        let seeded = matches!(kind, BackendKind::Simulated(2..));
        for workers in if seeded { &[3][..] } else { &[1, 2, 4] } {
            eprintln!("-- pool of {workers} on {kind}");
            let pool = builder.clone().build_pool(*workers).unwrap();
            test(&mut Rig::Pool(RunningPool::new(pool)));
        }
    }
}

/// The two transports a stream test runs over.
pub(crate) fn addresses(name: &str) -> [Address; 2] {
    let path = std::env::temp_dir().join(format!("ferrevent-{name}-{}", std::process::id()));
    ["127.0.0.1:0".parse().unwrap(), Address::Unix(path)]
}

/// Lets the rig work until a condition holds.
pub(crate) fn until(rig: &mut impl Works, what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(
            Instant::now() < end,
            "{what} did not come about\n{}",
            rig.dump()
        );
        rig.run_for(Duration::from_micros(500)).unwrap();
    }
}

/// Listens, and answers the address that a client connects to.
pub(crate) fn listen<H: Handler + Send + 'static>(
    rig: &mut impl Works,
    address: &Address,
    factory: impl FnMut() -> H + Send + 'static,
) -> Address {
    let listener = rig.context().listen(address, factory).unwrap();
    match rig.context().listener_addr(listener) {
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
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared(Arc<Mutex<Record>>);

impl Shared {
    pub(crate) fn see(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Action = Box<dyn FnMut(&mut Stream<'_>, &'static str) + Send>;

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
        action: impl FnMut(&mut Stream<'_>, &'static str) + Send + 'static,
    ) -> (Self, Shared) {
        let record = Shared::default();
        let recorder = Self {
            record: record.clone(),
            action: Box::new(action),
        };
        (recorder, record)
    }

    fn tell(&mut self, stream: &mut Stream<'_>, what: &'static str) {
        {
            let mut record = self.record.see();
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
        self.record.see().bytes.extend(bytes);
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
        self.record.see().reason = Some(reason);
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
