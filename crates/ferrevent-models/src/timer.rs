//! The timer queue next to a map that does the same in an obvious way.

use std::collections::{BTreeMap, HashMap};

use ferrevent_core::timer::{Tick, TimerId, TimerQueue};

use crate::choices::{Choices, perform};

/// Does the operations that the bytes are, on a queue that begins at one of
/// several times.
///
/// # Panics
/// If the queue is not as its model.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let start = match choices.below(4) {
        0 => 0,
        1 => 1 << 40,
        2 => u64::MAX - 5_000,
        _ => choices.number(),
    };
    let mut pair = Pair::new(start);
    let operations = choices.all(Operation::choose);
    perform(&operations, |operation| pair.act(operation));
    pair.finish();
}

/// One operation. Distances are microseconds from now.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the variants are the methods of a queue")]
pub enum Operation {
    Insert(u64),
    InsertPast(u64),
    Rearm(usize, u64),
    RearmPast(usize, u64),
    Remove(usize),
    Advance(u64),
    Pop(usize),
    Shrink,
    /// Not after everything: asking for the next deadline tidies.
    Check,
}

impl Operation {
    /// The next operation.
    #[must_use]
    pub fn choose(choices: &mut Choices<'_>) -> Self {
        match choices.below(32) {
            0..=9 => Self::Insert(distance(choices)),
            10 => Self::InsertPast(distance(choices)),
            11..=14 => Self::Rearm(choices.below(4096), distance(choices)),
            15 => Self::RearmPast(choices.below(4096), distance(choices)),
            16..=18 => Self::Remove(choices.below(4096)),
            19..=21 => Self::Advance(distance(choices)),
            22..=26 => Self::Pop(choices.below(6)),
            27 => Self::Pop(usize::MAX),
            28 => Self::Shrink,
            _ => Self::Check,
        }
    }
}

/// Distances that meet every level of the wheel, and often the same ones.
fn distance(choices: &mut Choices<'_>) -> u64 {
    match choices.below(14) {
        0..=3 => choices.below(4) as u64,
        4..=7 => choices.below(200) as u64,
        8..=10 => choices.below(10_000) as u64,
        11..=12 => {
            let bit = 1_u64 << choices.below(64);
            bit.saturating_add_signed(choices.below(5) as i64 - 2)
        }
        _ => choices.number(),
    }
}

/// A queue and its model. Payloads are serial numbers, so a mix-up of
/// payloads shows as well.
#[derive(Debug)]
pub struct Pair {
    queue: TimerQueue<u64>,
    model: BTreeMap<(u64, u64), TimerId>,
    keys: HashMap<TimerId, (u64, u64, u64)>,
    /// Live ids in no particular order, to pick from.
    live: Vec<TimerId>,
    dead: Vec<TimerId>,
    now: u64,
    seq: u64,
    payloads: u64,
}

impl Pair {
    /// An empty queue that begins at a time, in microseconds.
    #[must_use]
    pub fn new(start: u64) -> Self {
        Self {
            queue: TimerQueue::new(Tick(start)),
            model: BTreeMap::new(),
            keys: HashMap::new(),
            live: Vec::new(),
            dead: Vec::new(),
            now: start,
            seq: 0,
            payloads: 0,
        }
    }

    /// Does one thing to the queue and to its model.
    ///
    /// # Panics
    /// If they then differ.
    pub fn act(&mut self, operation: &Operation) {
        let after = |by: u64| self.now.saturating_add(by);
        let before = |by: u64| self.now.saturating_sub(by);
        match *operation {
            Operation::Insert(by) => self.insert(after(by)),
            Operation::InsertPast(by) => self.insert(before(by)),
            Operation::Rearm(pick, by) => self.rearm(pick, after(by)),
            Operation::RearmPast(pick, by) => self.rearm(pick, before(by)),
            Operation::Remove(pick) => self.remove(pick),
            Operation::Advance(by) => self.now = after(by),
            Operation::Pop(limit) => {
                self.pop(limit);
            }
            Operation::Shrink => self.queue.shrink(),
            Operation::Check => self.check(),
        }
    }

    /// Lets every timer fire.
    ///
    /// # Panics
    /// If one does not, or another than was set.
    pub fn finish(mut self) {
        self.now = u64::MAX;
        assert!(self.pop(usize::MAX));
        self.check();
    }

    fn insert(&mut self, deadline: u64) {
        self.payloads += 1;
        self.seq += 1;
        let id = self.queue.insert(Tick(deadline), self.payloads);
        self.model.insert((deadline, self.seq), id);
        let known = self.keys.insert(id, (deadline, self.seq, self.payloads));
        assert_eq!(known, None, "an id given out twice");
        self.live.push(id);
    }

    fn rearm(&mut self, pick: usize, deadline: u64) {
        let Some(id) = self.pick(pick) else { return };
        self.seq += 1;
        assert!(self.queue.rearm(id, Tick(deadline)));
        let (old, seq, payload) = self.keys[&id];
        assert_eq!(self.model.remove(&(old, seq)), Some(id));
        self.model.insert((deadline, self.seq), id);
        self.keys.insert(id, (deadline, self.seq, payload));
        assert_eq!(self.queue.deadline(id), Some(Tick(deadline)));
    }

    fn remove(&mut self, pick: usize) {
        let Some(id) = self.pick(pick) else { return };
        let payload = self.forget(id);
        assert_eq!(self.queue.remove(id), Some(payload));
    }

    /// Pops at most `limit`; `true` if the queue said that it was the last.
    fn pop(&mut self, limit: usize) -> bool {
        for _ in 0..limit {
            let due = self.model.first_key_value();
            let due = due.filter(|((deadline, _), _)| *deadline <= self.now);
            let expected = due.map(|(&(deadline, _), &id)| (id, Tick(deadline), self.keys[&id].2));
            assert_eq!(self.queue.pop_expired(Tick(self.now)), expected);
            let Some((id, ..)) = expected else {
                return true;
            };
            self.forget(id);
        }
        false
    }

    fn check(&mut self) {
        assert_eq!(self.queue.len(), self.model.len());
        assert_eq!(self.queue.is_empty(), self.model.is_empty());
        let earliest = self.model.first_key_value();
        let earliest = earliest.map(|((deadline, _), _)| Tick(*deadline));
        let bound = self.queue.next_deadline();
        assert_eq!(bound.is_some(), earliest.is_some());
        assert!(bound <= earliest, "{bound:?} is after {earliest:?}");
        if let Some(&id) = self.dead.last() {
            assert_eq!(self.queue.remove(id), None);
            assert_eq!(self.queue.deadline(id), None);
            assert_eq!(self.queue.payload(id), None);
            assert!(!self.queue.rearm(id, Tick(0)));
        }
        if let Some(&id) = self.live.last() {
            let (deadline, _, payload) = self.keys[&id];
            assert_eq!(self.queue.deadline(id), Some(Tick(deadline)));
            assert_eq!(self.queue.payload(id), Some(payload));
        }
    }

    fn pick(&self, pick: usize) -> Option<TimerId> {
        self.live.get(pick % self.live.len().max(1)).copied()
    }

    fn forget(&mut self, id: TimerId) -> u64 {
        let (deadline, seq, payload) = self.keys.remove(&id).unwrap();
        self.model.remove(&(deadline, seq));
        let at = self.live.iter().position(|&live| live == id).unwrap();
        self.live.swap_remove(at);
        self.dead.push(id);
        payload
    }
}
