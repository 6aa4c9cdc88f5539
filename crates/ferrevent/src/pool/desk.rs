//! The desk: where workers fetch work and hand it in.
//!
//! One lock guards everything that is shared, and is held only to fetch and
//! to hand in, never while a job is done. A worker that finds no work waits
//! for the kernel, if nobody else does (the lookout); the others sleep. One of
//! the sleepers wakes from time to time while work is done (the watch): should
//! the lookout have gone to work and be held up there, the watch takes its
//! place, so a job that blocks delays nobody else's for longer than a tick.
//! Waking a sleeper for every event would cost more than most events do.

use std::time::Duration;

use super::sync::{Condvar, Mutex, MutexGuard};

/// How long the kernel may be without a lookout.
const TICK: Duration = Duration::from_millis(2);
/// So many ticks without any work, and the watch sleeps too.
const QUIET_TICKS: u32 = 50;

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
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .source
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

    /// Wakes a sleeper if there is more to do, or nobody keeps the watch.
    fn ring_for_more(&self, state: &mut State<S>) {
        if state.asleep > state.rung && (!state.watched || state.source.has_more()) {
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
            state = self
                .bell
                .wait(state)
                .unwrap_or_else(|poison| poison.into_inner());
        }
        state.asleep -= 1;
        state.rung = state.rung.saturating_sub(1);
        state
    }

    fn keep_watch<'a>(&'a self, mut state: MutexGuard<'a, State<S>>) -> MutexGuard<'a, State<S>> {
        let mut quiet = 0;
        while quiet < QUIET_TICKS {
            let (jobs, rung) = (state.jobs, state.rung);
            let (again, ticked) = self.tick(state);
            state = again;
            let needed = state.source.is_unwatched() || state.source.has_more();
            if !ticked || needed || state.over || state.rung != rung {
                state.watched = false;
                return state;
            }
            quiet = if state.jobs == jobs { quiet + 1 } else { 0 };
        }
        // Nothing has happened for long: whoever takes the next job rings.
        state.watched = false;
        self.bell
            .wait(state)
            .unwrap_or_else(|poison| poison.into_inner())
    }

    fn tick<'a>(&'a self, state: MutexGuard<'a, State<S>>) -> (MutexGuard<'a, State<S>>, bool) {
        let (state, timeout) = self
            .bell
            .wait_timeout(state, TICK)
            .unwrap_or_else(|poison| poison.into_inner());
        (state, timeout.timed_out())
    }

    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
