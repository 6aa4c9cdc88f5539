//! What the tests share: the matrix of backends, and handlers that record.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ferrevent::sys::{Call, Fault, FaultPlan, Rule};
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
    thread: Option<JoinHandle<()>>,
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
            thread: Some(thread::spawn(move || {
                // A wait that fails ends a run; the next one goes on.
                while let Err(error) = running.run() {
                    eprintln!("the pool's wait failed: {error}");
                }
            })),
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
            ended.unwrap();
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

/// One column of the matrix: what a test runs on.
#[derive(Clone, Copy)]
struct Column {
    kind: BackendKind,
    /// A loop, or a pool of so many workers.
    workers: Option<usize>,
    /// Faults that nobody above the seam may notice, from this seed.
    storm: Option<u64>,
}

/// Every backend, with a loop and with pools of one, two and four workers;
/// kernels in a storm; and the simulated kernel, which does something else
/// with every seed. `FERREVENT_STORM` gives the storms another seed.
fn columns() -> Vec<Column> {
    let mut columns = Vec::new();
    let storm = std::env::var("FERREVENT_STORM").ok();
    let storm = storm
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(20_091_124);
    for kind in BackendKind::ALL.iter().copied() {
        for workers in [None, Some(1), Some(2), Some(4)] {
            columns.push(Column {
                kind,
                workers,
                storm: None,
            });
        }
        for workers in [None, Some(3)] {
            columns.push(Column {
                kind,
                workers,
                storm: Some(storm),
            });
        }
    }
    for seed in 2..10 {
        for workers in [None, Some(3)] {
            columns.push(Column {
                kind: BackendKind::Simulated(seed),
                workers,
                storm: None,
            });
        }
    }
    columns
}

impl Column {
    fn rig(self) -> Rig {
        let mut builder = Builder::new().backend(self.kind);
        if let Some(seed) = self.storm {
            builder = builder.faults(Arc::new(FaultPlan::new(seed, storm())));
        }
        match self.workers {
            None => Rig::Loop(Box::new(builder.build().unwrap())),
            Some(workers) => {
                let pool = builder.build_pool(workers).unwrap();
                Rig::Pool(RunningPool::new(pool))
            }
        }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.workers {
            None => write!(f, "loop on {}", self.kind)?,
            Some(workers) => write!(f, "pool of {workers} on {}", self.kind)?,
        }
        match self.storm {
            Some(seed) => write!(f, ", FERREVENT_STORM={seed}"),
            None => Ok(()),
        }
    }
}

/// Interruptions, calls that are not ready after all, and short ones.
pub(crate) fn storm() -> Vec<Rule> {
    const EINTR: i32 = 4;
    const EAGAIN: i32 = 11;
    vec![
        Rule::often(Call::Receive, 200, Fault::Errno(EINTR)),
        Rule::often(Call::Receive, 200, Fault::Errno(EAGAIN)),
        Rule::often(Call::Receive, 300, Fault::Short(100)),
        Rule::often(Call::Send, 200, Fault::Errno(EINTR)),
        Rule::often(Call::Send, 200, Fault::Errno(EAGAIN)),
        Rule::often(Call::Send, 300, Fault::Short(1000)),
        Rule::often(Call::Accept, 300, Fault::Errno(EAGAIN)),
        Rule::often(Call::Accept, 300, Fault::Errno(EINTR)),
        Rule::often(Call::Wait, 200, Fault::Errno(EINTR)),
    ]
}

/// Runs a test in every column; a failure names the one it happened in.
pub(crate) fn on_every_backend(test: impl Fn(&mut Rig)) {
    for column in columns() {
        eprintln!("-- {column}");
        test(&mut column.rig());
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
