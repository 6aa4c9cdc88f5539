//! What callbacks, and those who own a loop, can do with it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ferrevent_core::timer::Tick;
use ferrevent_os::socket::{self, ListenOptions};
use ferrevent_os::{PortKind, Token};

use super::{DEFAULT_PRIORITY, EventLoop, Inner, Owned, Stop, Task};
use crate::address::{Address, resolve};
use crate::engine::{Priority, Registration, Target};
use crate::handle::{Handle, Shared};
use crate::handler::Handler;
use crate::mailbox::{Mailbox, Message};
use crate::{Readiness, StreamConfig};

/// The loop, for the length of one callback.
///
/// ```
/// # use std::time::Duration;
/// # use ferrevent::{EventLoop};
/// # let mut events = EventLoop::new()?;
/// events.timer(Duration::from_millis(1), |context| {
///     println!("it is {:?}", context.now());
///     context.stop(true);
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Context<'a> {
    pub(super) inner: &'a mut Inner,
}

/// Makes a handler for each connection that is taken.
pub(crate) struct Factory {
    pub(super) make: Box<dyn FnMut() -> Box<dyn Handler>>,
    pub(super) config: Option<Box<StreamConfig>>,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name(pub(super) Token);
    )*};
}

ids! {
    /// A listener of a loop.
    ListenerId;
    /// A timer of a loop.
    TimerId;
    /// A registration of interest in a descriptor.
    WatchId;
}

/// Anything of a loop that has events.
///
/// ```
/// # use std::time::Duration;
/// # use ferrevent::{EventLoop};
/// # let mut events = EventLoop::new()?;
/// let timer = events.timer(Duration::from_secs(1), |_| ())?;
/// events.context().set_priority(timer, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(Token);

macro_rules! keys {
    ($($name:ty: $id:ident => $token:expr;)*) => {$(
        impl From<$name> for Key {
            fn from($id: $name) -> Self {
                Key($token)
            }
        }
    )*};
}

keys! {
    ListenerId: id => id.0;
    TimerId: id => id.0;
    WatchId: id => id.0;
    super::SignalId: id => id.token();
    &Trigger: id => id.token;
    &Handle: id => id.shared.token;
}

/// Raises a user event of a loop, from any thread.
///
/// ```
/// # use ferrevent::{EventLoop};
/// # let mut events = EventLoop::new()?;
/// let trigger = events.context().trigger(|_| println!("raised"))?;
/// std::thread::spawn(move || trigger.raise());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Trigger {
    mailbox: Arc<Mailbox>,
    token: Token,
    raised: Arc<AtomicBool>,
}

impl Trigger {
    /// Has the event's callback run once, soon. Raising it again before the
    /// loop has seen it changes nothing. Returns false when the loop is no
    /// more.
    ///
    /// ```
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// let trigger = events.context().trigger(|context| context.stop(true))?;
    /// assert!(trigger.raise());
    /// events.run()?;
    /// drop(events);
    /// assert!(!trigger.raise());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn raise(&self) -> bool {
        if self.raised.swap(true, Ordering::AcqRel) {
            return true;
        }
        self.mailbox
            .send(Message::Raise(self.token, Arc::clone(&self.raised)))
            .is_ok()
    }
}

impl std::fmt::Debug for Trigger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trigger")
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

impl<'a> Context<'a> {
    pub(crate) fn new(inner: &'a mut Inner) -> Self {
        Self { inner }
    }

    pub(crate) fn now_tick(&self) -> Tick {
        self.inner.engine.now()
    }

    pub(crate) fn mailbox(&self) -> Arc<Mailbox> {
        Arc::clone(&self.inner.mailbox)
    }

    /// The time of this turn, since the loop's clock was made.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// events.timer(Duration::from_millis(1), |context| println!("{:?}", context.now()))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn now(&self) -> Duration {
        Duration::from_micros(self.now_tick().0)
    }

    /// Stops the loop: at once, with the rest of the turn left for its next
    /// run, or after this turn.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// events.timer(Duration::from_millis(1), |context| context.stop(true))?;
    /// events.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stop(&mut self, at_once: bool) {
        self.inner.stop = if at_once { Stop::Now } else { Stop::AfterTurn };
    }

    /// How many bytes a stream has received and sent so far. None for one that
    /// is over, that is on another loop, or whose callback this is.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// let (one, _) = events.context().pair(|_: &mut Stream<'_>| (), |_: &mut Stream<'_>| ())?;
    /// assert_eq!(events.context().transferred(&one), Some((0, 0)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn transferred(&mut self, stream: &Handle) -> Option<(u64, u64)> {
        if !Arc::ptr_eq(&stream.mailbox, &self.inner.mailbox) {
            return None;
        }
        let machine = &self.inner.engine.stream(stream.shared.token)?.machine;
        Some((machine.received_bytes(), machine.sent_bytes()))
    }

    /// Sets which queue something's events go to: 0 is served first. A number
    /// past the last priority means the last. Returns whether there is such a
    /// thing.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// let urgent = events.timer(Duration::from_secs(1), |_| ())?;
    /// assert!(events.context().set_priority(urgent, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_priority(&mut self, which: impl Into<Key>, priority: u8) -> bool {
        self.inner
            .engine
            .set_priority(which.into().0, Priority(priority))
    }

    /// Listens on an address, with a new handler for each connection.
    ///
    /// # Errors
    /// Those of the system, naming the address.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// events.context().listen(&"127.0.0.1:0".parse()?, || {
    ///     |stream: &mut Stream<'_>| stream.echo()
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn listen<H: Handler + 'static>(
        &mut self,
        address: &Address,
        mut factory: impl FnMut() -> H + 'static,
    ) -> io::Result<ListenerId> {
        self.listen_with(address, &ListenOptions::default(), None, move || {
            Box::new(factory())
        })
    }

    /// As [`listen`](Self::listen), with options for the socket and limits
    /// for the streams.
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    ///
    /// ```
    /// # use ferrevent::{EventLoop, ListenOptions, Stream};
    /// # let mut events = EventLoop::new()?;
    /// let options = ListenOptions {
    ///     backlog: 1024,
    ///     ..ListenOptions::default()
    /// };
    /// events.context().listen_with(&"127.0.0.1:0".parse()?, &options, None, || {
    ///     Box::new(|stream: &mut Stream<'_>| stream.echo())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn listen_with(
        &mut self,
        address: &Address,
        options: &ListenOptions,
        config: Option<StreamConfig>,
        factory: impl FnMut() -> Box<dyn Handler> + 'static,
    ) -> io::Result<ListenerId> {
        let sys = self.inner.engine.backend().sys().clone();
        let mut outcome = Err(io::Error::from(io::ErrorKind::NotFound));
        for candidate in address.to_listen_on()? {
            outcome = socket::listening(&sys, &candidate, options);
            if outcome.is_ok() {
                break;
            }
        }
        let task = Task::Listener(Factory {
            make: Box::new(factory),
            config: config.map(Box::new),
        });
        self.inner
            .engine
            .add_listener(outcome?, DEFAULT_PRIORITY, task)
            .map(ListenerId)
            .ok_or_else(table_full)
    }

    /// The address a listener is bound to, port included.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// let listener = events.listen("127.0.0.1:0".parse()?, || |_: &mut Stream<'_>| ())?;
    /// let address = events.context().listener_addr(listener);
    /// assert!(address.is_some_and(|address| address.port() != 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn listener_addr(&mut self, listener: ListenerId) -> Option<SocketAddr> {
        socket::local(self.inner.engine.listener_port(listener.0)?)
    }

    /// Takes no connections for a while, or goes on. Returns whether there is
    /// such a listener.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// let listener = events.listen("127.0.0.1:0".parse()?, || |_: &mut Stream<'_>| ())?;
    /// assert!(events.context().pause_listener(listener, true));
    /// assert!(events.context().pause_listener(listener, false));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pause_listener(&mut self, listener: ListenerId, pause: bool) -> bool {
        self.inner.engine.pause_listener(listener.0, pause)
    }

    /// Ends a listener; the streams it took live on.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// let listener = events.listen("127.0.0.1:0".parse()?, || |_: &mut Stream<'_>| ())?;
    /// assert!(events.context().close_listener(listener));
    /// assert!(events.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close_listener(&mut self, listener: ListenerId) -> bool {
        self.inner.engine.remove(listener.0)
    }

    /// Connects. The handle works at once: what is written before the
    /// connection stands is sent then. Why it did not come about is told to
    /// [`closed`](Handler::closed).
    ///
    /// # Errors
    /// When the address cannot be one, or threads have run out for resolving
    /// a name.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// let handle = events.context().connect(&"127.0.0.1:7".parse()?, |stream: &mut Stream<'_>| {
    ///     println!("{} bytes", stream.input().len());
    /// })?;
    /// handle.write(&b"hello"[..])?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn connect(
        &mut self,
        address: &Address,
        handler: impl Handler + 'static,
    ) -> io::Result<Handle> {
        self.connect_with(address, None, StreamConfig::DEFAULT, handler)
    }

    /// As [`connect`](Self::connect), from a local address, with limits.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ferrevent::{EventLoop, Stream, StreamConfig};
    /// # let mut events = EventLoop::new()?;
    /// let config = StreamConfig {
    ///     connect_timeout: Some(Duration::from_secs(5)),
    ///     ..StreamConfig::DEFAULT
    /// };
    /// let from = "127.0.0.1:0".parse()?;
    /// events.context().connect_with(
    ///     &"127.0.0.1:7".parse()?,
    ///     Some(from),
    ///     config,
    ///     |stream: &mut Stream<'_>| stream.echo(),
    /// )?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn connect_with(
        &mut self,
        address: &Address,
        bind: Option<SocketAddr>,
        config: StreamConfig,
        handler: impl Handler + 'static,
    ) -> io::Result<Handle> {
        let addresses = address.to_connect_to()?;
        let named = addresses.is_none();
        let target = Target {
            addresses: addresses.unwrap_or_default().into(),
            bind: bind.map(Into::into),
        };
        let owned = owned(handler);
        let token = self
            .inner
            .engine
            .connect(target, config, owned)
            .ok_or_else(table_full)?;
        if named && let Address::Name(host, port) = address {
            let (host, port, mailbox) = (host.clone(), *port, self.mailbox());
            std::thread::Builder::new()
                .name("resolver".into())
                .spawn(move || {
                    // A loop that is gone needs no answer.
                    let _ = mailbox.send(Message::Resolved(token, resolve(&host, port)));
                })?;
        }
        Ok(self.handle_of(token, config.write_limit))
    }

    /// Takes a connected descriptor: a socket, a pipe, a terminal. It is made
    /// non-blocking.
    ///
    /// # Errors
    /// Those of fcntl(2).
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// let (near, far) = std::os::unix::net::UnixStream::pair()?;
    /// events.context().adopt(near.into(), |stream: &mut Stream<'_>| stream.echo())?;
    /// # drop(far);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn adopt(&mut self, fd: OwnedFd, handler: impl Handler + 'static) -> io::Result<Handle> {
        socket::make_nonblocking(&fd)?;
        let kind = PortKind::of(&fd);
        let owned = owned(handler);
        let token = self
            .inner
            .engine
            .add_stream(fd, kind, owned)
            .ok_or_else(table_full)?;
        Ok(self.handle_of(token, StreamConfig::DEFAULT.write_limit))
    }

    /// Two streams connected to each other.
    ///
    /// # Errors
    /// Those of socketpair(2).
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// let (one, other) = events.context().pair(
    ///     |stream: &mut Stream<'_>| stream.echo(),
    ///     |stream: &mut Stream<'_>| println!("{} bytes are back", stream.input().len()),
    /// )?;
    /// other.write(&b"there and back"[..])?;
    /// # drop(one);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pair(
        &mut self,
        one: impl Handler + 'static,
        other: impl Handler + 'static,
    ) -> io::Result<(Handle, Handle)> {
        let (a, b) = socket::pair()?;
        Ok((self.adopt(a, one)?, self.adopt(b, other)?))
    }

    /// Calls back once after so long, never earlier. A timer that is not armed
    /// again in its callback is gone after it.
    ///
    /// # Errors
    /// Only when four billion things are registered.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// events.context().timer(Duration::from_millis(1), |_| println!("now"))?;
    /// events.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn timer(
        &mut self,
        after: Duration,
        callback: impl FnMut(&mut Context<'_>) + 'static,
    ) -> io::Result<TimerId> {
        let token = self
            .inner
            .engine
            .add_timer(DEFAULT_PRIORITY, Task::Timer(Box::new(callback)))
            .ok_or_else(table_full)?;
        self.arm_timer(TimerId(token), after);
        Ok(TimerId(token))
    }

    /// Arms a timer anew, counted from the time of this turn. Returns whether
    /// there is such a timer.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// let timer = events.timer(Duration::from_secs(60), |_| ())?;
    /// assert!(events.context().arm_timer(timer, Duration::from_millis(1)));
    /// events.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn arm_timer(&mut self, timer: TimerId, after: Duration) -> bool {
        let deadline = self.inner.engine.refresh_now() + after;
        self.inner.engine.arm_timer(timer.0, deadline)
    }

    /// Ends a timer.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// let timer = events.timer(Duration::from_secs(60), |_| ())?;
    /// assert!(events.context().remove_timer(timer));
    /// assert!(!events.context().remove_timer(timer));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove_timer(&mut self, timer: TimerId) -> bool {
        self.inner.engine.remove(timer.0)
    }

    /// Calls back whenever a descriptor is ready, or nothing was for the
    /// registration's timeout (then the readiness is empty). The descriptor
    /// must stay open until the registration is removed.
    ///
    /// # Errors
    /// As [`Engine::add_watch`](crate::engine::Engine::add_watch).
    ///
    /// ```
    /// # use std::os::fd::AsFd;
    /// # use ferrevent::{EventLoop, Readiness, engine::Registration};
    /// # let mut events = EventLoop::new()?;
    /// let (near, far) = std::os::unix::net::UnixStream::pair()?;
    /// let registration = Registration::new(Readiness::READ);
    /// events.context().watch(near.as_fd(), registration, |_, ready| println!("{ready:?}"))?;
    /// # drop(far);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn watch(
        &mut self,
        fd: BorrowedFd<'_>,
        registration: Registration,
        callback: impl FnMut(&mut Context<'_>, Readiness) + 'static,
    ) -> io::Result<WatchId> {
        self.inner
            .engine
            .add_watch(fd, registration, Task::Watch(Box::new(callback)))
            .map(WatchId)
    }

    /// Arms a one-shot registration anew.
    ///
    /// # Errors
    /// As [`Engine::arm_watch`](crate::engine::Engine::arm_watch).
    ///
    /// ```
    /// # use std::os::fd::AsFd;
    /// # use ferrevent::{EventLoop, Readiness, engine::Registration};
    /// # let mut events = EventLoop::new()?;
    /// let (near, far) = std::os::unix::net::UnixStream::pair()?;
    /// let once = Registration {
    ///     persistent: false,
    ///     ..Registration::new(Readiness::WRITE)
    /// };
    /// let watch = events.context().watch(near.as_fd(), once, |_, _| ())?;
    /// events.poll()?;
    /// events.context().arm_watch(watch)?;
    /// # drop(far);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn arm_watch(&mut self, watch: WatchId) -> io::Result<()> {
        self.inner.engine.arm_watch(watch.0)
    }

    /// Ends a registration.
    ///
    /// ```
    /// # use std::os::fd::AsFd;
    /// # use ferrevent::{EventLoop, Readiness, engine::Registration};
    /// # let mut events = EventLoop::new()?;
    /// let (near, far) = std::os::unix::net::UnixStream::pair()?;
    /// let watch = events.context().watch(near.as_fd(), Registration::new(Readiness::READ), |_, _| ())?;
    /// assert!(events.context().remove_watch(watch));
    /// # drop(far);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove_watch(&mut self, watch: WatchId) -> bool {
        self.inner.engine.remove(watch.0)
    }

    /// An event that is raised from any thread, by its trigger.
    ///
    /// # Errors
    /// Only when four billion things are registered.
    ///
    /// ```
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// let trigger = events.context().trigger(|context| context.stop(true))?;
    /// std::thread::spawn(move || trigger.raise());
    /// events.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn trigger(
        &mut self,
        callback: impl FnMut(&mut Context<'_>) + 'static,
    ) -> io::Result<Trigger> {
        let token = self
            .inner
            .engine
            .add_user(DEFAULT_PRIORITY, Task::Timer(Box::new(callback)))
            .ok_or_else(table_full)?;
        Ok(Trigger {
            mailbox: self.mailbox(),
            token,
            raised: Arc::default(),
        })
    }

    /// Ends a user event; its triggers do nothing from then on.
    ///
    /// ```
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// let trigger = events.context().trigger(|_| ())?;
    /// assert!(events.context().remove_trigger(&trigger));
    /// assert!(events.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove_trigger(&mut self, trigger: &Trigger) -> bool {
        self.inner.engine.remove(trigger.token)
    }

    /// Runs this on the loop, in its next turn. `remote` handles do the same
    /// from other threads.
    ///
    /// ```
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// let remote = events.context().remote();
    /// std::thread::spawn(move || remote.run(|context| println!("{:?} on the loop", context.now())));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remote(&self) -> Remote {
        Remote {
            mailbox: self.mailbox(),
        }
    }

    fn handle_of(&mut self, token: Token, limit: usize) -> Handle {
        let shared = Arc::new(Shared::new(token, limit));
        self.inner.engine.with_stream(token, |stream, _| {
            stream.owner.shared = Some(Arc::clone(&shared));
        });
        Handle {
            mailbox: self.mailbox(),
            shared,
        }
    }
}

/// A loop, from any thread.
///
/// ```
/// # use ferrevent::{EventLoop};
/// # let mut events = EventLoop::new()?;
/// let remote = events.context().remote();
/// std::thread::spawn(move || remote.stop());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Remote {
    mailbox: Arc<Mailbox>,
}

impl Remote {
    /// Runs this on the loop. Returns false when the loop is no more.
    ///
    /// ```
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// let remote = events.context().remote();
    /// assert!(remote.run(|context| context.stop(true)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run(&self, work: impl FnOnce(&mut Context<'_>) + Send + 'static) -> bool {
        self.mailbox.send(Message::Run(Box::new(work))).is_ok()
    }

    /// Stops the loop. Returns false when it is no more.
    ///
    /// ```
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// let remote = events.context().remote();
    /// assert!(remote.stop());
    /// drop(events);
    /// assert!(!remote.stop());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stop(&self) -> bool {
        self.mailbox.send(Message::Stop).is_ok()
    }
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Remote")
    }
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("now", &self.now())
            .finish_non_exhaustive()
    }
}

/// The same, without the detour over [`EventLoop::context`].
impl EventLoop {
    /// As [`Context::listen`].
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
        self.context().listen(&address, factory)
    }

    /// As [`Context::connect`].
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
        self.context().connect(&address, handler)
    }

    /// As [`Context::timer`].
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
        self.context().timer(after, callback)
    }
}

fn owned(handler: impl Handler + 'static) -> Owned {
    Owned {
        handler: Some(Box::new(handler)),
        shared: None,
    }
}

pub(super) fn table_full() -> io::Error {
    io::Error::new(
        io::ErrorKind::OutOfMemory,
        "four billion registrations exist",
    )
}
