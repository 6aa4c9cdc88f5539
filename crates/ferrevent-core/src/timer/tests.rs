use std::time::Duration;

use super::{Tick, TimerId, TimerQueue};

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
fn a_queue_that_has_emptied_keeps_no_record() {
    let mut random = Random(7);
    let mut queue = TimerQueue::new(Tick(0));
    let mut now = 0;
    let mut ids = Vec::new();
    for n in 0..100_000 {
        let at = Tick(now + random.distance(40));
        match random.below(8) {
            0..=3 => ids.push(queue.insert(at, n)),
            4 if !ids.is_empty() => {
                queue.rearm(ids[random.next() as usize % ids.len()], at);
            }
            5 if !ids.is_empty() => {
                queue.remove(ids.swap_remove(random.next() as usize % ids.len()));
            }
            6 => now += random.distance(20),
            _ => drop(queue.pop_expired(Tick(now))),
        }
    }
    assert!(queue.len() > 10_000);
    while queue.pop_expired(Tick::MAX).is_some() {}
    assert_eq!(queue.records(), 0);
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
