//! What ends a console program, as signals: one control handler for the
//! process, which the system runs on a thread of its own.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use windows_sys::Win32::System::Console;
use windows_sys::core::BOOL;

use super::Counters;
use crate::wake::WakeDescriptor;

const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;
const SIGBREAK: i32 = 21;

/// The system ends the process when the handler of a closed console returns,
/// and after so long anyway.
const GRACE: Duration = Duration::from_secs(30);

static LISTENERS: Mutex<Listeners> = Mutex::new(Listeners {
    installed: false,
    claimed: Vec::new(),
    next: 0,
    entries: Vec::new(),
});

struct Listeners {
    installed: bool,
    /// What was listened for once: it does no more what it did by default.
    claimed: Vec<i32>,
    next: u64,
    entries: Vec<Entry>,
}

struct Entry {
    id: SigId,
    signal: i32,
    counters: Arc<Counters>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct SigId(u64);

/// What the control handler wakes a loop by.
#[derive(Debug)]
pub(super) struct Wake(Mutex<WakeDescriptor>);

impl Wake {
    pub(super) fn new(descriptor: WakeDescriptor) -> Self {
        Self(Mutex::new(descriptor))
    }

    pub(super) fn wake(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).wake();
    }

    pub(super) fn replace(&self, fresh: WakeDescriptor) -> io::Result<()> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

pub(super) fn can_be_caught(signal: i32) -> bool {
    [SIGINT, SIGTERM, SIGBREAK].contains(&signal)
}

pub(super) fn register(signal: i32, _: usize, counters: Arc<Counters>) -> io::Result<SigId> {
    let mut listeners = lock();
    if !listeners.installed {
        // SAFETY: `handle` is a function that lives as long as the process.
        if unsafe { Console::SetConsoleCtrlHandler(Some(handle), 1) } == 0 {
            return Err(io::Error::last_os_error());
        }
        listeners.installed = true;
    }
    if !listeners.claimed.contains(&signal) {
        listeners.claimed.push(signal);
    }
    let id = SigId(listeners.next);
    listeners.next += 1;
    listeners.entries.push(Entry {
        id,
        signal,
        counters,
    });
    Ok(id)
}

pub(super) fn unregister(id: SigId) -> bool {
    let mut listeners = lock();
    let before = listeners.entries.len();
    listeners.entries.retain(|entry| entry.id != id);
    listeners.entries.len() < before
}

/// Called by the system, on a thread that it makes for it.
unsafe extern "system" fn handle(event: u32) -> BOOL {
    let signal = match event {
        Console::CTRL_C_EVENT => SIGINT,
        Console::CTRL_BREAK_EVENT => SIGBREAK,
        _ => SIGTERM,
    };
    let listeners = lock();
    if !listeners.claimed.contains(&signal) {
        return 0;
    }
    let told = listeners.entries.iter().filter(|it| it.signal == signal);
    for entry in told {
        entry.counters.count(signal as usize);
    }
    drop(listeners);
    if signal == SIGTERM {
        std::thread::sleep(GRACE);
    }
    1
}

fn lock() -> MutexGuard<'static, Listeners> {
    LISTENERS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::signal::SignalInbox;
    use crate::sys::{Clock, Sys};
    use crate::{Backend, BackendKind, What};

    #[test]
    fn a_break_wakes_and_is_told_on_every_backend() {
        for kind in BackendKind::ALL {
            let backend = Backend::new(*kind, Sys::new(Clock::real(), None)).unwrap();
            let inbox = SignalInbox::new(&backend).unwrap();
            let id = inbox.listen(SIGBREAK).unwrap();
            // What the system does, on a thread of its own. It has no other
            // way to be asked for it without a console.
            // SAFETY: the handler may run on any thread.
            let asked = std::thread::spawn(|| unsafe { handle(Console::CTRL_BREAK_EVENT) });
            assert_eq!(asked.join().unwrap(), 1);
            let mut events = Vec::new();
            while events.is_empty() {
                backend
                    .wait(&mut backend.waiter(), None, &mut events)
                    .unwrap();
            }
            assert!(events.iter().any(|event| matches!(event.what, What::Wake)));
            let mut told = Vec::new();
            inbox.take(|signal, times| told.push((signal, times)));
            assert_eq!(told, [(SIGBREAK, 1)], "on {kind}");
            assert!(inbox.ignore(&id) && !inbox.ignore(&id));
        }
        assert!([0, -1, 9, 65].iter().all(|signal| !can_be_caught(*signal)));
    }
}
