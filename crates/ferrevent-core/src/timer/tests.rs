use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use proptest::prelude::*;

use super::{Tick, TimerId, TimerQueue};

/// The queue next to a map that does the same in an obvious way. Payloads
/// are serial numbers, so a mix-up of payloads shows as well.
struct Pair {
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
    fn new(start: u64) -> Self {
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

    fn advance(&mut self, by: u64) {
        self.now = self.now.saturating_add(by);
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

    fn finish(mut self) {
        self.now = u64::MAX;
        assert!(self.pop(usize::MAX));
        self.check();
        assert_eq!(self.queue.records(), 0);
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

/// Distances that meet every level of the wheel, and often the same ones.
fn distance() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0..4_u64,
        4 => 0..200_u64,
        3 => 0..10_000_u64,
        2 => (0..64_u32, -2..3_i64).prop_map(|(bit, by)| (1_u64 << bit).saturating_add_signed(by)),
        1 => any::<u64>(),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u64),
    InsertPast(u64),
    Rearm(usize, u64),
    RearmPast(usize, u64),
    Remove(usize),
    Advance(u64),
    Pop(usize),
    Shrink,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => distance().prop_map(Step::Insert),
        1 => distance().prop_map(Step::InsertPast),
        5 => (any::<usize>(), distance()).prop_map(|(pick, by)| Step::Rearm(pick, by)),
        1 => (any::<usize>(), distance()).prop_map(|(pick, by)| Step::RearmPast(pick, by)),
        3 => any::<usize>().prop_map(Step::Remove),
        3 => distance().prop_map(Step::Advance),
        5 => (0..6_usize).prop_map(Step::Pop),
        1 => Just(Step::Shrink),
    ]
}

impl Pair {
    fn step(&mut self, step: &Step) {
        let after = |by: u64| self.now.saturating_add(by);
        let before = |by: u64| self.now.saturating_sub(by);
        match *step {
            Step::Insert(by) => self.insert(after(by)),
            Step::InsertPast(by) => self.insert(before(by)),
            Step::Rearm(pick, by) => self.rearm(pick, after(by)),
            Step::RearmPast(pick, by) => self.rearm(pick, before(by)),
            Step::Remove(pick) => self.remove(pick),
            Step::Advance(by) => self.advance(by),
            Step::Pop(limit) => {
                self.pop(limit);
            }
            Step::Shrink => self.queue.shrink(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 512,
        ..ProptestConfig::default()
    })]

    #[test]
    fn agrees_with_a_sorted_map(
        start in prop_oneof![Just(0), Just(1 << 40), Just(u64::MAX - 5_000), any::<u64>()],
        steps in prop::collection::vec((step(), any::<bool>()), 1..300),
    ) {
        let mut pair = Pair::new(start);
        for (step, check) in &steps {
            pair.step(step);
            // Not always: asking for the next deadline tidies.
            if *check {
                pair.check();
            }
        }
        pair.finish();
    }
}

/// A small generator, so that a long run is the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Mostly short, up to `2^bits`.
    fn distance(&mut self, bits: u64) -> u64 {
        let bits = self.below(bits);
        self.below(1 << bits)
    }
}

#[test]
fn agrees_over_a_long_run() {
    for seed in 0..6 {
        let mut random = Random(seed);
        let mut pair = Pair::new(random.distance(50));
        // Phases that fill and phases that empty, so that slots overflow
        // their runs, sweeps happen and everything is used again.
        for phase in 0..12 {
            let filling = phase % 3 != 2;
            let bits = [14, 30, 40, 22][phase % 4];
            for _ in 0..8_000 {
                match random.below(100) {
                    0..45 if filling => pair.insert(pair.now.saturating_add(random.distance(bits))),
                    0..20 => pair.insert(pair.now.saturating_add(random.distance(bits))),
                    45..48 => pair.insert(pair.now.saturating_sub(random.distance(20))),
                    48..70 => {
                        let pick = random.next() as usize;
                        pair.rearm(pick, pair.now.saturating_add(random.distance(bits)));
                    }
                    70..80 => pair.remove(random.next() as usize),
                    80..90 => pair.advance(random.distance(12)),
                    90..97 => {
                        pair.pop(random.below(20) as usize);
                    }
                    97..99 => pair.check(),
                    _ if random.below(200) == 0 => pair.advance(random.distance(bits)),
                    _ if random.below(200) == 0 => pair.queue.shrink(),
                    _ => {}
                }
            }
        }
        pair.finish();
    }
}

#[test]
fn many_timers_fire_in_order_at_whatever_pace() {
    for stride in [1, 977, 65_536, 3_000_000, u64::MAX] {
        let mut random = Random(stride);
        let mut queue = TimerQueue::new(Tick(1_000));
        let mut expected = Vec::new();
        for seq in 0..20_000_u64 {
            // 4,000 instants, so every one has about five timers.
            let spread = if stride == 1 { 1 } else { 2_500 };
            let deadline = 1_000 + random.below(4_000) * spread;
            queue.insert(Tick(deadline), seq);
            expected.push((deadline, seq));
        }
        expected.sort_unstable();
        let mut fired = Vec::new();
        let mut now = 1_000;
        while !queue.is_empty() {
            while let Some((_, Tick(deadline), seq)) = queue.pop_expired(Tick(now)) {
                assert!(deadline <= now);
                fired.push((deadline, seq));
            }
            assert!(queue.next_deadline().is_none_or(|next| next > Tick(now)));
            now = now.saturating_add(stride);
        }
        assert_eq!(fired, expected);
    }
}

#[test]
fn the_end_of_time() {
    let mut queue = TimerQueue::new(Tick(0));
    let first = queue.insert(Tick::MAX, 1);
    let moved = queue.insert(Tick(7), 2);
    let second = queue.insert(Tick::MAX, 3);
    queue.rearm(moved, Tick::MAX);
    assert_eq!(queue.next_deadline(), Some(Tick::MAX));
    assert_eq!(queue.pop_expired(Tick(u64::MAX - 1)), None);
    assert_eq!(queue.pop_expired(Tick::MAX), Some((first, Tick::MAX, 1)));
    let third = queue.insert(Tick::MAX, 4);
    assert_eq!(queue.pop_expired(Tick::MAX), Some((second, Tick::MAX, 3)));
    assert_eq!(queue.pop_expired(Tick::MAX), Some((moved, Tick::MAX, 2)));
    assert_eq!(queue.pop_expired(Tick::MAX), Some((third, Tick::MAX, 4)));
    assert_eq!(queue.pop_expired(Tick::MAX), None);
    let again = queue.insert(Tick::MAX, 5);
    assert_eq!(queue.pop_expired(Tick::MAX), Some((again, Tick::MAX, 5)));
}

#[test]
fn time_never_goes_backwards() {
    let mut queue = TimerQueue::new(Tick(100));
    assert_eq!(queue.pop_expired(Tick(500)), None);
    let id = queue.insert(Tick(300), ());
    assert_eq!(queue.pop_expired(Tick(200)), Some((id, Tick(300), ())));
}

#[test]
fn next_deadline_is_exact_with_few_timers() {
    let mut queue = TimerQueue::new(Tick(0));
    let ids: Vec<_> = (1..=50).map(|n| queue.insert(Tick(n * 1_000), n)).collect();
    for (n, id) in (1..).zip(&ids) {
        assert_eq!(queue.next_deadline(), Some(Tick(n * 1_000)));
        if n % 2 == 0 {
            queue.remove(*id);
        } else {
            queue.rearm(*id, Tick(1_000_000));
        }
    }
    assert_eq!(queue.next_deadline(), Some(Tick(1_000_000)));
}

#[test]
fn an_ever_postponed_timer_costs_no_memory() {
    let mut queue = TimerQueue::new(Tick(0));
    let id = queue.insert(Tick(1_000), ());
    for now in 0..1_000_000 {
        assert!(queue.rearm(id, Tick(now + 1_000)));
        assert_eq!(queue.pop_expired(Tick(now)), None);
    }
    assert_eq!(queue.records(), 1);
}

#[test]
fn removed_timers_do_not_pile_up() {
    // Requests with a timeout of an hour that are answered at once, beside
    // some that stay, and one that is for ever moved to and fro.
    let mut queue = TimerQueue::new(Tick(0));
    let staying: Vec<_> = (0..1_000)
        .map(|n| queue.insert(Tick(4_000_000_000 + n), n))
        .collect();
    let wandering = queue.insert(Tick(0), 0);
    let mut most = 0;
    for now in 0..1_000_000 {
        let id = queue.insert(Tick(now + 3_600_000_000), now);
        queue.rearm(wandering, Tick(now + 7_200_000_000 + now % 2 * 1_000));
        assert_eq!(queue.remove(id), Some(now));
        most = most.max(queue.records());
    }
    assert!(most < 8_000, "{most} records");
    assert!(queue.allocated() < 400_000, "{} bytes", queue.allocated());
    assert!(staying.iter().all(|id| queue.payload(*id).is_some()));
}

#[test]
fn due_timers_that_are_removed_do_not_pile_up() {
    let mut queue = TimerQueue::new(Tick(5));
    let id = queue.insert(Tick(3), 0);
    for n in 0..100_000 {
        let due = queue.insert(Tick(n % 4), n);
        queue.remove(due);
        assert!(queue.records() < 1_000);
    }
    assert_eq!(queue.pop_expired(Tick(5)), Some((id, Tick(3), 0)));
}

#[test]
fn a_timer_is_small() {
    let count = 1 << 17;
    let mut queue = TimerQueue::new(Tick(0));
    let mut random = Random(1);
    for n in 0..count {
        queue.insert(Tick(random.below(60_000_000)), n);
    }
    queue.shrink();
    let each = queue.allocated() as f64 / count as f64;
    assert!(each < 52.0, "{each} bytes a timer");
    assert_eq!(size_of::<Option<TimerId>>(), 8);
}

#[test]
fn shrink_gives_everything_back_and_keeps_old_ids_dead() {
    let mut queue = TimerQueue::new(Tick(0));
    assert_eq!(queue.allocated(), 0);
    let old: Vec<_> = (0..10_000).map(|n| queue.insert(Tick(n), n)).collect();
    while queue.pop_expired(Tick(20_000)).is_some() {}
    queue.shrink();
    assert_eq!(queue.allocated(), 0);
    let new: Vec<_> = (0..10_000).map(|n| queue.insert(Tick(n), n)).collect();
    assert!(old.iter().all(|id| queue.deadline(*id).is_none()));
    assert!(new.iter().all(|id| queue.deadline(*id).is_some()));
}

#[test]
fn crosses_threads() {
    fn is_send<T: Send>() {}
    is_send::<TimerQueue<u64>>();
}

#[test]
fn ticks_saturate_and_round_up() {
    assert_eq!(Tick(5) + Duration::from_nanos(1), Tick(6));
    assert_eq!(Tick(5) + Duration::from_micros(3), Tick(8));
    assert_eq!(Tick(5) + Duration::MAX, Tick::MAX);
    assert_eq!(Tick::MAX + Duration::from_micros(1), Tick::MAX);
    assert_eq!(Tick::from(Duration::from_nanos(1_001)), Tick(2));
    assert_eq!(Tick::floor(Duration::MAX), Tick::MAX);
    assert_eq!(Tick(5) - Tick(9), Duration::ZERO);
    assert_eq!(Tick(9) - Tick(5), Duration::from_micros(4));
}
