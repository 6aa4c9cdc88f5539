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
pub struct WakeDescriptor(pub(crate) Bell);

/// What is struck: the wake-up socket of a backend that polls, or a port.
#[cfg(windows)]
#[derive(Debug)]
pub(crate) enum Bell {
    Socket(OwnedFd),
    Port(std::os::windows::io::OwnedHandle),
}

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
        use std::os::windows::io::AsHandle;

        use crate::sys::fd::AsFd;
        // A backend that is gone sleeps no more.
        let _ = match &self.0 {
            Bell::Socket(socket) => {
                let sys = Sys::new(crate::sys::Clock::real(), None);
                sys.signal(socket.as_fd()).map(drop)
            }
            Bell::Port(port) => crate::sys::overlapped::post_raw(port.as_handle(), 0),
        };
    }
}

/// How often a signal is tried.
const TRIES: u32 = 3;

/// Signals a wake-up descriptor (an eventfd, or the writing end of a pipe). A
/// full one has been signalled already.
pub(crate) fn signal(sys: &Sys, fd: BorrowedFd<'_>) -> io::Result<()> {
    insist(|| sys.signal(fd).map(drop))
}

/// Tries again what somebody may sleep for ever without.
pub(crate) fn insist(mut signal: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    let mut tries = 1;
    loop {
        match signal() {
            Ok(()) => return Ok(()),
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
