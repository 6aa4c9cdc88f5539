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
    pub fn now(&self) -> Duration {
        Duration::from_micros(self.now_tick().0)
    }

    /// Stops the loop: at once, with the rest of the turn left for its next
    /// run, or after this turn.
    pub fn stop(&mut self, at_once: bool) {
        self.inner.stop = if at_once { Stop::Now } else { Stop::AfterTurn };
    }

    /// How many bytes a stream has received and sent so far. None for one that
    /// is over, that is on another loop, or whose callback this is.
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
    pub fn set_priority(&mut self, which: impl Into<Key>, priority: u8) -> bool {
        self.inner
            .engine
            .set_priority(which.into().0, Priority(priority))
    }

    /// Listens on an address, with a new handler for each connection.
    ///
    /// # Errors
    /// Those of the system, naming the address.
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
    pub fn listener_addr(&mut self, listener: ListenerId) -> Option<SocketAddr> {
        socket::local(self.inner.engine.listener_port(listener.0)?)
    }

    /// Takes no connections for a while, or goes on. Returns whether there is
    /// such a listener.
    pub fn pause_listener(&mut self, listener: ListenerId, pause: bool) -> bool {
        self.inner.engine.pause_listener(listener.0, pause)
    }

    /// Ends a listener; the streams it took live on.
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
    pub fn arm_timer(&mut self, timer: TimerId, after: Duration) -> bool {
        let deadline = self.inner.engine.refresh_now() + after;
        self.inner.engine.arm_timer(timer.0, deadline)
    }

    /// Ends a timer.
    pub fn remove_timer(&mut self, timer: TimerId) -> bool {
        self.inner.engine.remove(timer.0)
    }

    /// Calls back whenever a descriptor is ready, or nothing was for the
    /// registration's timeout (then the readiness is empty). The descriptor
    /// must stay open until the registration is removed.
    ///
    /// # Errors
    /// As [`Engine::add_watch`](crate::engine::Engine::add_watch).
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
    pub fn arm_watch(&mut self, watch: WatchId) -> io::Result<()> {
        self.inner.engine.arm_watch(watch.0)
    }

    /// Ends a registration.
    pub fn remove_watch(&mut self, watch: WatchId) -> bool {
        self.inner.engine.remove(watch.0)
    }

    /// An event that is raised from any thread, by its trigger.
    ///
    /// # Errors
    /// Only when four billion things are registered.
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
    pub fn remove_trigger(&mut self, trigger: &Trigger) -> bool {
        self.inner.engine.remove(trigger.token)
    }

    /// Runs this on the loop, in its next turn. `remote` handles do the same
    /// from other threads.
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
#[derive(Clone)]
pub struct Remote {
    mailbox: Arc<Mailbox>,
}

impl Remote {
    /// Runs this on the loop. Returns false when the loop is no more.
    pub fn run(&self, work: impl FnOnce(&mut Context<'_>) + Send + 'static) -> bool {
        self.mailbox.send(Message::Run(Box::new(work))).is_ok()
    }

    /// Stops the loop. Returns false when it is no more.
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
