//! What runs handlers: a loop on one thread, or a pool on several. Everything
//! but the threads is here, once.

mod adders;
mod context;
mod ids;
mod inner;
mod signals;
mod tell;

use std::io;
use std::sync::Arc;

use ferrevent_os::sys::Sys;
use ferrevent_os::{Backend, BackendKind, Token};

use crate::Readiness;
use crate::engine::StreamEntry;
use crate::handle::Shared;
use crate::handler::Handler;
use crate::mailbox::Mailbox;
use crate::pool::Core;

pub use context::{Context, Local};
pub(crate) use ferrevent_core::stream::panic_message;
pub use ids::{Key, ListenerId, Remote, SignalId, TimerId, Trigger, WatchId};
pub(crate) use inner::{Factory, Inner, Made};
pub(crate) use tell::{apply, call, finish, tell_all};

/// Where callbacks run decides what they may be.
pub(crate) trait Mode: Sized + 'static {
    type Handler: Handler + ?Sized;
    type Make: FnMut() -> Box<Self::Handler> + ?Sized;
    type Timer: FnMut(&mut Context<'_>) + ?Sized;
    type Watch: FnMut(&mut Context<'_>, Readiness) + ?Sized;
    type Signal: FnMut(&mut Context<'_>, u32) + ?Sized;
    type Notice: Fn(&Trouble) + ?Sized;

    fn make(make: &mut Self::Make) -> Box<Self::Handler>;
}

/// On one thread anything goes.
pub(crate) enum OneThread {}

impl Mode for OneThread {
    type Handler = dyn Handler;
    type Make = dyn FnMut() -> Box<dyn Handler>;
    type Timer = dyn FnMut(&mut Context<'_>);
    type Watch = dyn FnMut(&mut Context<'_>, Readiness);
    type Signal = dyn FnMut(&mut Context<'_>, u32);
    type Notice = dyn Fn(&Trouble);

    fn make(make: &mut Self::Make) -> Box<Self::Handler> {
        make()
    }
}

/// On several threads everything is `Send`.
pub(crate) enum AnyThread {}

impl Mode for AnyThread {
    type Handler = dyn Handler + Send;
    type Make = dyn FnMut() -> Box<dyn Handler + Send> + Send;
    type Timer = dyn FnMut(&mut Context<'_>) + Send;
    type Watch = dyn FnMut(&mut Context<'_>, Readiness) + Send;
    type Signal = dyn FnMut(&mut Context<'_>, u32) + Send;
    type Notice = dyn Fn(&Trouble) + Send + Sync;

    fn make(make: &mut Self::Make) -> Box<Self::Handler> {
        make()
    }
}

/// What is kept with a stream.
pub(crate) struct Owned<M: Mode> {
    pub(crate) handler: Box<M::Handler>,
    pub(crate) shared: Option<Arc<Shared>>,
}

impl<M: Mode> Owned<M> {
    pub(crate) fn new(handler: Box<M::Handler>) -> Self {
        Self {
            handler,
            shared: None,
        }
    }
}

pub(crate) type StreamCore<M> = StreamEntry<Owned<M>>;

/// What is kept with everything else.
pub(crate) enum Task<M: Mode> {
    Listener(Factory<M>),
    Timer(Box<M::Timer>),
    Watch(Box<M::Watch>),
    Signal(Box<M::Signal>),
}

/// Something that went wrong and that no stream can be told of.
///
/// ```
/// # use ferrevent::{EventLoop, Trouble};
/// # let mut events = EventLoop::new()?;
/// events.on_trouble(|trouble| match trouble {
///     Trouble::Resting(_, error) => eprintln!("no connections for now: {error}"),
///     other => eprintln!("{other:?}"),
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Trouble {
    /// A listener cannot take connections for now, because descriptors or
    /// memory ran out. It goes on by itself when some are free again.
    Resting(ListenerId, io::Error),
    /// A listener is at its end.
    ListenerFailed(ListenerId, io::Error),
    /// A handler factory, timer or watch panicked, with this message, and was
    /// removed.
    Panicked(String),
    /// The backend that was asked for cannot be had, for this reason, and
    /// this one does the work. Told when a hook is set, once.
    FellBack(BackendKind, io::Error),
}

impl Trouble {
    /// Of a backend that is not the one that was asked for.
    pub(crate) fn of_backend(backend: &Backend) -> Option<Self> {
        let refusal = backend.refusal()?;
        let error = match refusal.raw_os_error() {
            Some(errno) => io::Error::from_raw_os_error(errno),
            None => io::Error::new(refusal.kind(), refusal.to_string()),
        };
        Some(Trouble::FellBack(backend.kind(), error))
    }

    pub(crate) fn of_listener(token: Token, error: io::Error, resting: bool) -> Self {
        if resting {
            Trouble::Resting(ListenerId(token), error)
        } else {
            Trouble::ListenerFailed(ListenerId(token), error)
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Stop {
    #[default]
    No,
    AfterTurn,
    Now,
}

/// Who runs a callback.
pub(crate) enum Host<'a> {
    Loop(&'a mut Inner<OneThread>),
    Pool(&'a Core),
}

impl Host<'_> {
    #[inline]
    pub(crate) fn again(&mut self) -> Host<'_> {
        match self {
            Host::Loop(inner) => Host::Loop(inner),
            Host::Pool(core) => Host::Pool(core),
        }
    }

    fn sys(&self) -> Sys {
        match self {
            Host::Loop(inner) => inner.sys(),
            Host::Pool(core) => core.with(|inner| inner.sys()),
        }
    }

    fn mailbox(&self) -> Arc<Mailbox> {
        match self {
            Host::Loop(inner) => Arc::clone(&inner.mailbox),
            Host::Pool(core) => Arc::clone(core.mailbox()),
        }
    }
}

/// Works on the inner half of a host; on a pool under its lock, so that no
/// user code may be called or dropped in the work.
macro_rules! on {
    ($host:expr, $inner:ident => $work:block then $refused:path) => {
        match $host {
            $crate::host::Host::Loop($inner) => $work.map_err($refused),
            // What was refused is dropped when the lock is released.
            $crate::host::Host::Pool(core) => core.with(|$inner| $work).map_err($refused),
        }
    };
    ($host:expr, $inner:ident => $work:expr) => {
        match $host {
            $crate::host::Host::Loop($inner) => {
                #[allow(dead_code, reason = "not every work makes handlers")]
                type Dyn = dyn $crate::Handler;
                $work
            }
            $crate::host::Host::Pool(core) => core.with(|$inner| {
                #[allow(dead_code, reason = "not every work makes handlers")]
                type Dyn = dyn $crate::Handler + Send;
                $work
            }),
        }
    };
}
use on;

/// As [`on`], for what only a loop takes.
macro_rules! on_loop {
    ($host:expr, $inner:ident => $work:block then $refused:path) => {
        match $host {
            Host::Loop($inner) => $work.map_err($refused),
            Host::Pool(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    };
    ($host:expr, $inner:ident => $work:expr) => {
        match $host {
            Host::Loop($inner) => {
                #[allow(dead_code, reason = "not every work makes handlers")]
                type Dyn = dyn Handler;
                $work
            }
            Host::Pool(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    };
}
use on_loop;
