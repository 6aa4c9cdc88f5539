//! What a test of streams runs on, and how it is told of faults.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ferrevent::sys::fd::OwnedFd;
use ferrevent::sys::{Call, Fault, FaultPlan};
use ferrevent::{Address, BackendKind, Context, EventLoop, Handle, Handler, Pool, Remote};

use super::ledger::{Ledger, Owned, Watched, Watcher};
use super::{PATIENCE, Works};

/// A loop that is turned, or a pool that works by itself, with its ledger.
pub(crate) struct Rig {
    host: Host,
    ledger: Arc<Ledger>,
    plan: Option<Arc<FaultPlan>>,
    /// One call fails, and the outcome is not the usual one.
    tortured: bool,
    streams: usize,
}

pub(crate) enum Host {
    Loop(Box<EventLoop>),
    Pool(RunningPool),
}

/// The end of a scenario in which a fault was told by an error: whatever
/// would have come after it is not to be expected any more.
#[derive(Debug)]
pub(crate) struct Told;

pub(crate) type Outcome<T = ()> = Result<T, Told>;

/// A pool at work on a thread of its own.
pub(crate) struct RunningPool {
    pool: Arc<Pool>,
    remote: Remote,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl RunningPool {
    pub(crate) fn new(pool: Pool, ledger: &Arc<Ledger>) -> Self {
        let pool = Arc::new(pool);
        let notes = Arc::clone(ledger);
        pool.on_trouble(move |trouble| notes.trouble(trouble));
        // Something is always registered, so that it goes on.
        pool.context().trigger(|_| ()).unwrap();
        let mut running = Self {
            remote: pool.context().remote(),
            pool,
            ending: Arc::default(),
            thread: None,
        };
        running.start(ledger);
        running
    }

    fn start(&mut self, ledger: &Arc<Ledger>) {
        self.ending.store(false, Ordering::SeqCst);
        let (pool, ending) = (Arc::clone(&self.pool), Arc::clone(&self.ending));
        let notes = Arc::clone(ledger);
        self.thread = Some(thread::spawn(move || {
            // A wait that fails ends a run; the next one goes on.
            while let Err(error) = pool.run() {
                notes.note(format!("the pool's wait failed: {error}"));
                if ending.load(Ordering::SeqCst) {
                    break;
                }
            }
        }));
    }

    /// Ends the threads; the pool can be started again.
    fn stop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        assert!(self.remote.stop());
        let ended = self.thread.take().unwrap().join();
        if !thread::panicking() {
            ended.unwrap();
        }
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }
}

impl Drop for RunningPool {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Rig {
    pub(crate) fn new(mut host: Host, ledger: Arc<Ledger>, plan: Option<Arc<FaultPlan>>) -> Self {
        if let Host::Loop(events) = &mut host {
            let notes = Arc::clone(&ledger);
            events.on_trouble(move |trouble| notes.trouble(trouble));
        }
        Self {
            host,
            ledger,
            plan,
            tortured: false,
            streams: 0,
        }
    }

    /// The same, where one call fails: less is sent, and a test that meets
    /// the error ends there.
    pub(crate) fn tortured(mut self) -> Self {
        self.tortured = true;
        self
    }

    pub(crate) fn pool(&self) -> Option<&Pool> {
        match &self.host {
            Host::Loop(_) => None,
            Host::Pool(running) => Some(running.pool()),
        }
    }

    pub(crate) fn is_pool(&self) -> bool {
        self.pool().is_some()
    }

    pub(crate) fn backend_kind(&self) -> BackendKind {
        match &self.host {
            Host::Loop(events) => events.backend_kind(),
            Host::Pool(running) => running.pool.backend_kind(),
        }
    }

    pub(crate) fn is_tortured(&self) -> bool {
        self.tortured
    }

    /// So much, or a small share of it when the test runs very often.
    pub(crate) fn much(&self, len: usize) -> usize {
        if self.tortured { len / 25 } else { len }
    }

    /// Forgets what was told. A pool's threads end and begin anew, so that
    /// they give back what they keep for themselves.
    pub(crate) fn forget(&mut self) {
        if let Host::Pool(running) = &mut self.host {
            running.stop();
            running.start(&self.ledger);
        }
        self.ledger.forget();
    }

    /// What was told so far.
    pub(crate) fn ledger_dump(&self) -> String {
        self.ledger.dump()
    }

    /// For handlers that are made in callbacks.
    pub(crate) fn watcher(&self) -> Watcher {
        Watcher(Arc::clone(&self.ledger))
    }

    /// Lets go of everything: no handler may be left, and none have been
    /// treated wrongly.
    pub(crate) fn close(self) {
        let Self { host, ledger, .. } = self;
        drop(host);
        ledger.close();
    }

    /// Listens, and answers the address that a client connects to.
    pub(crate) fn listen<H: Handler + Send + 'static>(
        &mut self,
        address: &Address,
        mut factory: impl FnMut() -> H + Send + 'static,
    ) -> Outcome<Address> {
        let (ledger, mut count) = (Arc::clone(&self.ledger), 0);
        let made = self.context().listen(address, move || {
            count += 1;
            let owned = Owned::default();
            owned.by_a_stream();
            Watched::new(format!("accepted {count}"), factory(), &ledger, owned)
        });
        let listener = self.met(&format!("listen on {address}"), made)?;
        Ok(match self.context().listener_addr(listener) {
            Some(bound) => Address::Socket(bound),
            None => address.clone(),
        })
    }

    pub(crate) fn connect(
        &mut self,
        address: Address,
        handler: impl Handler + Send + 'static,
    ) -> Outcome<Handle> {
        let (handler, owned) = self.watched("connected", handler);
        let made = self.context().connect(&address, handler);
        owned.known_by(&made);
        self.met(&format!("connect to {address}"), made)
    }

    pub(crate) fn adopt(
        &mut self,
        fd: OwnedFd,
        handler: impl Handler + Send + 'static,
    ) -> Outcome<Handle> {
        let (handler, owned) = self.watched("adopted", handler);
        let made = self.context().adopt(fd, handler);
        owned.known_by(&made);
        self.met("adopt", made)
    }

    pub(crate) fn pair(
        &mut self,
        one: impl Handler + Send + 'static,
        other: impl Handler + Send + 'static,
    ) -> Outcome<(Handle, Handle)> {
        let (one, one_owned) = self.watched("one of a pair", one);
        let (other, other_owned) = self.watched("the other of a pair", other);
        let made = self.context().pair(one, other);
        one_owned.known_by(&made);
        other_owned.known_by(&made);
        self.met("pair", made)
    }

    /// Lets it work until a condition holds, or a fault that was told by an
    /// error makes it idle to wait.
    pub(crate) fn until(&mut self, what: &str, mut done: impl FnMut() -> bool) -> Outcome {
        let end = Instant::now() + PATIENCE;
        while !done() {
            self.go_on()?;
            assert!(
                Instant::now() < end,
                "{what} did not come about, {}\n{}\n{}",
                self.blow(),
                self.ledger.dump(),
                self.dump()
            );
            self.run_for(Duration::from_micros(500))?;
        }
        Ok(())
    }

    pub(crate) fn run_for(&mut self, time: Duration) -> Outcome {
        let outcome = Works::run_for(self, time);
        if let Err(error) = outcome {
            self.expect_fault("a wait", &error);
            // It can be turned again, and nothing may have been lost.
            self.ledger.note(format!("a wait failed: {error}"));
        }
        Ok(())
    }

    /// Demands the usual outcome, unless a fault is told by an error.
    pub(crate) fn demand(&mut self, holds: bool, what: &str) -> Outcome {
        if holds {
            return Ok(());
        }
        // The telling may be on its way.
        let end = Instant::now() + PATIENCE;
        while self.tortured && self.was_struck() && Instant::now() < end {
            self.go_on()?;
            self.run_for(Duration::from_micros(500))?;
        }
        panic!(
            "not so: {what}, {}\n{}\n{}",
            self.blow(),
            self.ledger.dump(),
            self.dump()
        );
    }

    /// Demands that all that was sent has come; in any case what came is the
    /// beginning of it.
    pub(crate) fn demand_bytes(&mut self, came: &[u8], sent: &[u8]) -> Outcome {
        assert!(
            sent.starts_with(came),
            "byte {} of {} that came is wrong, {}\n{}",
            came.iter().zip(sent).take_while(|(a, b)| a == b).count(),
            came.len(),
            self.blow(),
            self.ledger.dump()
        );
        let text = format!("all {} bytes came, not {}", sent.len(), came.len());
        self.demand(came.len() == sent.len(), &text)
    }

    /// What was made, or the end of the scenario if a fault forbade it.
    pub(crate) fn met<T>(&self, what: &str, outcome: io::Result<T>) -> Outcome<T> {
        outcome.map_err(|error| {
            self.expect_fault(what, &error);
            self.ledger.fail(format!("{what} failed: {error}"));
            Told
        })
    }

    fn go_on(&self) -> Outcome {
        if self.tortured && self.was_struck() && self.ledger.has_failed() {
            return Err(Told);
        }
        Ok(())
    }

    fn was_struck(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.struck() > 0)
    }

    fn expect_fault(&self, what: &str, error: &io::Error) {
        assert!(
            self.tortured && self.was_struck(),
            "{what} failed: {error}, {}",
            self.blow()
        );
    }

    /// The call that was struck last, in words.
    fn blow(&self) -> String {
        match self.plan.as_ref().and_then(|plan| plan.last()) {
            Some((call, fault)) => struck(call, fault),
            None => "no call was struck".to_owned(),
        }
    }

    fn watched<H: Handler>(&mut self, kind: &str, handler: H) -> (Watched<H>, Owned) {
        self.streams += 1;
        let (name, owned) = (format!("{kind} {}", self.streams), Owned::default());
        let handler = Watched::new(name, handler, &self.ledger, owned.clone());
        (handler, owned)
    }
}

impl Works for Rig {
    fn context(&mut self) -> Context<'_> {
        match &mut self.host {
            Host::Loop(events) => events.context(),
            Host::Pool(running) => running.pool.context(),
        }
    }

    fn run_for(&mut self, time: Duration) -> io::Result<()> {
        match &mut self.host {
            Host::Loop(events) => events.run_for(time),
            Host::Pool(_) => {
                thread::sleep(time);
                Ok(())
            }
        }
    }

    fn dump(&mut self) -> String {
        match &mut self.host {
            Host::Loop(events) => events.dump(),
            Host::Pool(running) => running.pool.dump(),
        }
    }
}

/// The last call that was struck, in words.
pub(crate) fn struck(call: Call, fault: Fault) -> String {
    match fault {
        Fault::Errno(errno) => {
            let error = io::Error::from_raw_os_error(errno);
            format!("the last call struck: {call:?} by {error}")
        }
        Fault::Short(len) => format!("the last call struck: {call:?}, cut to {len} bytes"),
    }
}

impl fmt::Debug for Rig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.backend_kind())
    }
}
