//! The loop: one thread, its handlers, and everything they own.

mod run;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrevent_core::timer::Tick;
use ferrevent_os::sys::{Clock, FaultPlan, Sys};
use ferrevent_os::{Backend, BackendKind};

use crate::Address;
use crate::handle::Handle;
use crate::handler::Handler;
use crate::host::{
    Context, Host, Inner, ListenerId, Local, Mode, OneThread, Stop, TimerId, Trouble,
};
use crate::mailbox::Message;
use crate::pool::Pool;

/// An event loop. It runs on the thread that turns it; its handlers need not
/// be `Send`. Other threads reach it through [`Handle`](crate::Handle)s and
/// [`Trigger`](crate::Trigger)s.
///
/// ```
/// # use std::time::Duration;
/// # use ferrevent::{EventLoop};
/// # let mut events = EventLoop::new()?;
/// events.timer(Duration::from_millis(1), |_| println!("tick"))?;
/// // Until nothing is registered any more.
/// events.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct EventLoop {
    inner: Inner<OneThread>,
    backend: Arc<Backend>,
    before_wait: Vec<Hook>,
    after_wait: Vec<Hook>,
    messages: Vec<Message>,
    /// How often to look for more mail before sleeping.
    look_out: u32,
}

type Hook = Box<dyn FnMut(&mut Context<'_>)>;

/// How a loop is made.
///
/// ```
/// use ferrevent::{BackendKind, Builder};
///
/// let events = Builder::new().backend(BackendKind::Poll).build()?;
/// assert_eq!(events.backend_kind(), BackendKind::Poll);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Builder {
    backend: Option<BackendKind>,
    clock: Option<Clock>,
    faults: Option<Arc<FaultPlan>>,
    priorities: u8,
}

impl Builder {
    /// The best backend, one priority, the real clock.
    ///
    /// ```
    /// let events = ferrevent::Builder::new().build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Chooses the backend. Without this the environment variable
    /// `FERREVENT_BACKEND` does, and without that the system.
    ///
    /// ```
    /// use ferrevent::{BackendKind, Builder};
    /// let events = Builder::new().backend(BackendKind::Poll).build()?;
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn backend(mut self, kind: BackendKind) -> Self {
        self.backend = Some(kind);
        self
    }

    /// How many priorities there are; 1 by default. The best is 0.
    ///
    /// ```
    /// let events = ferrevent::Builder::new().priorities(3).build()?;
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn priorities(mut self, count: u8) -> Self {
        self.priorities = count;
        self
    }

    /// Uses another clock: a simulated one, in tests.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ferrevent::{Builder, sys::Clock};
    ///
    /// let mut events = Builder::new().clock(Clock::simulated()).build()?;
    /// // An hour passes at once.
    /// events.run_for(Duration::from_secs(3600))?;
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Injects faults into system calls, in tests.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use ferrevent::{Builder, sys::{Call, Fault, FaultPlan, Rule}};
    ///
    /// // The third receive is interrupted (4 is EINTR).
    /// let plan = FaultPlan::new(1, vec![Rule::nth(Call::Receive, 3, Fault::Errno(4))]);
    /// let events = Builder::new().faults(Arc::new(plan)).build()?;
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn faults(mut self, plan: Arc<FaultPlan>) -> Self {
        self.faults = Some(plan);
        self
    }

    /// Makes the loop.
    ///
    /// # Errors
    /// `InvalidInput` when `FERREVENT_BACKEND` names no backend, else those
    /// of opening one.
    ///
    /// ```
    /// let events = ferrevent::Builder::new().build()?;
    /// assert!(events.is_empty());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn build(self) -> io::Result<EventLoop> {
        let (inner, backend) = self.open(BackendKind::default(), Backend::new)?;
        Ok(EventLoop {
            inner,
            backend,
            before_wait: Vec::new(),
            after_wait: Vec::new(),
            messages: Vec::new(),
            look_out: run::LONG_LOOK,
        })
    }

    /// Makes a pool of this many workers, at least one.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    ///
    /// ```
    /// use ferrevent::{BackendKind, Builder};
    /// let pool = Builder::new().backend(BackendKind::Poll).build_pool(2)?;
    /// assert_eq!(pool.workers(), 2);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn build_pool(self, workers: usize) -> io::Result<Pool> {
        let (inner, backend) = self.open(BackendKind::default_shared(), Backend::new_shared)?;
        Ok(Pool::new_with(inner, backend, workers))
    }

    fn open<M: Mode>(
        self,
        default: BackendKind,
        open: fn(BackendKind, Sys) -> io::Result<Backend>,
    ) -> io::Result<(Inner<M>, Arc<Backend>)> {
        let kind = match self.backend {
            Some(kind) => kind,
            None => backend_from_environment()?.unwrap_or(default),
        };
        let sys = Sys::new(self.clock.unwrap_or_else(Clock::real), self.faults);
        let backend = Arc::new(open(kind, sys)?);
        let inner = Inner::new(Arc::clone(&backend), self.priorities.max(1));
        Ok((inner, backend))
    }
}

fn backend_from_environment() -> io::Result<Option<BackendKind>> {
    match std::env::var("FERREVENT_BACKEND") {
        Ok(name) if !name.is_empty() => name.parse().map(Some).map_err(|error| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("FERREVENT_BACKEND: {error}"),
            )
        }),
        _ => Ok(None),
    }
}

impl EventLoop {
    /// A loop on the backend that `FERREVENT_BACKEND` names, or the best.
    ///
    /// # Errors
    /// As [`Builder::build`].
    ///
    /// ```
    /// let events = ferrevent::EventLoop::new()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new() -> io::Result<Self> {
        Builder::new().build()
    }

    /// Which backend it runs on.
    ///
    /// ```
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// println!("on {}", events.backend_kind());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn backend_kind(&self) -> BackendKind {
        self.inner.kind
    }

    /// Runs until it is stopped, or nothing is registered any more.
    ///
    /// # Errors
    /// Those of the backend's wait.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// events.timer(Duration::from_millis(1), |context| context.stop(true))?;
    /// events.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run(&mut self) -> io::Result<()> {
        while self.go_on() {
            self.turn(None)?;
        }
        Ok(())
    }

    /// Waits once until something happens, and does it.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// events.timer(Duration::from_millis(1), |_| ())?;
    /// events.run_once()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run_once(&mut self) -> io::Result<()> {
        if self.go_on() {
            self.turn(None)?;
        }
        Ok(())
    }

    /// Does what can be done now, without waiting.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// ```
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// events.poll()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn poll(&mut self) -> io::Result<()> {
        self.inner.stop = Stop::No;
        self.turn(Some(Duration::ZERO))
    }

    /// Runs until this moment, or until it is stopped. Nothing need be
    /// registered.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// ```
    /// # use std::time::{Duration, Instant};
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// events.run_until(Instant::now() + Duration::from_millis(1))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run_until(&mut self, moment: Instant) -> io::Result<()> {
        let until = self.backend.sys().clock().tick_of(moment);
        self.run_until_tick(until)
    }

    /// Runs for so long on its own clock, or until it is stopped.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// events.run_for(Duration::from_millis(1))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run_for(&mut self, time: Duration) -> io::Result<()> {
        let until = self.backend.sys().clock().now() + time;
        self.run_until_tick(until)
    }

    fn run_until_tick(&mut self, until: Tick) -> io::Result<()> {
        self.inner.stop = Stop::No;
        while self.inner.stop == Stop::No {
            let now = self.backend.sys().clock().now();
            if now >= until {
                // Whatever is due at that very moment belongs to it.
                return self.turn(Some(Duration::ZERO));
            }
            self.turn(Some(until.since(now)))?;
        }
        Ok(())
    }

    /// Works on the loop from outside its callbacks, as they do from inside.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// let listener = events.context().listen(&"127.0.0.1:0".parse()?, || {
    ///     |stream: &mut Stream<'_>| stream.echo()
    /// })?;
    /// println!("listening on {:?}", events.context().listener_addr(listener));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn context(&mut self) -> Context<'_> {
        let now = self.inner.engine.now();
        Context::new(Host::Loop(&mut self.inner), now)
    }

    /// What can be done with the loop, `Send` or not.
    ///
    /// ```
    /// # use std::{rc::Rc, time::Duration};
    /// # use ferrevent::EventLoop;
    /// # let mut events = EventLoop::new()?;
    /// let ours = Rc::new("not Send");
    /// events.local().timer(Duration::from_millis(1), move |_| println!("{ours}"))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn local(&mut self) -> Local<'_> {
        Local::new(&mut self.inner)
    }

    /// Has trouble told that concerns no stream: without this it is dropped.
    ///
    /// ```
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// events.on_trouble(|trouble| eprintln!("{trouble:?}"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_trouble(&mut self, hook: impl Fn(&Trouble) + 'static) {
        if let Some(trouble) = Trouble::of_backend(&self.backend) {
            hook(&trouble);
        }
        self.inner.trouble = Some(Arc::new(hook));
    }

    /// Calls this before each wait.
    ///
    /// ```
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// events.before_wait(|context| println!("about to wait at {:?}", context.now()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn before_wait(&mut self, hook: impl FnMut(&mut Context<'_>) + 'static) {
        self.before_wait.push(Box::new(hook));
    }

    /// Calls this after each wait, before anything that happened is told.
    ///
    /// ```
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// events.after_wait(|context| println!("awake at {:?}", context.now()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn after_wait(&mut self, hook: impl FnMut(&mut Context<'_>) + 'static) {
        self.after_wait.push(Box::new(hook));
    }

    /// Makes the kernel's half anew, in the child of a fork. Both processes
    /// then go on with the same streams, so one of them should close its own.
    ///
    /// # Errors
    /// Those of opening a backend.
    ///
    /// ```
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// // In the child:
    /// events.after_fork()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn after_fork(&mut self) -> io::Result<()> {
        let sys = self.backend.sys().clone();
        self.backend = Arc::new(Backend::new(self.inner.kind, sys)?);
        self.inner.use_backend(Arc::clone(&self.backend))
    }

    /// What is registered, in words, for a person to read.
    ///
    /// ```
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// print!("{}", events.dump());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn dump(&mut self) -> String {
        let mut text = format!("event loop on {}\n", self.inner.kind);
        text.push_str(&self.inner.engine.dump());
        text
    }

    /// How many streams, listeners, timers and watches there are.
    ///
    /// ```
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// assert_eq!(events.len(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn len(&self) -> usize {
        self.inner.engine.len()
    }

    /// Whether nothing is registered.
    ///
    /// ```
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// assert!(events.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.inner.engine.is_empty()
    }

    /// What tasks share; made when it is first asked for.
    #[cfg(feature = "async")]
    pub(crate) fn hub(&mut self) -> Arc<crate::asynch::Hub> {
        self.inner.hub(false)
    }

    /// A turn that waits for nothing if a future is to be polled; false when
    /// somebody has stopped the loop.
    #[cfg(feature = "async")]
    pub(crate) fn turn_for_tasks(&mut self, at_once: bool) -> io::Result<bool> {
        if self.inner.stop != Stop::No {
            self.inner.stop = Stop::No;
            return Ok(false);
        }
        self.turn(at_once.then_some(Duration::ZERO))?;
        Ok(true)
    }

    fn go_on(&mut self) -> bool {
        if self.inner.stop != Stop::No {
            self.inner.stop = Stop::No;
            return false;
        }
        !self.inner.is_idle()
    }
}

/// The same, without the detour over [`EventLoop::local`].
impl EventLoop {
    /// As [`Local::listen`].
    ///
    /// # Errors
    /// As there.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// events.listen("127.0.0.1:0".parse()?, || |stream: &mut Stream<'_>| stream.echo())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn listen<H: Handler + 'static>(
        &mut self,
        address: Address,
        factory: impl FnMut() -> H + 'static,
    ) -> io::Result<ListenerId> {
        self.local().listen(&address, factory)
    }

    /// As [`Local::connect`].
    ///
    /// # Errors
    /// As there.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// let handle = events.connect("127.0.0.1:7".parse()?, |stream: &mut Stream<'_>| {
    ///     println!("{} bytes", stream.input().len());
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn connect(
        &mut self,
        address: Address,
        handler: impl Handler + 'static,
    ) -> io::Result<Handle> {
        self.local().connect(&address, handler)
    }

    /// As [`Local::timer`].
    ///
    /// # Errors
    /// As there.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// events.timer(Duration::from_millis(1), |_| println!("now"))?;
    /// events.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn timer(
        &mut self,
        after: Duration,
        callback: impl FnMut(&mut Context<'_>) + 'static,
    ) -> io::Result<TimerId> {
        self.local().timer(after, callback)
    }
}

impl Drop for EventLoop {
    /// Closes every stream; their handlers are told.
    fn drop(&mut self) {
        #[cfg(feature = "async")]
        self.inner.end_tasks();
        drop(self.inner.mailbox.close());
        for token in self.inner.engine.streams() {
            self.end_stream(token);
        }
    }
}

impl std::fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventLoop")
            .field("backend", &self.inner.kind)
            .field("registered", &self.len())
            .finish_non_exhaustive()
    }
}
