//! Waking a thread that waits.

use std::io;

use crate::sys::fd::{BorrowedFd, OwnedFd};
use crate::sys::{Sys, would_block};

/// What wakes a backend without being it: every eight-byte write does.
#[cfg(unix)]
pub type WakeDescriptor = OwnedFd;

/// What wakes a backend without being it.
///
/// ```
/// # use ferrevent_os::{Backend, BackendKind, sys::{Clock, Sys}};
/// let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
/// let descriptor = backend.wake_descriptor()?;
/// descriptor.wake();
/// # std::io::Result::Ok(())
/// ```
#[cfg(windows)]
#[derive(Debug)]
pub struct WakeDescriptor(pub(crate) OwnedFd);

#[cfg(windows)]
impl WakeDescriptor {
    /// Wakes it. A full one has been woken already.
    ///
    /// ```
    /// # use ferrevent_os::{Backend, BackendKind, sys::{Clock, Sys}};
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// backend.wake_descriptor()?.wake();
    /// # std::io::Result::Ok(())
    /// ```
    pub fn wake(&self) {
        use crate::sys::{Clock, fd::AsFd};
        let _ = Sys::new(Clock::real(), None).signal(self.0.as_fd());
    }
}

/// How often a signal is tried.
const TRIES: u32 = 3;

/// Signals a wake-up descriptor (an eventfd, or the writing end of a pipe). A
/// full one has been signalled already. Somebody may sleep for ever if this
/// fails, so it is tried again.
pub(crate) fn signal(sys: &Sys, fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut tries = 1;
    loop {
        match sys.signal(fd) {
            Ok(_) => return Ok(()),
            Err(error) if would_block(&error) => return Ok(()),
            Err(error) if tries == TRIES => return Err(error),
            Err(_) => tries += 1,
        }
    }
}

/// Takes every signal out of the reading end of a pipe.
pub(crate) fn drain(sys: &Sys, fd: BorrowedFd<'_>) {
    let mut signals = [0; 256];
    while sys
        .receive(fd, false, &mut signals)
        .is_ok_and(|taken| taken == signals.len())
    {}
}
