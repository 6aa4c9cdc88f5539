//! Signals: counted in the handler, told by the loop.
//!
//! A signal handler may do next to nothing (signal-safety(7)), so ours counts
//! and wakes the loop with one call. Several loops of a process may ask for
//! the same signal, and each is told.
//!
//! Windows has three that end a console program: `SIGINT` (2, Ctrl-C),
//! `SIGBREAK` (21, Ctrl-Break) and `SIGTERM` (15, the console window is
//! closed, the user logs off or the system shuts down: then about five
//! seconds are left).

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod own;
#[cfg(target_os = "linux")]
mod sole;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use own::{SigId, Wake};
#[cfg(target_os = "linux")]
pub use sole::SoleSignal;

use crate::Backend;

/// Signals are numbered from 1 to 64.
const SIGNALS: usize = 65;

/// The signals of one loop that have come and were not told yet.
///
/// ```
/// use ferrevent_os::signal::SignalInbox;
/// # use ferrevent_os::{Backend, BackendKind, sys::{Clock, Sys}};
/// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
/// let inbox = SignalInbox::new(&backend)?;
/// inbox.take(|signal, times| println!("signal {signal} came {times} times"));
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct SignalInbox {
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct Counters {
    counts: [AtomicU32; SIGNALS],
    any: AtomicBool,
    wake: Wake,
}

/// A signal that is being listened for.
///
/// ```
/// use ferrevent_os::signal::SignalInbox;
/// # use ferrevent_os::{Backend, BackendKind, sys::{Clock, Sys}};
/// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
/// let inbox = SignalInbox::new(&backend)?;
/// let id = inbox.listen(10)?;
/// inbox.ignore(&id);
/// # std::io::Result::Ok(())
/// ```
pub struct SignalId(SigId);

impl SignalInbox {
    /// An inbox that wakes whoever waits on this backend.
    ///
    /// # Errors
    /// When descriptors have run out.
    ///
    /// ```
    /// use ferrevent_os::signal::SignalInbox;
    /// # use ferrevent_os::{Backend, BackendKind, sys::{Clock, Sys}};
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// let inbox = SignalInbox::new(&backend)?;
    /// # drop(inbox);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new(backend: &Backend) -> io::Result<Self> {
        Ok(Self {
            counters: Arc::new(Counters {
                counts: [const { AtomicU32::new(0) }; SIGNALS],
                any: AtomicBool::new(false),
                wake: Wake::new(backend.wake_descriptor()?),
            }),
        })
    }

    /// Listens for a signal. What the signal did by default (end the process,
    /// say) it does no more, not even after [`ignore`](Self::ignore); a
    /// handler that was installed before is still called.
    ///
    /// # Errors
    /// `InvalidInput` for a number that is no signal or that cannot be
    /// caught (`SIGKILL`, `SIGSTOP`), or that is a fault (`SIGSEGV`, `SIGFPE`,
    /// `SIGILL`); on Windows for any but the three.
    ///
    /// ```
    /// use ferrevent_os::signal::SignalInbox;
    /// # use ferrevent_os::{Backend, BackendKind, sys::{Clock, Sys}};
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// let inbox = SignalInbox::new(&backend)?;
    /// const SIGUSR1: i32 = 10;
    /// let id = inbox.listen(SIGUSR1)?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn listen(&self, signal: i32) -> io::Result<SignalId> {
        let index = usize::try_from(signal)
            .ok()
            .filter(|index| (1..SIGNALS).contains(index))
            .filter(|_| own::can_be_caught(signal))
            .ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("signal {signal} does not exist or cannot be caught"),
                )
            })?;
        let id = own::register(signal, index, Arc::clone(&self.counters))?;
        Ok(SignalId(id))
    }

    /// Listens no more. Returns whether it did.
    ///
    /// ```
    /// use ferrevent_os::signal::SignalInbox;
    /// # use ferrevent_os::{Backend, BackendKind, sys::{Clock, Sys}};
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// let inbox = SignalInbox::new(&backend)?;
    /// let id = inbox.listen(10)?;
    /// inbox.ignore(&id);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn ignore(&self, id: &SignalId) -> bool {
        own::unregister(id.0)
    }

    /// Takes what has come: each signal and how often.
    ///
    /// ```
    /// use ferrevent_os::signal::SignalInbox;
    /// # use ferrevent_os::{Backend, BackendKind, sys::{Clock, Sys}};
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// let inbox = SignalInbox::new(&backend)?;
    /// inbox.take(|signal, times| println!("signal {signal} came {times} times"));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn take(&self, mut tell: impl FnMut(i32, u32)) {
        if !self.counters.any.swap(false, Ordering::AcqRel) {
            return;
        }
        for (signal, count) in self.counters.counts.iter().enumerate() {
            let times = count.swap(0, Ordering::AcqRel);
            if times > 0 {
                tell(signal as i32, times);
            }
        }
    }

    /// Wakes by way of a rebuilt backend from now on.
    ///
    /// # Errors
    /// When descriptors have run out.
    ///
    /// ```
    /// use ferrevent_os::signal::SignalInbox;
    /// # use ferrevent_os::{Backend, BackendKind, sys::{Clock, Sys}};
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// let inbox = SignalInbox::new(&backend)?;
    /// inbox.use_backend(&backend)?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn use_backend(&self, backend: &Backend) -> io::Result<()> {
        self.counters.wake.replace(backend.wake_descriptor()?)
    }
}

impl Counters {
    /// Runs in the signal handler.
    fn count(&self, index: usize) {
        self.counts[index].fetch_add(1, Ordering::AcqRel);
        self.any.store(true, Ordering::Release);
        self.wake.wake();
    }
}

impl fmt::Debug for SignalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignalId")
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::BackendKind;
    use crate::sys::{Clock, Sys};

    #[test]
    fn what_cannot_be_caught_is_refused() {
        let backend = Backend::new(BackendKind::Poll, Sys::new(Clock::real(), None)).unwrap();
        let inbox = SignalInbox::new(&backend).unwrap();
        for signal in [0, -1, 9, 11, 65, 1000] {
            let error = inbox.listen(signal).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{signal}");
        }
    }

    #[test]
    fn two_loops_are_both_told_how_often() {
        let backend = Backend::new(BackendKind::Poll, Sys::new(Clock::real(), None)).unwrap();
        let inboxes = [
            SignalInbox::new(&backend).unwrap(),
            SignalInbox::new(&backend).unwrap(),
        ];
        let ids: Vec<_> = inboxes
            .iter()
            .map(|inbox| inbox.listen(libc::SIGWINCH).unwrap())
            .collect();
        for _ in 0..3 {
            // SAFETY: raises a signal that was just given a handler.
            unsafe { libc::raise(libc::SIGWINCH) };
        }
        for inbox in &inboxes {
            let mut told = Vec::new();
            inbox.take(|signal, times| told.push((signal, times)));
            assert_eq!(told, [(libc::SIGWINCH, 3)]);
        }
        assert!(inboxes[0].ignore(&ids[0]));
        assert!(!inboxes[0].ignore(&ids[0]));
    }
}
