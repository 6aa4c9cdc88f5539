//! Waking a thread that waits.

use std::io;
use std::os::fd::BorrowedFd;

use crate::sys::{Sys, would_block};

/// Signals a wake-up descriptor (an eventfd, or the writing end of a pipe). A
/// full one has been signalled already.
pub(crate) fn signal(sys: &Sys, fd: BorrowedFd<'_>) -> io::Result<()> {
    match sys.send(fd, false, &1_u64.to_ne_bytes()) {
        Err(error) if !would_block(&error) => Err(error),
        _ => Ok(()),
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
