use std::fmt;

use super::due::{Due, DueList};
use super::slab::Slab;
use super::wheel::{First, Record, Wheel};
use super::{Tick, TimerId};

/// A slot with more records than this is spread over the next finer level
/// before any of it is sorted.
const RUN: usize = 256;
/// A first slot of at most so many records is tidied to learn the exact
/// next deadline.
const TIDY: usize = 64;
/// Stale records that are never worth a sweep.
const TOLERATED: usize = 256;
/// A sweep looks at one chunk of records, once in so many calls: three or
/// four records a call.
const SWEEP_EVERY: u8 = 8;

/// Deadlines with a payload, handed out in order when they have come.
///
/// Inserting, re-arming, removing and firing take constant time on average,
/// whatever the number of timers. A timer takes about 50 bytes with a payload
/// of eight, plus the slack of a growing `Vec`. There is room for 2³² − 1
/// timers.
///
/// The queue is `Send` if the payload is. For an example see the
/// [module](crate::timer).
///
/// ```
/// use ferrevent_core::timer::{Tick, TimerQueue};
/// let mut timers = TimerQueue::new(Tick::ZERO);
/// timers.insert(Tick(20), "twenty");
/// timers.insert(Tick(10), "ten");
/// assert_eq!(timers.pop_expired(Tick(15)).map(|(_, _, what)| what), Some("ten"));
/// assert!(timers.pop_expired(Tick(15)).is_none());
/// ```
pub struct TimerQueue<T> {
    slab: Slab<T>,
    /// Records of the timers that are not in `due`. A timer has exactly one
    /// valid record in one of both; its deadline is that of the timer, or
    /// earlier if the timer was re-armed since.
    wheel: Wheel,
    /// All at or before the wheel's settled instant, hence before all that
    /// is in the wheel.
    due: DueList,
    /// The latest `now` that was seen; not before the settled instant.
    now: u64,
    /// The number of the next setting.
    seq: u64,
    until_sweep: u8,
}

impl<T: Copy> TimerQueue<T> {
    /// An empty queue at the instant `start`. Allocates nothing.
    ///
    /// ```
    /// # use ferrevent_core::timer::{Tick, TimerQueue};
    /// let mut timers: TimerQueue<u64> = TimerQueue::new(Tick::ZERO);
    /// assert_eq!(timers.next_deadline(), None);
    /// ```
    #[must_use]
    pub const fn new(start: Tick) -> Self {
        Self {
            slab: Slab::new(),
            wheel: Wheel::new(start.0),
            due: DueList::new(),
            now: start.0,
            seq: 0,
            until_sweep: SWEEP_EVERY,
        }
    }

    /// Sets a timer that fires once the present is at or after `deadline`.
    /// A deadline in the past is allowed, and keeps its place in the order.
    ///
    /// ```
    /// # use ferrevent_core::timer::{Tick, TimerQueue};
    /// let mut timers = TimerQueue::new(Tick(100));
    /// let id = timers.insert(Tick(40), 'x');
    /// assert_eq!(timers.pop_expired(Tick(100)), Some((id, Tick(40), 'x')));
    /// ```
    ///
    /// # Panics
    /// With 2³² − 1 timers pending, which take some 200 GB.
    pub fn insert(&mut self, deadline: Tick, payload: T) -> TimerId {
        let seq = self.next_seq();
        let (id, stamp) = self.slab.insert(deadline.0, seq, payload);
        self.file(Due {
            deadline: deadline.0,
            seq,
            index: id.index,
            stamp,
        });
        self.sweep_if_due();
        id
    }

    /// Moves a timer to another deadline, earlier or later. Among timers of
    /// the same deadline it counts as set now, even if it had that deadline
    /// before. `false` if the timer has been fired or removed.
    ///
    /// ```
    /// # use ferrevent_core::timer::{Tick, TimerQueue};
    /// let mut timers = TimerQueue::new(Tick(0));
    /// let id = timers.insert(Tick(10), ());
    /// assert!(timers.rearm(id, Tick(20)));
    /// assert_eq!(timers.deadline(id), Some(Tick(20)));
    /// timers.remove(id);
    /// assert!(!timers.rearm(id, Tick(30)));
    /// ```
    pub fn rearm(&mut self, id: TimerId, deadline: Tick) -> bool {
        let seq = self.seq;
        let Some(entry) = self.slab.find_mut(id) else {
            return false;
        };
        let earlier = deadline.0 < entry.deadline;
        entry.deadline = deadline.0;
        entry.seq = seq;
        if earlier {
            // Its record would come too late: make that one stale. For a
            // later deadline the record serves on, and is moved when met.
            entry.stamp = entry.stamp.wrapping_add(1);
            let stamp = entry.stamp;
            self.file(Due {
                deadline: deadline.0,
                seq,
                index: id.index,
                stamp,
            });
            self.sweep_if_due();
        }
        self.seq += 1;
        true
    }

    /// Removes a timer and returns its payload; `None` if it has been fired
    /// or removed.
    ///
    /// ```
    /// # use ferrevent_core::timer::{Tick, TimerQueue};
    /// let mut timers = TimerQueue::new(Tick(0));
    /// let id = timers.insert(Tick(10), 7);
    /// assert_eq!(timers.remove(id), Some(7));
    /// assert_eq!(timers.remove(id), None);
    /// ```
    pub fn remove(&mut self, id: TimerId) -> Option<T> {
        let payload = self.slab.remove(id)?;
        self.forget_if_empty();
        Some(payload)
    }

    /// When the timer is set for; `None` if it has been fired or removed.
    ///
    /// ```
    /// # use ferrevent_core::timer::{Tick, TimerQueue};
    /// let mut timers = TimerQueue::new(Tick(0));
    /// let id = timers.insert(Tick(10), ());
    /// assert_eq!(timers.deadline(id), Some(Tick(10)));
    /// ```
    #[must_use]
    pub fn deadline(&self, id: TimerId) -> Option<Tick> {
        self.slab.find(id).map(|entry| Tick(entry.deadline))
    }

    /// The payload of a timer; `None` if it has been fired or removed.
    ///
    /// ```
    /// # use ferrevent_core::timer::{Tick, TimerQueue};
    /// let mut timers = TimerQueue::new(Tick(0));
    /// let id = timers.insert(Tick(10), 7);
    /// assert_eq!(timers.payload(id), Some(7));
    /// ```
    #[must_use]
    pub fn payload(&self, id: TimerId) -> Option<T> {
        self.slab.find(id).map(|entry| entry.payload)
    }

    /// How long one may sleep: an instant that is never later than the
    /// earliest deadline; `None` without timers.
    ///
    /// It is the earliest deadline exactly, except when many timers lie
    /// close together and the first of them was removed or moved to a later
    /// time: then it may be the deadline that this one had. Who wakes then
    /// finds that [`pop_expired`](Self::pop_expired) returns `None`, and
    /// should ask again.
    ///
    /// ```
    /// # use ferrevent_core::timer::{Tick, TimerQueue};
    /// let mut timers = TimerQueue::new(Tick(0));
    /// let first = timers.insert(Tick(10), ());
    /// timers.insert(Tick(2_000_000), ());
    /// timers.remove(first);
    /// assert_eq!(timers.next_deadline(), Some(Tick(2_000_000)));
    /// ```
    pub fn next_deadline(&mut self) -> Option<Tick> {
        while let Some(due) = self.due.first().copied() {
            if self
                .slab
                .recorded(due.index, due.stamp)
                .is_some_and(|entry| entry.seq == due.seq)
            {
                return Some(Tick(due.deadline));
            }
            self.due.pop();
            self.file_again(due.index, due.stamp);
        }
        loop {
            let first = self.wheel.first()?;
            if first.len > TIDY || self.is_exact(&first.earliest) {
                return Some(Tick(first.earliest.deadline));
            }
            self.tidy(&first);
        }
    }

    /// Takes the next timer whose deadline is at or before `now`, as its id
    /// (dead from here on), deadline and payload. Call it until it returns
    /// `None`.
    ///
    /// Each call takes the earliest deadline that is pending at that moment,
    /// of equal deadlines the one set first. So timers set between two calls
    /// take part at once: one set for a time before `now` fires after those
    /// with smaller deadlines that are still pending, and before those with
    /// greater ones. Who sets a timer for `now` or earlier each time that one
    /// fires will therefore never see `None`; set it after `now` to end the
    /// turn.
    ///
    /// Time never goes backwards: a `now` before one seen earlier counts as
    /// that one.
    ///
    /// ```
    /// # use ferrevent_core::timer::{Tick, TimerQueue};
    /// let mut timers = TimerQueue::new(Tick(0));
    /// timers.insert(Tick(10), 'a');
    /// timers.insert(Tick(30), 'c');
    /// let now = Tick(50);
    /// assert_eq!(timers.pop_expired(now).map(|timer| timer.2), Some('a'));
    /// timers.insert(Tick(20), 'b');
    /// assert_eq!(timers.pop_expired(now).map(|timer| timer.2), Some('b'));
    /// assert_eq!(timers.pop_expired(now).map(|timer| timer.2), Some('c'));
    /// assert_eq!(timers.pop_expired(now), None);
    /// ```
    pub fn pop_expired(&mut self, now: Tick) -> Option<(TimerId, Tick, T)> {
        self.now = self.now.max(now.0);
        loop {
            while let Some(due) = self.due.pop() {
                if let Some(fired) = self.fire(due) {
                    return Some(fired);
                }
            }
            if !self.refill() {
                return None;
            }
        }
    }

    /// How many timers are pending.
    ///
    /// ```
    /// use ferrevent_core::timer::{Tick, TimerQueue};
    /// let mut timers = TimerQueue::new(Tick::ZERO);
    /// timers.insert(Tick(10), ());
    /// assert_eq!(timers.len(), 1);
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Whether no timer is pending.
    ///
    /// ```
    /// use ferrevent_core::timer::{Tick, TimerQueue};
    /// let mut timers = TimerQueue::new(Tick::ZERO);
    /// assert!(timers.is_empty());
    /// # timers.insert(Tick(10), ());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The payloads of the timers that are pending, in no order.
    ///
    /// ```
    /// use ferrevent_core::timer::{Tick, TimerQueue};
    /// let mut timers = TimerQueue::new(Tick::ZERO);
    /// let id = timers.insert(Tick(10), 'a');
    /// timers.insert(Tick(20), 'b');
    /// timers.remove(id);
    /// assert_eq!(timers.payloads().collect::<String>(), "b");
    /// ```
    pub fn payloads(&self) -> impl Iterator<Item = T> {
        self.slab.payloads()
    }

    /// Gives back memory that the pending timers do not need. Takes time in
    /// proportion to the memory; without timers, nothing stays allocated.
    ///
    /// Timers cannot change places, so a few late ones can keep the places
    /// of many earlier ones allocated.
    ///
    /// ```
    /// # use ferrevent_core::timer::{Tick, TimerQueue};
    /// let mut timers = TimerQueue::new(Tick(0));
    /// let ids: Vec<_> = (0..10_000).map(|n| timers.insert(Tick(n), n)).collect();
    /// for id in ids {
    ///     timers.remove(id);
    /// }
    /// timers.shrink();
    /// assert!(timers.is_empty());
    /// ```
    pub fn shrink(&mut self) {
        let mut wheel = Wheel::new(self.wheel.settled());
        for record in self.wheel.records() {
            if self.slab.recorded(record.index, record.stamp).is_some() {
                wheel.push(*record);
            }
        }
        wheel.shrink();
        self.wheel = wheel;
        // A place that the slab drops must leave no stale record behind, for
        // it comes back with its first stamp.
        let slab = &self.slab;
        self.due
            .retain(|due| slab.recorded(due.index, due.stamp).is_some());
        self.due.shrink();
        self.slab.shrink();
    }

    fn next_seq(&mut self) -> u64 {
        let seq = self.seq;
        self.seq += 1;
        seq
    }

    /// Records a timer where it belongs.
    #[inline]
    fn file(&mut self, due: Due) {
        if due.deadline <= self.wheel.settled() {
            self.due.push(due);
        } else {
            self.wheel.push(Record {
                deadline: due.deadline,
                index: due.index,
                stamp: due.stamp,
            });
        }
    }

    /// Records a timer anew whose record came up; nothing if it was stale.
    fn file_again(&mut self, index: u32, stamp: u32) {
        if let Some(entry) = self.slab.recorded(index, stamp) {
            self.file(Due {
                deadline: entry.deadline,
                seq: entry.seq,
                index,
                stamp,
            });
        }
    }

    fn fire(&mut self, due: Due) -> Option<(TimerId, Tick, T)> {
        let entry = self.slab.recorded(due.index, due.stamp)?;
        if entry.seq != due.seq {
            // Re-armed since it became due, to a later time.
            self.file_again(due.index, due.stamp);
            return None;
        }
        let id = self.slab.id_at(due.index)?;
        let payload = self.slab.remove(id)?;
        self.forget_if_empty();
        Some((id, Tick(due.deadline), payload))
    }

    /// Without timers all records are stale, and can go unseen.
    #[inline]
    fn forget_if_empty(&mut self) {
        if self.is_empty() {
            self.wheel.clear();
            self.due.clear();
        }
    }

    /// With nothing due: moves on to the next slot that has something to do
    /// by now. `false` if there is none.
    fn refill(&mut self) -> bool {
        let Some(first) = self.wheel.first() else {
            self.wheel.settle(self.now);
            return false;
        };
        if first.earliest.deadline > self.now {
            // Keeping up with the present means that new timers start at a
            // fine level. Not into the slot, as long as it has records.
            let before = self.now.min(first.start - 1);
            self.wheel.settle(before.max(self.wheel.settled()));
            return false;
        }
        self.open(&first);
        self.due.sort();
        true
    }

    /// Empties the first slot: what is due goes to the due list (unsorted),
    /// the rest to finer slots.
    fn open(&mut self, first: &First) {
        let mut chain = self.wheel.take(first);
        let spread = first.len > RUN && Wheel::can_split(first);
        let settled = if spread {
            first.start
        } else {
            first.last.min(self.now)
        };
        self.wheel.settle(settled);
        while let Some(chunk) = self.wheel.unlink(&mut chain) {
            for record in chunk.records() {
                if record.deadline > settled {
                    self.wheel.push(*record);
                } else if let Some(entry) = self.slab.recorded(record.index, record.stamp) {
                    // This look at the slab is a cache miss; here, in a loop
                    // without other work, many of them run side by side.
                    let due = Due {
                        deadline: entry.deadline,
                        seq: entry.seq,
                        index: record.index,
                        stamp: record.stamp,
                    };
                    if due.deadline <= settled {
                        self.due.push_unsorted(due);
                    } else {
                        self.file(due);
                    }
                }
            }
        }
    }

    fn is_exact(&self, record: &Record) -> bool {
        self.slab
            .recorded(record.index, record.stamp)
            .is_some_and(|entry| entry.deadline == record.deadline)
    }

    /// Drops the stale records of a slot and moves those of re-armed timers
    /// to where they belong now.
    fn tidy(&mut self, first: &First) {
        let mut chain = self.wheel.take(first);
        while let Some(chunk) = self.wheel.unlink(&mut chain) {
            for record in chunk.records() {
                self.file_again(record.index, record.stamp);
            }
        }
    }

    /// Keeps stale records from outnumbering the timers for long.
    #[inline]
    fn sweep_if_due(&mut self) {
        let records = self.wheel.len();
        if records > 2 * self.slab.len() + TOLERATED {
            self.until_sweep -= 1;
            if self.until_sweep == 0 {
                self.until_sweep = SWEEP_EVERY;
                let slab = &self.slab;
                self.wheel
                    .sweep(|record| slab.recorded(record.index, record.stamp).is_some());
            }
        }
        if self.due.len() > 2 * self.slab.len() + TOLERATED {
            let slab = &self.slab;
            self.due
                .retain(|due| slab.recorded(due.index, due.stamp).is_some());
        }
    }
}

impl<T: Copy> fmt::Debug for TimerQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerQueue")
            .field("now", &Tick(self.now))
            .field("timers", &self.len())
            .field("records", &(self.wheel.len() + self.due.len()))
            .finish()
    }
}

#[cfg(test)]
impl<T: Copy> TimerQueue<T> {
    /// Records of all kinds, stale ones included.
    pub(super) fn records(&self) -> usize {
        self.wheel.len() + self.due.len()
    }

    /// Bytes on the heap.
    pub(super) fn allocated(&self) -> usize {
        self.slab.allocated() + self.wheel.allocated() + self.due.allocated()
    }
}
