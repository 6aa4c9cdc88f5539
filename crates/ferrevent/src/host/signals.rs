//! Signals of a loop or a pool.

use std::io;

use ferrevent_os::signal::{self, SignalInbox};
use ferrevent_os::{Backend, Token};

use super::{Inner, Mode, SignalId, Task};

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

impl<M: Mode> Inner<M> {
    /// Raises the events of the signals that have come.
    pub(crate) fn take_signals(&mut self) {
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
    pub(crate) fn signal_times(&mut self, token: Token) -> u32 {
        let entry = self
            .signals
            .as_mut()
            .and_then(|signals| signals.registered.iter_mut().find(|it| it.token == token));
        entry.map_or(0, |entry| std::mem::take(&mut entry.times))
    }

    pub(super) fn signal(&mut self, signal: i32, callback: Box<M::Signal>) -> io::Result<SignalId> {
        if self.signals.is_none() {
            self.signals = Some(Signals {
                inbox: SignalInbox::new(self.engine.backend())?,
                registered: Vec::new(),
            });
        }
        let Some(signals) = &mut self.signals else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let id = signals.inbox.listen(signal)?;
        let token = self.add_user(Task::Signal(callback))?;
        if let Some(signals) = &mut self.signals {
            signals.registered.push(Registered {
                signal,
                token,
                id,
                times: 0,
            });
        }
        Ok(SignalId(token))
    }

    pub(super) fn forget_signal(&mut self, signal: SignalId) {
        let Some(signals) = &mut self.signals else {
            return;
        };
        signals.registered.retain(|entry| {
            let keep = entry.token != signal.0;
            if !keep {
                signals.inbox.ignore(&entry.id);
            }
            keep
        });
    }
}
