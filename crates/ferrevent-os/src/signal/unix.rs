//! Signals as Unix has them.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

pub(super) use signal_hook_registry::SigId;

use super::Counters;

/// What a signal handler wakes its loop by.
#[derive(Debug)]
pub(super) struct Wake(OwnedFd);

impl Wake {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Runs in the signal handler.
    pub(super) fn wake(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: eight readable bytes and an open descriptor. That it may be
        // full is no loss: then it has been signalled already. The registry
        // saves and restores errno around its actions.
        unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Wakes by way of another descriptor from now on.
    pub(super) fn replace(&self, fresh: OwnedFd) -> io::Result<()> {
        // The handler may run at any moment, so the old number is made to
        // mean the new object in one step.
        // SAFETY: both descriptors are open and ours; nothing is borrowed from
        // the object that the old one stood for.
        let answer = unsafe { libc::dup2(fresh.as_raw_fd(), self.0.as_raw_fd()) };
        if answer < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}

pub(super) fn can_be_caught(signal: i32) -> bool {
    !signal_hook_registry::FORBIDDEN.contains(&signal)
}

pub(super) fn register(signal: i32, index: usize, counters: Arc<Counters>) -> io::Result<SigId> {
    // SAFETY: the action is async-signal-safe: it changes two atomics and
    // calls write(2) on a descriptor that it keeps open. The reference count is not touched by running it.
    unsafe { signal_hook_registry::register(signal, move || counters.count(index)) }
}

pub(super) fn unregister(id: SigId) -> bool {
    signal_hook_registry::unregister(id)
}
