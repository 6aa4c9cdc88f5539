//! What a loop and a pool have in common: everything but the threads.

use ferrevent_os::sys::fd::{BorrowedFd, OwnedFd};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ferrevent_core::filter::Filter;
use ferrevent_os::socket::{self, ListenOptions};
use ferrevent_os::sys::Sys;
use ferrevent_os::{Accepted, Backend, BackendKind, PortKind, Token};

use super::signals::Signals;
use super::{ListenerId, Mode, Owned, Stop, Task, TimerId, Trigger, Trouble, WatchId};
use crate::StreamConfig;
use crate::address::{Address, resolve};
use crate::engine::{Engine, Priority, Refusal, Registration, Target, table_full};
use crate::handle::{Handle, Shared};
use crate::mailbox::{Mailbox, Message};

const DEFAULT_PRIORITY: Priority = Priority(0);

pub(crate) struct Inner<M: Mode> {
    pub(crate) engine: Engine<Owned<M>, Task<M>>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) kind: BackendKind,
    pub(crate) stop: Stop,
    pub(crate) trouble: Option<Arc<M::Notice>>,
    pub(super) signals: Option<Signals>,
    /// What connects by name ask, rather than the system.
    #[cfg(feature = "dns")]
    pub(super) resolver: Option<crate::resolver::Resolver>,
    #[cfg(feature = "async")]
    pub(crate) hub: Option<Arc<crate::asynch::Hub>>,
}

/// Makes a handler for each connection that is taken.
pub(crate) struct Factory<M: Mode> {
    pub(crate) make: Box<M::Make>,
    pub(crate) config: Option<Box<StreamConfig>>,
    pub(crate) filters: Option<Filters>,
}

/// Makes the filters of a new connection, the lowest first.
pub(crate) type Filters = Box<dyn FnMut() -> Vec<Box<dyn Filter>> + Send>;

/// What a connection that was accepted is given.
pub(crate) struct Made<M: Mode> {
    handler: Box<M::Handler>,
    filters: Vec<Box<dyn Filter>>,
}

impl<M: Mode> Factory<M> {
    /// Calls user code.
    pub(crate) fn make(&mut self) -> Made<M> {
        Made {
            handler: M::make(&mut self.make),
            filters: self.filters.as_mut().map(|make| make()).unwrap_or_default(),
        }
    }
}

impl<M: Mode> Inner<M> {
    pub(crate) fn new(backend: Arc<Backend>, priorities: u8) -> Self {
        let engine = Engine::new(Arc::clone(&backend), priorities);
        let limits = Arc::clone(engine.limits());
        Self {
            kind: backend.kind(),
            mailbox: Arc::new(Mailbox::new(backend, limits)),
            engine,
            stop: Stop::No,
            trouble: None,
            signals: None,
            #[cfg(feature = "dns")]
            resolver: None,
            #[cfg(feature = "async")]
            hub: None,
        }
    }

    /// Takes over another backend, in the child of a fork.
    pub(crate) fn use_backend(&mut self, backend: Arc<Backend>) -> io::Result<()> {
        if let Some(signals) = &self.signals {
            signals.use_backend(&backend)?;
        }
        self.mailbox.use_backend(Arc::clone(&backend));
        self.engine.use_backend(backend)
    }

    pub(crate) fn trouble(&self, trouble: &Trouble) {
        #[cfg(feature = "async")]
        if let Some(hub) = &self.hub {
            hub.heed(trouble);
        }
        if let Some(hook) = &self.trouble {
            hook(trouble);
        }
    }

    /// Whether nothing is registered, no task goes on, and no mail waits.
    pub(crate) fn is_idle(&self) -> bool {
        #[cfg(feature = "async")]
        if self.hub.as_ref().is_some_and(|hub| hub.is_busy()) {
            return false;
        }
        self.engine.is_empty() && !self.mailbox.has_mail(0)
    }

    pub(super) fn sys(&self) -> Sys {
        self.engine.backend().sys().clone()
    }

    pub(super) fn listen(
        &mut self,
        fd: OwnedFd,
        config: Option<StreamConfig>,
        filters: Option<Filters>,
        make: Box<M::Make>,
    ) -> io::Result<ListenerId> {
        let task = Task::Listener(Factory {
            make,
            config: config.map(Box::new),
            filters,
        });
        self.engine
            .add_listener(fd, DEFAULT_PRIORITY, task)
            .map(ListenerId)
            .ok_or_else(table_full)
    }

    pub(super) fn connect(
        &mut self,
        address: &Address,
        bind: Option<SocketAddr>,
        config: StreamConfig,
        filters: Vec<Box<dyn Filter>>,
        handler: Box<M::Handler>,
    ) -> io::Result<Handle> {
        let addresses = address.to_connect_to()?;
        let named = addresses.is_none();
        let target = Target {
            addresses: addresses.unwrap_or_default().into(),
            bind: bind.map(Into::into),
        };
        let token = self
            .engine
            .connect(target, config, Owned::new(handler))
            .ok_or_else(table_full)?;
        self.add_filters(token, filters);
        if named && let Address::Name(host, port) = address {
            self.resolve(token, host, *port);
        }
        Ok(self.handle_of(token, config.write_limit))
    }

    /// Has a stream told the addresses of a host, without waiting for them.
    fn resolve(&mut self, token: Token, host: &str, port: u16) {
        let mailbox = Arc::clone(&self.mailbox);
        #[cfg(feature = "dns")]
        if let Some(resolver) = &self.resolver {
            return resolver.resolve_for(mailbox, token, host, port);
        }
        let host = host.to_owned();
        let started = self.sys().start_thread("resolver", move || {
            // A loop that is gone needs no answer.
            let _ = mailbox.send(Message::Resolved(token, resolve(&host, port)));
        });
        if let Err(error) = started {
            // The stream is there already: it tells of it.
            self.engine.resolved(token, Err(error));
        }
    }

    pub(super) fn adopt(&mut self, fd: OwnedFd, handler: Box<M::Handler>) -> io::Result<Handle> {
        socket::make_nonblocking(self.engine.backend().sys(), &fd)?;
        let kind = PortKind::of(&fd);
        let token = self
            .engine
            .add_stream(fd, kind, Owned::new(handler))
            .ok_or_else(table_full)?;
        Ok(self.handle_of(token, StreamConfig::DEFAULT.write_limit))
    }

    pub(super) fn timer(
        &mut self,
        after: Duration,
        callback: Box<M::Timer>,
    ) -> io::Result<TimerId> {
        let token = self
            .engine
            .add_timer(DEFAULT_PRIORITY, Task::Timer(callback))
            .ok_or_else(table_full)?;
        self.arm_timer(TimerId(token), after);
        Ok(TimerId(token))
    }

    pub(super) fn arm_timer(&mut self, timer: TimerId, after: Duration) -> bool {
        let deadline = self.engine.refresh_now() + after;
        self.engine.arm_timer(timer.0, deadline)
    }

    pub(super) fn watch(
        &mut self,
        fd: BorrowedFd<'_>,
        registration: Registration,
        callback: Box<M::Watch>,
    ) -> Result<WatchId, Refusal<Task<M>>> {
        self.engine
            .add_watch(fd, registration, Task::Watch(callback))
            .map(WatchId)
    }

    pub(super) fn trigger(&mut self, callback: Box<M::Timer>) -> io::Result<Trigger> {
        let token = self.add_user(Task::Timer(callback))?;
        Ok(Trigger {
            mailbox: Arc::clone(&self.mailbox),
            token,
            raised: Arc::default(),
        })
    }

    pub(super) fn add_user(&mut self, task: Task<M>) -> io::Result<Token> {
        self.engine
            .add_user(DEFAULT_PRIORITY, task)
            .ok_or_else(table_full)
    }

    /// Adds a connection that a listener took.
    pub(crate) fn add_accepted(
        &mut self,
        accepted: Accepted,
        kind: PortKind,
        made: Made<M>,
        config: Option<&StreamConfig>,
    ) {
        let Made { handler, filters } = made;
        let Some(stream) = self
            .engine
            .add_stream(accepted.fd, kind, Owned::new(handler))
        else {
            return;
        };
        if let Some(config) = config {
            self.engine.configure(stream, *config);
        }
        self.add_filters(stream, filters);
    }

    fn add_filters(&mut self, stream: Token, filters: Vec<Box<dyn Filter>>) {
        for filter in filters {
            // A new stream refuses none.
            self.engine
                .with_stream(stream, |stream, now| stream.machine.add_filter(now, filter));
        }
    }

    /// How often a signal came, for its task.
    pub(crate) fn times_of(&mut self, token: Token, task: &Task<M>) -> u32 {
        match task {
            Task::Signal(_) => self.signal_times(token),
            _ => 0,
        }
    }

    fn handle_of(&mut self, token: Token, limit: usize) -> Handle {
        let shared = Arc::new(Shared::new(token, limit));
        self.engine.with_stream(token, |stream, _| {
            stream.owner.shared = Some(Arc::clone(&shared));
        });
        Handle {
            mailbox: Arc::clone(&self.mailbox),
            shared,
        }
    }
}

/// A socket that listens on an address.
pub(super) fn open_listener(
    sys: &Sys,
    address: &Address,
    options: &ListenOptions,
) -> io::Result<OwnedFd> {
    let mut outcome = Err(io::Error::from(io::ErrorKind::NotFound));
    for candidate in address.to_listen_on()? {
        outcome = socket::listening(sys, &candidate, options);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// Tasks.
#[cfg(feature = "async")]
impl<M: Mode> Inner<M> {
    /// What they share; made when it is first asked for.
    pub(crate) fn hub(&mut self, is_pool: bool) -> Arc<crate::asynch::Hub> {
        let sys = self.sys();
        let hub = self.hub.get_or_insert_with(|| {
            crate::asynch::Hub::new(Arc::clone(&self.mailbox), sys, is_pool)
        });
        Arc::clone(hub)
    }

    /// Drops their futures.
    pub(crate) fn end_tasks(&mut self) {
        if let Some(hub) = self.hub.take() {
            hub.shut_down();
        }
    }
}
