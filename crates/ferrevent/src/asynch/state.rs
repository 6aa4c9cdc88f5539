//! When a task is to be polled: by one thread at a time, and once more
//! whenever it was woken since its last poll began.

use crate::sync::{AtomicU8, Ordering};

/// Where a task stands.
#[derive(Debug)]
pub(super) struct State(AtomicU8);

/// It is in a queue, or will be when its poll ends.
const SCHEDULED: u8 = 1;
/// Somebody polls it.
const RUNNING: u8 = 1 << 1;
/// It is to be dropped instead of polled.
const CANCELED: u8 = 1 << 2;
/// It is over.
const DONE: u8 = 1 << 3;

impl State {
    /// A task that whoever makes it puts into a queue.
    pub(super) fn scheduled() -> Self {
        Self(AtomicU8::new(SCHEDULED))
    }

    /// Wakes it; true when the caller must put it into a queue.
    #[inline]
    pub(super) fn wake(&self) -> bool {
        self.ask(SCHEDULED)
    }

    /// Asks for its end; true when the caller must put it into a queue.
    pub(super) fn cancel(&self) -> bool {
        self.ask(SCHEDULED | CANCELED)
    }

    /// Out of the queue: whoever took it begins to poll. False when it is to
    /// be dropped instead.
    #[inline]
    pub(super) fn begin(&self) -> bool {
        // One who has it from the queue finds it scheduled and not running.
        let before = self.0.fetch_xor(SCHEDULED | RUNNING, Ordering::AcqRel);
        before & CANCELED == 0
    }

    /// It was polled and goes on; true when it was woken meanwhile, and the
    /// caller must put it into a queue again.
    #[inline]
    pub(super) fn pause(&self) -> bool {
        let before = self.0.fetch_and(!RUNNING, Ordering::AcqRel);
        before & SCHEDULED != 0
    }

    /// It is over.
    pub(super) fn finish(&self) {
        self.0.fetch_or(DONE, Ordering::AcqRel);
    }

    #[cfg(all(test, loom))]
    fn is_done(&self) -> bool {
        self.0.load(Ordering::Acquire) & DONE != 0
    }

    #[inline]
    fn ask(&self, bits: u8) -> bool {
        let before = self.0.fetch_or(bits, Ordering::AcqRel);
        before & (SCHEDULED | RUNNING | DONE) == 0
    }
}

/// The wake-up of a task under loom.
#[cfg(all(test, loom))]
mod model {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicBool, AtomicUsize};
    use loom::thread;

    use super::*;
    use crate::sync::{Condvar, Mutex};

    struct Toy {
        state: State,
        inside: AtomicBool,
        polls: AtomicUsize,
        /// What those who wake it have left for it, and what it saw of that.
        left: AtomicUsize,
        seen: AtomicUsize,
        dropped: AtomicBool,
        queue: Mutex<usize>,
        bell: Condvar,
    }

    impl Toy {
        fn new() -> Arc<Self> {
            Arc::new(Self {
                state: State::scheduled(),
                inside: AtomicBool::new(false),
                polls: AtomicUsize::new(0),
                left: AtomicUsize::new(0),
                seen: AtomicUsize::new(0),
                dropped: AtomicBool::new(false),
                queue: Mutex::new(1),
                bell: Condvar::new(),
            })
        }

        fn schedule(&self) {
            *self.queue.lock().unwrap() += 1;
            self.bell.notify_one();
        }

        fn wake(&self) {
            self.left.fetch_add(1, Ordering::Relaxed);
            if self.state.wake() {
                self.schedule();
            }
        }

        /// Takes it from the queue and polls it; loom calls a deadlock what
        /// never comes.
        fn poll(&self) {
            let mut queue = self.queue.lock().unwrap();
            while *queue == 0 {
                queue = self.bell.wait(queue).unwrap();
            }
            *queue -= 1;
            drop(queue);
            let inside = self.inside.swap(true, Ordering::AcqRel);
            assert!(!inside, "two at once");
            if !self.state.begin() {
                self.dropped.store(true, Ordering::Relaxed);
                self.state.finish();
                self.inside.store(false, Ordering::Release);
                return;
            }
            self.polls.fetch_add(1, Ordering::Relaxed);
            self.seen
                .store(self.left.load(Ordering::Relaxed), Ordering::Relaxed);
            self.inside.store(false, Ordering::Release);
            if self.state.pause() {
                self.schedule();
            }
        }
    }

    /// Whatever was left before a wake-up is seen by a poll, whichever thread
    /// does it, and never by two at once.
    #[test]
    fn no_wake_up_of_a_task_is_lost() {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(|| {
            let task = Toy::new();
            let wakers: Vec<_> = (0..2)
                .map(|_| {
                    let task = Arc::clone(&task);
                    thread::spawn(move || task.wake())
                })
                .collect();
            while task.seen.load(Ordering::Relaxed) < 2 {
                task.poll();
            }
            for waker in wakers {
                waker.join().unwrap();
            }
            assert!(task.polls.load(Ordering::Relaxed) <= 3);
        });
    }

    /// One that is canceled is dropped, once, whatever else wakes it.
    #[test]
    fn no_cancel_of_a_task_is_lost() {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(|| {
            let task = Toy::new();
            let waker = {
                let task = Arc::clone(&task);
                thread::spawn(move || task.wake())
            };
            let end = {
                let task = Arc::clone(&task);
                thread::spawn(move || {
                    if task.state.cancel() {
                        task.schedule();
                    }
                })
            };
            while !task.dropped.load(Ordering::Relaxed) {
                task.poll();
            }
            waker.join().unwrap();
            end.join().unwrap();
            assert!(task.state.is_done());
        });
    }
}
