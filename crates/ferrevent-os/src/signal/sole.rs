//! Signals taken whole: the handler that was there before is not called, and
//! is back when the last listener has gone. This is how libevent has it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use super::{Counters, SIGNALS, SignalInbox};

/// A signal that is listened for with nobody before it. Dropped, it is
/// listened for no more.
///
/// ```
/// use ferrevent_os::signal::SignalInbox;
/// # use ferrevent_os::{Backend, BackendKind, sys::{Clock, Sys}};
/// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
/// let inbox = SignalInbox::new(&backend)?;
/// let sole = inbox.listen_alone(12)?;
/// drop(sole); // what the signal did before it does again
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct SoleSignal {
    signal: i32,
    index: usize,
    counters: Arc<Counters>,
}

impl SignalInbox {
    /// Listens for a signal in place of what was done with it before, be that
    /// a handler or what the system does by default. That is back when the
    /// last such listener, of whatever inbox, has been dropped.
    ///
    /// The handler restarts calls that it interrupts (`SA_RESTART`), and every
    /// other signal waits for its end.
    ///
    /// # Errors
    /// `InvalidInput` for a number that is no signal, or that cannot be caught.
    ///
    /// ```
    /// use ferrevent_os::signal::SignalInbox;
    /// # use ferrevent_os::{Backend, BackendKind, sys::{Clock, Sys}};
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// let inbox = SignalInbox::new(&backend)?;
    /// let sole = inbox.listen_alone(12)?;
    /// assert!(inbox.listen_alone(9).is_err());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn listen_alone(&self, signal: i32) -> io::Result<SoleSignal> {
        let index = usize::try_from(signal)
            .ok()
            .filter(|index| (1..SIGNALS).contains(index))
            .ok_or(io::ErrorKind::InvalidInput)?;
        let mut all = taken();
        let taken = match all.entry(signal) {
            Entry::Occupied(taken) => taken.into_mut(),
            Entry::Vacant(free) => free.insert(Taken {
                before: install(signal)?,
                listeners: Vec::new(),
            }),
        };
        taken.listeners.push(Arc::clone(&self.counters));
        publish(index, &taken.listeners);
        Ok(SoleSignal {
            signal,
            index,
            counters: Arc::clone(&self.counters),
        })
    }
}

impl Drop for SoleSignal {
    fn drop(&mut self) {
        let mut all = taken();
        let Some(taken) = all.get_mut(&self.signal) else {
            return;
        };
        let mine = |counters: &Arc<Counters>| Arc::ptr_eq(counters, &self.counters);
        if let Some(place) = taken.listeners.iter().position(mine) {
            taken.listeners.remove(place);
        }
        if taken.listeners.is_empty() {
            // SAFETY: what sigaction(2) has given for this signal, given back.
            unsafe { libc::sigaction(self.signal, &raw const taken.before, ptr::null_mut()) };
            all.remove(&self.signal);
            publish(self.index, &[]);
        } else {
            publish(self.index, &taken.listeners);
        }
    }
}

/// A signal that is taken.
struct Taken {
    before: libc::sigaction,
    listeners: Vec<Arc<Counters>>,
}

static TAKEN: LazyLock<Mutex<HashMap<i32, Taken>>> = LazyLock::new(Mutex::default);

fn taken() -> MutexGuard<'static, HashMap<i32, Taken>> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has the signal counted, and returns what was done with it before.
fn install(signal: i32) -> io::Result<libc::sigaction> {
    let handler: extern "C" fn(libc::c_int) = count;
    let mut before = MaybeUninit::zeroed();
    // SAFETY: a `sigaction` of zeros is valid, and so is its set once it is
    // filled. The handler only does what signal-safety(7) allows.
    unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        libc::sigfillset(&raw mut action.sa_mask);
        if libc::sigaction(signal, &raw const action, before.as_mut_ptr()) < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(before.assume_init())
    }
}

type Listeners = Vec<Arc<Counters>>;

/// What the handler reads: a list for each signal, or none.
static PUBLISHED: [AtomicPtr<Listeners>; SIGNALS] =
    [const { AtomicPtr::new(ptr::null_mut()) }; SIGNALS];
/// Handlers that run now, and may be reading a list.
static RUNNING: AtomicUsize = AtomicUsize::new(0);
/// How often it is looked whether they have ended.
const LOOKS: u32 = 10_000;

/// The signal handler.
extern "C" fn count(signal: libc::c_int) {
    // SAFETY: the calling thread's own.
    let errno = unsafe { *libc::__errno_location() };
    RUNNING.fetch_add(1, Ordering::SeqCst);
    if let Ok(index) = usize::try_from(signal)
        && let Some(published) = PUBLISHED.get(index)
    {
        // SAFETY: a list is freed only when no handler runs that could have
        // seen it: this one was counted before it looked.
        if let Some(listeners) = unsafe { published.load(Ordering::SeqCst).as_ref() } {
            for counters in listeners {
                counters.count(index);
            }
        }
    }
    RUNNING.fetch_sub(1, Ordering::SeqCst);
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Gives the handler another list. Only under the lock of `TAKEN`.
fn publish(index: usize, listeners: &[Arc<Counters>]) {
    let fresh = if listeners.is_empty() {
        ptr::null_mut()
    } else {
        Box::into_raw(Box::new(listeners.to_vec()))
    };
    let old = PUBLISHED[index].swap(fresh, Ordering::SeqCst);
    if old.is_null() {
        return;
    }
    for _ in 0..LOOKS {
        if RUNNING.load(Ordering::SeqCst) == 0 {
            // SAFETY: it was made by `into_raw`, nobody finds it any more, and
            // no handler runs that has found it.
            drop(unsafe { Box::from_raw(old) });
            return;
        }
        std::thread::yield_now();
    }
    // In the child of a fork a handler may be counted that only the parent
    // has: then the list is left where it is.
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{Clock, Sys};
    use crate::{Backend, BackendKind};

    static BEFORE: AtomicUsize = AtomicUsize::new(0);

    extern "C" fn before(_: libc::c_int) {
        BEFORE.fetch_add(1, Ordering::SeqCst);
    }

    #[test]
    fn what_was_there_before_is_silent_meanwhile_and_back_afterwards() {
        let backend = Backend::new(BackendKind::Poll, Sys::new(Clock::real(), None)).unwrap();
        let inboxes = [
            SignalInbox::new(&backend).unwrap(),
            SignalInbox::new(&backend).unwrap(),
        ];
        let handler: extern "C" fn(libc::c_int) = before;
        // SAFETY: a handler that adds to an atomic.
        unsafe { libc::signal(libc::SIGURG, handler as *const () as usize) };
        let raise = || {
            // SAFETY: the signal has a handler.
            unsafe { libc::raise(libc::SIGURG) };
        };
        let heard = |inbox: &SignalInbox| {
            let mut heard = 0;
            inbox.take(|signal, times| {
                assert_eq!(signal, libc::SIGURG);
                heard += times;
            });
            heard
        };
        let first = inboxes[0].listen_alone(libc::SIGURG).unwrap();
        let second = inboxes[1].listen_alone(libc::SIGURG).unwrap();
        raise();
        raise();
        assert_eq!([heard(&inboxes[0]), heard(&inboxes[1])], [2, 2]);
        drop(first);
        raise();
        assert_eq!([heard(&inboxes[0]), heard(&inboxes[1])], [0, 1]);
        assert_eq!(BEFORE.load(Ordering::SeqCst), 0);
        drop(second);
        raise();
        assert_eq!([heard(&inboxes[0]), heard(&inboxes[1])], [0, 0]);
        assert_eq!(BEFORE.load(Ordering::SeqCst), 1);
        assert!(inboxes[0].listen_alone(libc::SIGKILL).is_err());
        assert!(inboxes[0].listen_alone(0).is_err());
    }
}
