//! Waking a thread that waits.

use std::io;
use std::os::fd::BorrowedFd;

use crate::sys::{Sys, would_block};

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
