//! Messages from many threads to one that sleeps while there are none.

use std::sync::PoisonError;

use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering, spin_loop};

/// A box that knows whether its owner sleeps.
pub(crate) struct Post<T> {
    state: Mutex<State<T>>,
    /// Whether there are messages; set and cleared under the lock.
    waiting: AtomicBool,
}

struct State<T> {
    messages: Vec<T>,
    /// The owner sleeps, and nobody has been told to wake it.
    asleep: bool,
    open: bool,
}

impl<T> Post<T> {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                messages: Vec::new(),
                asleep: false,
                open: true,
            }),
            waiting: AtomicBool::new(false),
        }
    }

    /// Leaves a message; true when its owner sleeps and must be woken, which
    /// one sender is told and no other. Gives the message back when nobody
    /// will read it.
    pub(crate) fn send(&self, message: T) -> Result<bool, T> {
        let mut state = self.lock();
        if !state.open {
            return Err(message);
        }
        state.messages.push(message);
        self.waiting.store(true, Ordering::Release);
        Ok(std::mem::take(&mut state.asleep))
    }

    /// Says that the owner is about to sleep; false when there is mail.
    pub(crate) fn fall_asleep(&self) -> bool {
        let mut state = self.lock();
        state.asleep = state.messages.is_empty();
        state.asleep
    }

    /// Says that the owner is awake.
    pub(crate) fn wake_up(&self) {
        self.lock().asleep = false;
    }

    /// Takes every message, in order; `into` must be empty and lends its room.
    pub(crate) fn collect(&self, into: &mut Vec<T>) {
        let mut state = self.lock();
        std::mem::swap(&mut state.messages, into);
        self.waiting.store(false, Ordering::Release);
    }

    /// Whether there is mail, or comes some while this is asked `tries` times.
    pub(crate) fn has_mail(&self, tries: u32) -> bool {
        (0..=tries).any(|_| {
            spin_loop();
            self.waiting.load(Ordering::Acquire)
        })
    }

    /// Whether somebody will read messages.
    #[cfg(feature = "dns")]
    pub(crate) fn is_open(&self) -> bool {
        self.lock().open
    }

    /// Takes no more messages.
    pub(crate) fn close(&self) -> Vec<T> {
        let mut state = self.lock();
        state.open = false;
        std::mem::take(&mut state.messages)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The post under loom.
#[cfg(all(test, loom))]
mod model {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// Whatever the order, the owner sees every message without sleeping for
    /// ever: loom calls a deadlock what nobody wakes.
    #[test]
    fn no_wake_up_is_lost() {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(4);
        builder.check(|| {
            let post = Arc::new(Post::new());
            let bell = Arc::new((Mutex::new(false), crate::sync::Condvar::new()));
            for number in 0..2 {
                let (post, bell) = (Arc::clone(&post), Arc::clone(&bell));
                thread::spawn(move || {
                    if post.send(number).unwrap() {
                        *bell.0.lock().unwrap() = true;
                        bell.1.notify_one();
                    }
                });
            }
            let mut read = Vec::new();
            let mut seen = 0;
            while seen < 2 {
                if post.fall_asleep() {
                    let mut rung = bell.0.lock().unwrap();
                    while !*rung {
                        rung = bell.1.wait(rung).unwrap();
                    }
                    *rung = false;
                }
                post.wake_up();
                post.collect(&mut read);
                seen += read.len();
                read.clear();
            }
        });
    }

    /// A message is read, or given back.
    #[test]
    fn closing_loses_nothing() {
        loom::model(|| {
            let post = Arc::new(Post::new());
            let sender = {
                let post = Arc::clone(&post);
                thread::spawn(move || post.send(()).is_ok())
            };
            let read = post.close().len();
            assert_eq!(sender.join().unwrap(), read == 1);
        });
    }
}
