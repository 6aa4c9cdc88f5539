//! Signals: who waits for which.

use std::collections::BTreeMap;
use std::ffi::{c_int, c_short};
use std::io;
use std::sync::Arc;

use ferrevent_os::Backend;
use ferrevent_os::signal::SignalInbox;

use super::base::Inner;
use super::{Ev, what};

#[derive(Debug, Default)]
pub(super) struct Signals {
    inbox: Option<Arc<SignalInbox>>,
    taken: BTreeMap<c_int, Taken>,
}

/// A signal that somebody waits for.
#[derive(Debug)]
struct Taken {
    /// The one that was added last first.
    events: Vec<Ev>,
    _listens: Listening,
}

/// Until it is dropped. What was done with the signal before is back then.
#[cfg(target_os = "linux")]
type Listening = ferrevent_os::signal::SoleSignal;

#[cfg(target_os = "linux")]
fn listen(inbox: &Arc<SignalInbox>, signal: c_int) -> io::Result<Listening> {
    inbox.listen_alone(signal)
}

/// Until it is dropped. On Windows these are what a console brings.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
struct Listening {
    inbox: Arc<SignalInbox>,
    id: ferrevent_os::signal::SignalId,
}

#[cfg(not(target_os = "linux"))]
fn listen(inbox: &Arc<SignalInbox>, signal: c_int) -> io::Result<Listening> {
    Ok(Listening {
        inbox: Arc::clone(inbox),
        id: inbox.listen(signal)?,
    })
}

#[cfg(not(target_os = "linux"))]
impl Drop for Listening {
    fn drop(&mut self) {
        self.inbox.ignore(&self.id);
    }
}

impl Signals {
    pub(super) fn add(&mut self, backend: &Backend, ev: Ev) -> io::Result<()> {
        if let Some(taken) = self.taken.get_mut(&ev.signal()) {
            taken.events.insert(0, ev);
            return Ok(());
        }
        if self.inbox.is_none() {
            self.inbox = Some(Arc::new(SignalInbox::new(backend)?));
        }
        if let Some(inbox) = &self.inbox {
            let taken = Taken {
                events: vec![ev],
                _listens: listen(inbox, ev.signal())?,
            };
            self.taken.insert(ev.signal(), taken);
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, ev: Ev) {
        if let Some(taken) = self.taken.get_mut(&ev.signal()) {
            taken.events.retain(|other| *other != ev);
            if taken.events.is_empty() {
                self.taken.remove(&ev.signal());
            }
        }
    }

    pub(super) fn events_of(&self, signal: c_int) -> Vec<Ev> {
        let taken = self.taken.get(&signal);
        taken.map_or_else(Vec::new, |taken| taken.events.clone())
    }

    /// Every event, in order of the signals.
    pub(super) fn events(&self) -> impl Iterator<Item = Ev> {
        self.taken.values().flat_map(|taken| &taken.events).copied()
    }

    pub(super) fn use_backend(&self, backend: &Backend) -> io::Result<()> {
        self.inbox
            .as_ref()
            .map_or(Ok(()), |it| it.use_backend(backend))
    }
}

impl Inner {
    /// Activates the events of the signals that have come.
    pub(super) fn take_signals(&mut self) {
        let Some(inbox) = &self.signals.inbox else {
            return;
        };
        let mut came = Vec::new();
        inbox.take(|signal, times| came.push((signal, times)));
        for (signal, times) in came {
            let times = c_short::try_from(times).unwrap_or(c_short::MAX);
            self.activate_signal(signal, times);
        }
    }

    pub(super) fn activate_signal(&mut self, signal: c_int, times: c_short) {
        for ev in self.signals.events_of(signal) {
            self.activate(ev, what::SIGNAL, times);
        }
    }
}
