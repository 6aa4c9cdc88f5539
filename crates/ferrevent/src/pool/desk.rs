//! The desk: where workers fetch work and hand it in.
//!
//! One lock guards everything that is shared, and is held only to fetch and
//! to hand in, never while a job is done. A worker that finds no work waits
//! for the kernel, if nobody else does (the lookout); the others sleep. They
//! are woken when more waits than those who are awake will soon have done. One
//! of the sleepers wakes from time to time while work is done (the watch):
//! should nobody have come for work since, because of a job that blocks, the
//! watch takes over, so that delays nobody else's for longer than two ticks.
//! Waking a sleeper for every event would cost more than most events do.

use std::sync::PoisonError;
use std::time::Duration;

use crate::quiet::{self, QUIET};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// How often the watch looks whether anybody works.
const TICK: Duration = Duration::from_millis(2);
/// So many ticks without a new job, and the watch sleeps too: whatever is being
/// done then goes on beside a lookout.
const QUIET_TICKS: u32 = 50;
/// So many when nothing is being done either, and only the kernel is waited for.
const REST_TICKS: u32 = 2;

/// Where work comes from; guarded by the desk's lock.
pub(super) trait Source {
    /// Something to do, without the lock.
    type Job;
    /// What came of it.
    type Done;
    /// What it takes to wait for the kernel.
    type Lookout;
    /// What must be dropped without the lock.
    type Waste;

    /// The next job.
    fn next(&mut self) -> Option<Self::Job>;
    /// Takes the outcome of a job.
    fn hand_in(&mut self, done: Self::Done) -> Option<Self::Waste>;
    /// Whether another worker might find a job.
    fn has_more(&self) -> bool;
    /// Whether there is so much to do that a sleeper is worth waking for it.
    fn wants_help(&self) -> bool;
    /// Lends the lookout; `None` while it is lent.
    fn lend(&mut self) -> Option<Self::Lookout>;
    /// Takes the lookout back, with what it saw.
    fn give_back(&mut self, lookout: Self::Lookout);
    /// Whether nobody looks out.
    fn is_unwatched(&self) -> bool;
    /// Whether the lookout has to end its wait sooner than it meant to; asked
    /// once, it is taken to have been told.
    fn is_due_sooner(&mut self) -> bool;
    /// Whether workers are to go home, when so many jobs are being done.
    fn is_over(&self, running: usize) -> bool;
}

/// What a worker does without the lock.
pub(super) trait Hands<S: Source> {
    /// Does a job.
    fn work(&self, job: S::Job) -> S::Done;
    /// Waits for the kernel.
    fn look_out(&self, lookout: &mut S::Lookout);
    /// Ends the wait of the lookout, now or as soon as it begins.
    fn call_lookout(&self);
    /// Drops what is left of a job.
    fn throw_away(&self, waste: S::Waste);
}

pub(super) struct Desk<S> {
    state: Mutex<State<S>>,
    bell: Condvar,
}

struct State<S> {
    source: S,
    /// Workers that sleep, and how many of them the bell was rung for.
    asleep: usize,
    rung: usize,
    /// One of the sleepers wakes at every tick.
    watched: bool,
    running: usize,
    /// Counts the jobs: for the watch to see whether anything goes on.
    jobs: u64,
    over: bool,
}

impl<S: Source> Desk<S> {
    pub(super) fn new(source: S) -> Self {
        Self {
            state: Mutex::new(State {
                source,
                asleep: 0,
                rung: 0,
                watched: false,
                running: 0,
                jobs: 0,
                over: false,
            }),
            bell: Condvar::new(),
        }
    }

    /// Uses the source from outside, and sees to it that what comes of it is
    /// noticed.
    pub(super) fn with<R>(&self, hands: &impl Hands<S>, work: impl FnOnce(&mut S) -> R) -> R {
        let mut state = self.lock();
        let result = work(&mut state.source);
        self.ring_for_more(&mut state);
        let State {
            source, running, ..
        } = &mut *state;
        let call = !source.is_unwatched()
            && (source.is_due_sooner() || source.has_more() || source.is_over(*running));
        drop(state);
        if call {
            hands.call_lookout();
        }
        result
    }

    /// The source, when no worker is there any more.
    pub(super) fn source(&mut self) -> &mut S {
        &mut self
            .state
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .source
    }

    /// Whether a job is being done, or one is there to be done.
    #[cfg(feature = "async")]
    pub(super) fn is_working(&self) -> bool {
        let state = self.lock();
        state.running > 0 || state.source.has_more()
    }

    /// Lets workers come again.
    pub(super) fn open(&self) {
        self.lock().over = false;
    }

    /// The life of a worker.
    pub(super) fn work(&self, hands: &impl Hands<S>) {
        let mut state = self.lock();
        while !state.over {
            if let Some(job) = state.source.next() {
                state.running += 1;
                state.jobs += 1;
                self.ring_for_more(&mut state);
                drop(state);
                let done = hands.work(job);
                state = self.lock();
                state.running -= 1;
                let waste = state.source.hand_in(done);
                if !state.source.is_unwatched() && state.source.is_due_sooner() {
                    hands.call_lookout();
                }
                if let Some(waste) = waste {
                    drop(state);
                    hands.throw_away(waste);
                    state = self.lock();
                }
            } else if state.source.is_over(state.running) {
                state.over = true;
                self.bell.notify_all();
                if !state.source.is_unwatched() {
                    hands.call_lookout();
                }
            } else if let Some(mut lookout) = state.source.lend() {
                drop(state);
                hands.look_out(&mut lookout);
                state = self.lock();
                state.source.give_back(lookout);
            } else {
                state = self.sleep(state);
            }
        }
    }

    /// Wakes a sleeper if there is much to do, or nobody keeps the watch.
    fn ring_for_more(&self, state: &mut State<S>) {
        if state.asleep > state.rung && (!state.watched || state.source.wants_help()) {
            state.rung += 1;
            self.bell.notify_one();
        }
    }

    /// Sleeps until the bell rings, or, for the watch, until it is needed.
    fn sleep<'a>(&'a self, mut state: MutexGuard<'a, State<S>>) -> MutexGuard<'a, State<S>> {
        state.asleep += 1;
        if !state.watched {
            state.watched = true;
            state = self.keep_watch(state);
        } else {
            state = self.sleep_on(state);
        }
        state.asleep -= 1;
        state.rung = state.rung.saturating_sub(1);
        state
    }

    fn keep_watch<'a>(&'a self, mut state: MutexGuard<'a, State<S>>) -> MutexGuard<'a, State<S>> {
        let mut quiet = 0;
        loop {
            let (jobs, rung) = (state.jobs, state.rung);
            let (again, ticked) = self.tick(state);
            state = again;
            let stuck =
                state.jobs == jobs && (state.source.is_unwatched() || state.source.has_more());
            let needed = stuck || state.source.wants_help();
            if !ticked || needed || state.over || state.rung != rung {
                state.watched = false;
                return state;
            }
            quiet = if state.jobs == jobs { quiet + 1 } else { 0 };
            let rests = state.running == 0 && quiet >= REST_TICKS;
            if rests || quiet >= QUIET_TICKS {
                break;
            }
        }
        // Nothing has happened for long: whoever takes the next job rings.
        state.watched = false;
        self.sleep_on(state)
    }

    /// Until the bell rings; who has slept for long gives memory back.
    fn sleep_on<'a>(&'a self, mut state: MutexGuard<'a, State<S>>) -> MutexGuard<'a, State<S>> {
        if quiet::keeps_memory() {
            let (again, timeout) = self
                .bell
                .wait_timeout(state, QUIET)
                .unwrap_or_else(PoisonError::into_inner);
            if !timeout.timed_out() {
                return again;
            }
            drop(again);
            quiet::give_back();
            state = self.lock();
            // What rang meanwhile rang unheard.
            if state.over || state.rung > 0 {
                return state;
            }
        }
        self.bell
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn tick<'a>(&'a self, state: MutexGuard<'a, State<S>>) -> (MutexGuard<'a, State<S>>, bool) {
        let (state, timeout) = self
            .bell
            .wait_timeout(state, TICK)
            .unwrap_or_else(PoisonError::into_inner);
        (state, timeout.timed_out())
    }

    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The desk under loom, with a kernel and streams that are only counters.
#[cfg(all(test, loom))]
mod model {
    use std::collections::VecDeque;

    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use loom::thread;

    use super::*;

    const STREAMS: usize = 2;

    /// Events wait by stream, as the engine keeps them.
    struct Toy {
        queue: VecDeque<usize>,
        blocked: Vec<usize>,
        out: [bool; STREAMS],
        seen: Option<Vec<usize>>,
        left: usize,
    }

    struct Kernel {
        state: Mutex<(Vec<usize>, bool)>,
        bell: Condvar,
        inside: [AtomicBool; STREAMS],
        done: AtomicUsize,
    }

    impl Source for Toy {
        type Job = usize;
        type Done = usize;
        type Lookout = Vec<usize>;
        type Waste = ();

        fn next(&mut self) -> Option<usize> {
            while let Some(stream) = self.queue.pop_front() {
                if self.out[stream] {
                    self.blocked.push(stream);
                    continue;
                }
                self.out[stream] = true;
                return Some(stream);
            }
            None
        }

        fn hand_in(&mut self, stream: usize) -> Option<()> {
            self.out[stream] = false;
            self.left -= 1;
            let (now, still) = self.blocked.iter().partition(|it| **it == stream);
            self.blocked = still;
            let now: Vec<usize> = now;
            self.queue.extend(now);
            None
        }

        fn has_more(&self) -> bool {
            !self.queue.is_empty()
        }

        fn wants_help(&self) -> bool {
            self.has_more()
        }

        fn lend(&mut self) -> Option<Vec<usize>> {
            self.seen.take()
        }

        fn give_back(&mut self, mut seen: Vec<usize>) {
            self.queue.extend(seen.drain(..));
            self.seen = Some(seen);
        }

        fn is_unwatched(&self) -> bool {
            self.seen.is_some()
        }

        fn is_due_sooner(&mut self) -> bool {
            false
        }

        fn is_over(&self, running: usize) -> bool {
            running == 0 && self.left == 0
        }
    }

    impl Hands<Toy> for Kernel {
        fn work(&self, stream: usize) -> usize {
            assert!(
                !self.inside[stream].swap(true, Ordering::SeqCst),
                "two at once"
            );
            self.done.fetch_add(1, Ordering::SeqCst);
            assert!(self.inside[stream].swap(false, Ordering::SeqCst));
            stream
        }

        fn look_out(&self, seen: &mut Vec<usize>) {
            let mut state = self.state.lock().unwrap();
            while state.0.is_empty() && !state.1 {
                state = self.bell.wait(state).unwrap();
            }
            state.1 = false;
            seen.append(&mut state.0);
        }

        fn call_lookout(&self) {
            self.state.lock().unwrap().1 = true;
            self.bell.notify_one();
        }

        fn throw_away(&self, (): ()) {}
    }

    /// Two workers, and these events told by the kernel one after another:
    /// each is worked on, none twice at once, and both workers go home.
    fn try_out(events: &'static [usize]) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(move || {
            let desk = Arc::new(Desk::new(Toy {
                queue: VecDeque::new(),
                blocked: Vec::new(),
                out: [false; STREAMS],
                seen: Some(Vec::new()),
                left: events.len(),
            }));
            let kernel = Arc::new(Kernel {
                state: Mutex::new((Vec::new(), false)),
                bell: Condvar::new(),
                inside: [AtomicBool::new(false), AtomicBool::new(false)],
                done: AtomicUsize::new(0),
            });
            let workers: Vec<_> = (0..2)
                .map(|_| {
                    let (desk, kernel) = (Arc::clone(&desk), Arc::clone(&kernel));
                    thread::spawn(move || desk.work(&*kernel))
                })
                .collect();
            for event in events {
                kernel.state.lock().unwrap().0.push(*event);
                kernel.bell.notify_one();
            }
            for worker in workers {
                worker.join().unwrap();
            }
            assert_eq!(kernel.done.load(Ordering::SeqCst), events.len());
        });
    }

    #[test]
    fn events_of_one_stream() {
        try_out(&[0, 0]);
    }

    #[test]
    fn events_of_two_streams() {
        try_out(&[0, 1]);
    }
}
