//! Rate limits in simulated time: never more than a rate times a window and a
//! burst in any window, never less than the rate, and everybody their share.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use ferrevent_core::limit::{Direction, LimitError, NodeId, RateLimit, RateLimits, Share, Tree};
use ferrevent_core::timer::Tick;

const WRITE: Direction = Direction::Write;
const SECOND: u64 = 1_000_000;

/// Twenty milliseconds of the rate.
fn limit(rate: u64) -> RateLimit {
    let burst = (rate / 50).max(1);
    RateLimit::new(rate).unwrap().with_burst(burst).unwrap()
}

fn limits(rate: u64) -> RateLimits {
    RateLimits::both(limit(rate))
}

/// Members who always want to move something, and a record of what moved.
struct World {
    tree: Tree<usize>,
    now: Tick,
    members: Vec<NodeId>,
    /// When, who, how many bytes.
    moved: Vec<(Tick, usize, u64)>,
    wakes: u64,
}

impl World {
    fn new() -> Self {
        Self {
            tree: Tree::new(),
            now: Tick(0),
            members: Vec::new(),
            moved: Vec::new(),
            wakes: 0,
        }
    }

    fn group(&mut self, parent: Option<NodeId>, limits: RateLimits, share: Share) -> NodeId {
        let group = self.tree.add_group(parent, limits, share, self.now);
        group.unwrap()
    }

    fn member(&mut self, parent: Option<NodeId>, limits: RateLimits, share: Share) -> usize {
        let index = self.members.len();
        let member = self.tree.add_member(index, parent, limits, share, self.now);
        self.members.push(member.unwrap());
        index
    }

    /// A member moves all that it may, until it has to wait.
    fn work(&mut self, index: usize) {
        let member = self.members[index];
        loop {
            match self.tree.ask(member, WRITE, u64::MAX, self.now) {
                0 => return,
                bytes => {
                    self.tree.spent(member, WRITE, bytes, self.now);
                    self.moved.push((self.now, index, bytes));
                }
            }
        }
    }

    fn work_granted(&mut self) {
        while let Some(index) = self.tree.next_granted() {
            self.work(index);
        }
    }

    fn start(&mut self) {
        for index in 0..self.members.len() {
            self.work(index);
        }
        self.work_granted();
    }

    fn run_until(&mut self, end: Tick) {
        while let Some(at) = self.tree.wake_at().filter(|at| *at <= end) {
            assert!(at > self.now, "a wake that brings nothing, at {at:?}");
            self.now = at;
            self.wakes += 1;
            self.tree.pump(at);
            self.work_granted();
        }
        self.now = end;
    }

    fn total(&self, who: impl Fn(usize) -> bool, from: Tick) -> u64 {
        let counts = |(at, index, _): &&(Tick, usize, u64)| *at >= from && who(*index);
        self.moved.iter().filter(counts).map(|moved| moved.2).sum()
    }

    /// What each has moved.
    fn parts(&self, from: Tick) -> Vec<f64> {
        let mut parts = vec![0.0; self.members.len()];
        for (at, index, bytes) in &self.moved {
            if *at >= from {
                parts[*index] += *bytes as f64;
            }
        }
        parts
    }

    /// After the burst the mean is the rate, to a thousandth.
    fn check_mean(&self, rate: u64, who: impl Fn(usize) -> bool) {
        let bytes = self.total(who, Tick(1));
        let exact = rate as f64 * self.now.0 as f64 / SECOND as f64;
        let off = (bytes as f64 - exact) / exact;
        assert!(
            off.abs() <= 0.001,
            "{bytes} bytes in {:?}, not {exact}",
            self.now
        );
    }

    /// In no window moves more than the rate brings and a burst.
    fn check_windows(&self, limit: RateLimit, who: impl Fn(usize) -> bool) {
        // A bucket that is full at the start and never empty afterwards says
        // it of every window at once.
        let mut level = u128::from(limit.burst()) * u128::from(SECOND);
        let full = level;
        let mut before = Tick(0);
        for (at, _, bytes) in self.moved.iter().filter(|moved| who(moved.1)) {
            level = full.min(level + u128::from(at.0 - before.0) * u128::from(limit.rate()));
            before = *at;
            let taken = u128::from(*bytes) * u128::from(SECOND);
            assert!(taken <= level, "{bytes} bytes too many at {at:?}");
            level -= taken;
        }
    }
}

#[test]
fn a_single_member_has_its_rate_and_never_more() {
    for rate in [10_000, 123_457, 1_000_000, 100_000_000, 1_000_000_000] {
        let mut world = World::new();
        world.member(None, limits(rate), Share::default());
        world.start();
        world.run_until(Tick(60 * SECOND));
        world.check_mean(rate, |_| true);
        world.check_windows(limit(rate), |_| true);
        // Ten milliseconds at a time: half its burst.
        assert!(world.wakes <= 60 * 101, "{} wakes", world.wakes);
    }
}

/// Jain's index: 1 when everybody has the same.
fn fairness(parts: &[f64]) -> f64 {
    let sum: f64 = parts.iter().sum();
    let squares: f64 = parts.iter().map(|part| part * part).sum();
    sum * sum / (parts.len() as f64 * squares)
}

#[test]
fn equals_in_a_group_have_the_same_and_together_the_rate() {
    for (rate, members) in [(1_000_000, 10), (100_000_000, 10), (10_000_000, 1000)] {
        let mut world = World::new();
        let group = world.group(None, limits(rate), Share::default());
        for _ in 0..members {
            world.member(Some(group), RateLimits::NONE, Share::default());
        }
        world.start();
        world.run_until(Tick(20 * SECOND));
        world.check_mean(rate, |_| true);
        world.check_windows(limit(rate), |_| true);
        // In no second is anybody left out either.
        for from in [Tick(1), Tick(19 * SECOND)] {
            let parts = world.parts(from);
            assert!(fairness(&parts) >= 0.99, "{}", fairness(&parts));
        }
    }
}

#[test]
fn shares_are_kept() {
    let mut world = World::new();
    let rate = 3_000_000;
    let group = world.group(None, limits(rate), Share::default());
    let weights = [1, 2, 3, 10, 84];
    for weight in weights {
        let share = Share::weighing(weight).unwrap();
        world.member(Some(group), RateLimits::NONE, share);
    }
    world.start();
    world.run_until(Tick(60 * SECOND));
    world.check_mean(rate, |_| true);
    world.check_windows(limit(rate), |_| true);
    // Who came first had the burst, and the others had theirs before it had more.
    let all = world.total(|_| true, Tick(0)) as f64;
    for (index, weight) in weights.into_iter().enumerate() {
        let part = world.total(|who| who == index, Tick(0)) as f64 / all * 100.0;
        let off = (part - f64::from(weight)).abs() / f64::from(weight);
        assert!(off <= 0.02, "{part} of a hundred for a weight of {weight}");
    }
}

#[test]
fn a_tree_of_two_levels_keeps_every_limit_and_every_share() {
    let mut world = World::new();
    let total = 10_000_000;
    let all = world.group(None, limits(total), Share::default());
    // One is held by its own limit; what it leaves the others share one to two.
    let own = 1_000_000;
    let slow = world.group(Some(all), limits(own), Share::default());
    let one = world.group(Some(all), RateLimits::NONE, Share::default());
    let twice = world.group(Some(all), limits(total), Share::weighing(2).unwrap());
    let mut groups = Vec::new();
    for (number, group) in [slow, one, twice].into_iter().enumerate() {
        for _ in 0..10 {
            world.member(Some(group), RateLimits::NONE, Share::default());
            groups.push(number);
        }
    }
    world.start();
    world.run_until(Tick(60 * SECOND));
    world.check_mean(total, |_| true);
    world.check_windows(limit(total), |_| true);
    world.check_mean(own, |who| groups[who] == 0);
    world.check_windows(limit(own), |who| groups[who] == 0);
    for (number, part) in [(1, 3_000_000.0), (2, 6_000_000.0)] {
        let moved = world.total(|who| groups[who] == number, Tick(1)) as f64 / 60.0;
        assert!(
            (moved - part).abs() / part <= 0.02,
            "{moved} a second, not {part}"
        );
    }
    for number in 0..3 {
        let parts = &world.parts(Tick(1))[number * 10..][..10];
        assert!(fairness(parts) >= 0.99, "{}", fairness(parts));
    }
}

#[test]
fn what_the_first_leave_the_next_have() {
    let mut world = World::new();
    let rate = 1_000_000;
    let group = world.group(None, limits(rate), Share::default());
    let first = world.member(Some(group), limits(600_000), Share::default());
    let next = Share {
        priority: 1,
        ..Share::default()
    };
    let second = world.member(Some(group), RateLimits::NONE, next);
    let last = Share {
        priority: 2,
        ..Share::default()
    };
    let third = world.member(Some(group), RateLimits::NONE, last);
    world.start();
    world.run_until(Tick(30 * SECOND));
    world.check_mean(600_000, |who| who == first);
    world.check_mean(400_000, |who| who == second);
    assert_eq!(
        world.total(|who| who == third, Tick(1)),
        0,
        "nothing is left"
    );
    world.check_windows(limit(rate), |_| true);
}

#[test]
fn what_one_does_not_use_the_others_have() {
    let mut world = World::new();
    let rate = 1_000_000;
    let group = world.group(None, limits(rate), Share::default());
    for _ in 0..3 {
        world.member(Some(group), RateLimits::NONE, Share::default());
    }
    // Two of three work.
    world.work(0);
    world.work(1);
    world.run_until(Tick(10 * SECOND));
    world.check_mean(rate, |_| true);
    // Then one of them is gone.
    world.tree.release(world.members[1], world.now);
    world.moved.clear();
    let since = world.now;
    world.run_until(Tick(20 * SECOND));
    let moved = world.total(|who| who == 0, since);
    assert!(moved.abs_diff(10 * rate) <= rate / 25, "{moved}");
}

#[test]
fn who_wants_nothing_is_not_woken() {
    let mut world = World::new();
    let group = world.group(None, limits(100_000), Share::default());
    let one = world.member(Some(group), limits(50_000), Share::default());
    let member = world.members[one];
    // It moves what it may, waits its turn, and then has nothing to move.
    world.work(one);
    let at = world.tree.wake_at().unwrap();
    world.tree.pump(at);
    assert_eq!(world.tree.next_granted(), Some(one));
    world.tree.settle(member, WRITE, at);
    assert_eq!(world.tree.wake_at(), None);
    // What it was granted is back.
    let level = world.tree.level(member, WRITE, at).unwrap();
    assert!(level >= 500, "{level}");
}

/// 2: a bucket can be filled when the configuration changes, or not.
#[test]
fn tor_2_a_change_resets_the_bucket_or_not() {
    for reset in [false, true] {
        let mut world = World::new();
        let one = world.member(None, limits(1_000_000), Share::default());
        let member = world.members[one];
        world.work(one);
        assert_eq!(world.tree.level(member, WRITE, world.now), Some(0));
        world
            .tree
            .set_limits(member, limits(2_000_000), reset, world.now)
            .unwrap();
        // Whoever waits has its turn at once, if there is anything in it.
        world.work_granted();
        let at_once = world.total(|_| true, Tick(0)) - 20_000;
        assert_eq!(at_once, if reset { 40_000 } else { 0 });
        world.moved.clear();
        world.run_until(Tick(10 * SECOND));
        world.check_mean(2_000_000, |_| true);
    }
}

#[test]
fn what_is_wrong_is_refused_in_words() {
    assert_eq!(RateLimit::new(0), Err(LimitError::ZeroRate));
    let limit = RateLimit::new(RateLimit::MAX).unwrap();
    assert_eq!(limit.with_burst(0), Err(LimitError::ZeroBurst));
    for much in [RateLimit::MAX + 1, u64::MAX] {
        assert_eq!(RateLimit::new(much), Err(LimitError::RateTooHigh(much)));
        assert_eq!(limit.with_burst(much), Err(LimitError::BurstTooHigh(much)));
    }
    let mut world = World::new();
    let outer = world.group(None, RateLimits::NONE, Share::default());
    let inner = world.group(Some(outer), RateLimits::NONE, Share::default());
    let innermost = world.group(Some(inner), RateLimits::NONE, Share::default());
    for group in [outer, inner, innermost] {
        let outcome = world.tree.set_parent(outer, Some(group), Tick(0));
        assert_eq!(outcome, Err(LimitError::Cycle));
    }
    assert_eq!(world.tree.parent(innermost), Some(inner));
    let nothing = Share {
        weight: 0,
        ..Share::default()
    };
    assert_eq!(
        world.tree.set_share(inner, nothing, Tick(0)),
        Err(LimitError::ZeroWeight)
    );
    world.tree.release(innermost, Tick(0));
    let late = world.tree.set_parent(innermost, None, Tick(0));
    assert_eq!(late, Err(LimitError::Gone));
    for error in [
        LimitError::Cycle,
        LimitError::ZeroRate,
        LimitError::RateTooHigh(u64::MAX),
    ] {
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn the_highest_rates_and_bursts_do_not_overflow() {
    let most = RateLimit::new(RateLimit::MAX).unwrap();
    let most = most.with_burst(RateLimit::MAX).unwrap();
    let mut world = World::new();
    let group = world.group(None, RateLimits::both(most), Share::default());
    let heavy = Share::weighing(u32::MAX).unwrap();
    world.member(Some(group), RateLimits::both(most), heavy);
    world.member(Some(group), RateLimits::both(most), Share::default());
    world.start();
    world.run_until(Tick(SECOND));
    world.check_windows(most, |_| true);
    world.tree.pump(Tick::MAX);
    world.work_granted();
}
