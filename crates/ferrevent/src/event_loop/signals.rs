//! Signals of a loop.

use std::io;

use ferrevent_os::signal::{self, SignalInbox};
use ferrevent_os::{Backend, Token};

use super::{Context, DEFAULT_PRIORITY, Inner, Task};

/// A signal a loop listens for.
///
/// ```
/// # use ferrevent::EventLoop;
/// # let mut events = EventLoop::new()?;
/// const SIGUSR1: i32 = 10;
/// let signal = events.context().signal(SIGUSR1, |_, times| println!("{times} more"))?;
/// events.context().set_priority(signal, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SignalId(Token);

impl SignalId {
    pub(super) fn token(self) -> Token {
        self.0
    }
}

/// The signals a loop listens for.
pub(super) struct Signals {
    inbox: SignalInbox,
    registered: Vec<Registered>,
}

struct Registered {
    signal: i32,
    token: Token,
    id: signal::SignalId,
    /// How often it came since it was told last.
    times: u32,
}

impl Signals {
    pub(super) fn use_backend(&self, backend: &Backend) -> io::Result<()> {
        self.inbox.use_backend(backend)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for entry in &self.registered {
            self.inbox.ignore(&entry.id);
        }
    }
}

impl Inner {
    /// Raises the events of the signals that have come.
    pub(super) fn take_signals(&mut self) {
        let Some(signals) = &mut self.signals else {
            return;
        };
        let (inbox, registered) = (&signals.inbox, &mut signals.registered);
        let mut raised = Vec::new();
        inbox.take(|signal, times| {
            for entry in registered.iter_mut().filter(|entry| entry.signal == signal) {
                entry.times = entry.times.saturating_add(times);
                raised.push(entry.token);
            }
        });
        for token in raised {
            self.engine.raise(token);
        }
    }

    /// How often the signal of this event came since this was asked last.
    pub(super) fn signal_times(&mut self, token: Token) -> u32 {
        let entry = self
            .signals
            .as_mut()
            .and_then(|signals| signals.registered.iter_mut().find(|it| it.token == token));
        entry.map_or(0, |entry| std::mem::take(&mut entry.times))
    }
}

impl Context<'_> {
    /// Calls back when this signal has come, with how often it came since.
    /// Several loops may listen for one signal, and each is told. What the
    /// signal did by default it does no more.
    ///
    /// # Errors
    /// `InvalidInput` for what cannot be caught, else when descriptors have
    /// run out.
    ///
    /// ```
    /// # use ferrevent::EventLoop;
    /// # let mut events = EventLoop::new()?;
    /// const SIGUSR1: i32 = 10;
    /// let signal = events.context().signal(SIGUSR1, |_, times| println!("{times} more"))?;
    /// println!("{}", events.dump());
    /// # let _ = signal;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn signal(
        &mut self,
        signal: i32,
        callback: impl FnMut(&mut Context<'_>, u32) + 'static,
    ) -> io::Result<SignalId> {
        let inner = &mut *self.inner;
        if inner.signals.is_none() {
            inner.signals = Some(Signals {
                inbox: SignalInbox::new(inner.engine.backend())?,
                registered: Vec::new(),
            });
        }
        let Some(signals) = &mut inner.signals else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let id = signals.inbox.listen(signal)?;
        let task = Task::Signal(Box::new(callback));
        let Some(token) = inner.engine.add_user(DEFAULT_PRIORITY, task) else {
            signals.inbox.ignore(&id);
            return Err(super::context::table_full());
        };
        signals.registered.push(Registered {
            signal,
            token,
            id,
            times: 0,
        });
        Ok(SignalId(token))
    }

    /// Listens for a signal no more.
    ///
    /// ```
    /// # use ferrevent::EventLoop;
    /// # let mut events = EventLoop::new()?;
    /// const SIGUSR1: i32 = 10;
    /// let signal = events.context().signal(SIGUSR1, |_, times| println!("{times} more"))?;
    /// assert!(events.context().remove_signal(signal));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove_signal(&mut self, signal: SignalId) -> bool {
        if let Some(signals) = &mut self.inner.signals {
            signals.registered.retain(|entry| {
                let keep = entry.token != signal.0;
                if !keep {
                    signals.inbox.ignore(&entry.id);
                }
                keep
            });
        }
        self.inner.engine.remove(signal.0)
    }
}
