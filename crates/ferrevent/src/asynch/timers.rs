//! The timers of a runtime: a queue of their own under one timer of the
//! engine, so that making one asks nothing of the loop.

use std::sync::Arc;
use std::task::Waker;

use ferrevent_core::timer::{self, Tick, TimerQueue};

use super::hub::Hub;
use super::{here, lock, remember};
use crate::TimerId;
use crate::host::Context;

pub(super) struct Timers {
    queue: TimerQueue<u32>,
    wakers: Vec<Option<Waker>>,
    free: Vec<u32>,
    /// When the engine's timer is due, and which it is.
    armed: Tick,
    id: Option<TimerId>,
    /// Somebody was told to arm it.
    asked: bool,
}

/// A timer in the queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    id: timer::TimerId,
    slot: u32,
}

impl Timers {
    pub(super) fn new(now: Tick) -> Self {
        Self {
            queue: TimerQueue::new(now),
            wakers: Vec::new(),
            free: Vec::new(),
            armed: Tick::MAX,
            id: None,
            asked: false,
        }
    }

    fn insert(&mut self, deadline: Tick, waker: &Waker) -> Entry {
        let waker = Some(waker.clone());
        let slot = match self.free.pop() {
            Some(slot) => {
                self.wakers[slot as usize] = waker;
                slot
            }
            None => {
                self.wakers.push(waker);
                // Four billion wakers do not fit into any memory.
                u32::try_from(self.wakers.len() - 1).unwrap_or(u32::MAX)
            }
        };
        Entry {
            id: self.queue.insert(deadline, slot),
            slot,
        }
    }

    fn remove(&mut self, entry: Entry) -> Option<Waker> {
        self.queue.remove(entry.id);
        self.free.push(entry.slot);
        let waker = self.wakers.get_mut(entry.slot as usize)?.take();
        if self.free.len() == self.wakers.len() && self.free.len() > KEPT {
            self.free = Vec::new();
            self.wakers = Vec::new();
            self.queue.shrink();
        }
        waker
    }

    /// Takes every waker, at the end.
    pub(super) fn clear(&mut self) -> Vec<Option<Waker>> {
        self.wakers.iter_mut().map(Option::take).collect()
    }
}

/// So many places are kept when nobody uses them.
const KEPT: usize = 64;

impl Hub {
    /// Wakes at this time; whoever asked gives the entry back.
    pub(super) fn add_timer(self: &Arc<Self>, deadline: Tick, waker: &Waker) -> Entry {
        let (entry, sooner) = {
            let mut timers = lock(&self.timers);
            let entry = timers.insert(deadline, waker);
            let sooner = deadline < timers.armed && !timers.asked;
            timers.asked |= sooner;
            (entry, sooner)
        };
        if sooner && !here::note_timers(self) {
            self.arm_timers_by_mail();
        }
        entry
    }

    pub(super) fn arm_timers_by_mail(self: &Arc<Self>) {
        let hub = Arc::clone(self);
        // A runtime that is gone has no timers any more.
        let _ = self.run(move |context| hub.arm_timers(context));
    }

    pub(super) fn change_timer(&self, entry: Entry, waker: &Waker) {
        let mut timers = lock(&self.timers);
        if let Some(slot) = timers.wakers.get_mut(entry.slot as usize) {
            remember(slot, waker);
        }
    }

    pub(super) fn remove_timer(&self, entry: Entry) {
        let waker = lock(&self.timers).remove(entry);
        drop(waker);
    }

    /// Sees to it that the engine wakes for the next one.
    pub(super) fn arm_timers(self: &Arc<Self>, context: &mut Context<'_>) {
        // Held until it is armed: two that arm it must not overtake each other.
        let mut timers = lock(&self.timers);
        timers.asked = false;
        let Some(next) = timers.queue.next_deadline() else {
            return;
        };
        if next >= timers.armed {
            return;
        }
        let after = next.since(self.now());
        timers.armed = next;
        if timers.id.is_some_and(|id| context.arm_timer(id, after)) {
            return;
        }
        let hub = Arc::clone(self);
        match context.timer(after, move |context| hub.fire(context)) {
            Ok(id) => timers.id = Some(id),
            // Four billion things are registered: the next one asks again.
            Err(_) => timers.armed = Tick::MAX,
        }
    }

    /// Wakes what is due; called by the engine's timer.
    fn fire(self: &Arc<Self>, context: &mut Context<'_>) {
        here::work(self, context, || {
            let now = self.now();
            loop {
                let waker = {
                    let mut timers = lock(&self.timers);
                    let Some((_, _, slot)) = timers.queue.pop_expired(now) else {
                        break;
                    };
                    timers.wakers.get_mut(slot as usize).and_then(Option::take)
                };
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            lock(&self.timers).armed = Tick::MAX;
        });
        self.arm_timers(context);
    }
}
