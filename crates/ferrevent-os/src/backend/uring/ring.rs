//! The ring itself: set up with what this kernel has, entered, and made anew
//! in the child of a fork.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use io_uring::{EnterFlags, IoUring, squeue};

/// Submissions that fit into the ring at a time; more of them wait outside.
const SUBMISSIONS: u32 = 1024;
/// Completions that fit; the kernel keeps more of them aside (`NODROP`).
const COMPLETIONS: u32 = 4096;

pub(super) struct Ring {
    ring: IoUring,
    /// Made disabled; whoever turns it first enables it.
    disabled: bool,
    forks: u32,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ring {}", self.ring.as_raw_fd())
    }
}

/// How a ring is asked for. What a kernel does not know it refuses with
/// `EINVAL`, and the next way is tried.
#[derive(Clone, Copy)]
struct Way {
    /// Completions are made when the owner asks for them, by the owner
    /// (`DEFER_TASKRUN`, `SINGLE_ISSUER`: Linux 6.1).
    deferred: bool,
    /// Completions are made at the next system call (`COOP_TASKRUN`: 5.19).
    cooperative: bool,
    /// Without the array of indices (`NO_SQARRAY`: 6.6).
    plain_array: bool,
}

const WAYS: [Way; 6] = [
    way(true, false, true),
    way(true, false, false),
    way(false, true, true),
    way(false, true, false),
    way(false, false, true),
    way(false, false, false),
];

const fn way(deferred: bool, cooperative: bool, plain_array: bool) -> Way {
    Way {
        deferred,
        cooperative,
        plain_array,
    }
}

impl Ring {
    /// A ring for one thread, or for several that share it.
    ///
    /// Several threads cannot have deferred or cooperative completions: those
    /// are made only when the thread that submitted the operation makes a
    /// system call, and one that is held up in a handler would hold up every
    /// stream it had submitted for.
    pub(super) fn new(shared: bool, small: bool) -> io::Result<Self> {
        let mut outcome = Err(io::ErrorKind::Unsupported.into());
        for way in WAYS {
            if shared && (way.deferred || way.cooperative) {
                continue;
            }
            outcome = Self::try_new(way, small);
            match &outcome {
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
                _ => break,
            }
        }
        let ring = outcome?;
        let params = ring.ring.params();
        let enough = params.is_feature_nodrop()
            && params.is_feature_submit_stable()
            && params.is_feature_fast_poll()
            && params.is_feature_ext_arg();
        if enough {
            Ok(ring)
        } else {
            Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this kernel's io_uring is too old (Linux 5.13 or newer is needed)",
            ))
        }
    }

    fn try_new(way: Way, small: bool) -> io::Result<Self> {
        let mut builder = IoUring::builder();
        builder.setup_clamp();
        if way.deferred {
            builder
                .setup_single_issuer()
                .setup_defer_taskrun()
                .setup_r_disabled();
        }
        if way.cooperative {
            builder.setup_coop_taskrun();
        }
        if way.deferred || way.cooperative {
            builder.setup_submit_all();
        }
        if way.plain_array {
            builder.setup_no_sqarray();
        }
        let submissions = if small {
            builder.setup_cqsize(8);
            4
        } else {
            builder.setup_cqsize(COMPLETIONS);
            SUBMISSIONS
        };
        Ok(Self {
            ring: builder.build(submissions)?,
            disabled: way.deferred,
            forks: forks(),
        })
    }

    /// Whether it was made by this process. What another process made is
    /// that one's: its memory here is a window into the other's ring.
    #[inline]
    pub(super) fn is_ours(&self) -> bool {
        self.forks == forks()
    }

    /// Lets it begin, on the thread that will turn it.
    pub(super) fn enable(&mut self) -> io::Result<()> {
        if self.disabled {
            self.ring.submitter().register_enable_rings()?;
            self.disabled = false;
        }
        Ok(())
    }

    pub(super) fn is_enabled(&self) -> bool {
        !self.disabled
    }

    /// Whether one receive may fill several buffers (6.10).
    #[inline]
    pub(super) fn has_bundles(&self) -> bool {
        self.ring.params().is_feature_recvsend_bundle()
    }

    pub(super) fn inner(&self) -> &IoUring {
        &self.ring
    }

    /// Puts an entry into the submission queue; false when it is full.
    ///
    /// # Safety
    /// The caller must hold the lock that guards the queue, and what the entry
    /// points to must live until the kernel is done with it.
    #[inline]
    pub(super) unsafe fn push(&self, entry: &squeue::Entry) -> bool {
        // SAFETY: the caller's lock makes this the only submission queue.
        unsafe { self.ring.submission_shared().push(entry).is_ok() }
    }

    /// Entries that the kernel has not taken yet.
    ///
    /// # Safety
    /// As for [`push`](Self::push), the lock.
    pub(super) unsafe fn unsubmitted(&self) -> u32 {
        // SAFETY: the caller's lock makes this the only submission queue.
        unsafe { self.ring.submission_shared().len() as u32 }
    }

    /// Hands so many submissions to the kernel and waits for so many
    /// completions: io_uring_enter(2). A signal or the end of the time is no
    /// error.
    pub(super) fn enter(
        &self,
        submit: u32,
        wait_for: u32,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        let time = timeout.map(|time| Timespec {
            seconds: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            nanoseconds: time.subsec_nanos().into(),
        });
        let arg = WaitArgument {
            time: time
                .as_ref()
                .map_or(0, |time| std::ptr::from_ref(time) as u64),
            ..WaitArgument::default()
        };
        let flags = EnterFlags::GETEVENTS | EnterFlags::EXT_ARG;
        // SAFETY: `arg` has the layout that EXT_ARG asks for, and it and the
        // time it points to live through the call.
        let outcome = unsafe {
            self.ring
                .submitter()
                .enter(submit, wait_for, flags.bits(), Some(&arg))
        };
        match outcome {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                // EBUSY: completions must be taken first. EAGAIN: no memory
                // just now. Both go away by taking completions and coming back.
                Some(libc::EINTR | libc::ETIME | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }
}

/// `struct io_uring_getevents_arg` of io_uring_enter(2).
#[repr(C)]
#[derive(Default)]
struct WaitArgument {
    mask: u64,
    mask_size: u32,
    min_wait_usec: u32,
    time: u64,
}

/// `struct __kernel_timespec`.
#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

/// How many forks lie between the first process and this one.
static FORKS: AtomicU32 = AtomicU32::new(0);

#[inline]
fn forks() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// Has forks counted from now on.
pub(super) fn count_forks() {
    static COUNTING: Once = Once::new();
    COUNTING.call_once(|| {
        extern "C" fn forked() {
            FORKS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the handler only adds to an atomic, which is allowed in the
        // child of a fork. Should it not be registered for want of memory, a
        // fork must be told by `after_fork`, as on every backend.
        unsafe { libc::pthread_atfork(None, None, Some(forked)) };
    });
}
