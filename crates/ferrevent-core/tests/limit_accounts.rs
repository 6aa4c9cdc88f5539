//! Rate limits by periods of any length, and bytes that are put into buckets
//! and taken out of them besides those that move.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use ferrevent_core::limit::{
    Bucket, Direction, LimitError, NodeId, RateLimit, RateLimits, Share, Tree,
};
use ferrevent_core::timer::Tick;

const READ: Direction = Direction::Read;
const SECOND: u64 = 1_000_000;

fn over(bytes: u64, micros: u64, burst: u64) -> RateLimit {
    RateLimit::over(bytes, Duration::from_micros(micros), burst).unwrap()
}

fn member(tree: &mut Tree<u8>, group: Option<NodeId>, limits: RateLimits) -> NodeId {
    let share = Share::default();
    tree.add_member(0, group, limits, share, Tick(0)).unwrap()
}

#[test]
fn a_rate_is_exact_over_any_period() {
    for (bytes, micros) in [(1, 1), (7, 3), (1, 3600 * SECOND), (999, 1_234_567)] {
        let mut bucket = Bucket::full(over(bytes, micros, 10 * bytes), Tick(0));
        bucket.take(10 * bytes);
        let due = Tick(micros.div_ceil(bytes));
        assert_eq!(bucket.holds_at(1), due, "{bytes} in {micros}");
        // In odd steps.
        let mut now = 0;
        while now < 3 * micros {
            now = (now + micros / 3 + 1).min(3 * micros);
            bucket.refill(Tick(now));
        }
        assert_eq!(bucket.bytes(), 3 * bytes, "{bytes} in {micros}");
    }
    assert_eq!(over(1000, SECOND, 100), RateLimit::new(1000).unwrap());
    assert_eq!(over(1, 3 * SECOND, 1).rate(), 0);
    assert_eq!(over(7, 2, 7).rate(), 3_500_000);
}

#[test]
fn what_cannot_be_counted_exactly_is_counted_by_a_shorter_period() {
    let day = 86_400 * SECOND;
    let limit = over(1_000_000_000, day, 1_000_000_000);
    let brought = limit.bytes_in(Duration::from_secs(86_400 * 30));
    assert!(brought.abs_diff(30_000_000_000) < 30_000, "{brought}");
    assert_eq!(limit.burst(), 1_000_000_000);
    let most = i64::MAX as u64;
    for micros in [1, SECOND, day] {
        let mut bucket = Bucket::full(over(most, micros, most), Tick(0));
        assert_eq!(bucket.bytes(), most);
        bucket.take(most);
        bucket.refill(Tick::MAX);
        assert!(bucket.bytes() > 0);
        let mut slow = Bucket::full(over(1, micros, most), Tick(0));
        slow.take(5);
        assert!(slow.holds_at(most) > Tick(0));
    }
    // Sooner a smaller burst than another rate.
    let limit = over(1000, SECOND, most);
    assert_eq!((limit.rate(), limit.burst()), (1000, RateLimit::MAX));
    // More than can be said counts as the most.
    assert_eq!(over(u64::MAX, SECOND, u64::MAX), over(most, SECOND, most));
}

#[test]
fn a_limit_of_no_time_is_refused() {
    for (bytes, micros, burst, error) in [
        (0, 1, 1, LimitError::ZeroRate),
        (1, 0, 1, LimitError::ZeroPeriod),
        (1, 1, 0, LimitError::ZeroBurst),
    ] {
        let limit = RateLimit::over(bytes, Duration::from_micros(micros), burst);
        assert_eq!(limit, Err(error));
        assert!(error.to_string().contains("give"), "{error}");
    }
}

#[test]
fn a_level_stays_when_the_period_changes() {
    let mut bucket = Bucket::full(over(1000, SECOND, 1000), Tick(0));
    bucket.take(400);
    bucket.set(over(1000, 3600 * SECOND, 1000), false, Tick(0));
    assert_eq!(bucket.bytes(), 600);
    bucket.take(700);
    bucket.set(over(1, 1, 1000), false, Tick(0));
    assert_eq!(bucket.balance(), -100);
    bucket.set(over(1, 1, 1000), false, Tick(200));
    assert_eq!(bucket.balance(), 100);
}

#[test]
fn bytes_that_are_put_in_stay_until_they_are_taken() {
    let mut tree = Tree::new();
    let limits = RateLimits::both(over(1000, SECOND, 1000));
    let one = member(&mut tree, None, limits);
    tree.charge(one, READ, -4000, Tick(0)).unwrap();
    assert_eq!(tree.level(one, READ, Tick(5 * SECOND)), Some(5000));
    assert_eq!(tree.ask(one, READ, 10_000, Tick(5 * SECOND)), 5000);
    tree.spent(one, READ, 4500, Tick(5 * SECOND));
    tree.settle(one, READ, Tick(5 * SECOND));
    assert_eq!(tree.level(one, READ, Tick(6 * SECOND)), Some(1000));
    assert_eq!(tree.moved(one, READ), Some(4500));
}

#[test]
fn who_is_charged_waits_until_it_is_made_up() {
    let mut tree = Tree::new();
    let limits = RateLimits::both(over(1000, SECOND, 1000));
    let one = member(&mut tree, None, limits);
    tree.charge(one, READ, 3000, Tick(0)).unwrap();
    assert_eq!(tree.balance(one, READ, Tick(0)), Some(-2000));
    assert_eq!(tree.ask(one, READ, 1, Tick(0)), 0);
    let due = tree.wake_at().unwrap();
    assert!(due > Tick(2 * SECOND) && due < Tick(3 * SECOND), "{due:?}");
    // Later than it would have been, then at once.
    tree.charge(one, READ, 1000, Tick(0)).unwrap();
    assert_eq!(tree.wake_at(), Some(Tick(due.0 + SECOND)));
    tree.charge(one, READ, -3500, Tick(0)).unwrap();
    assert_eq!(tree.next_granted(), Some(0));
    assert_eq!(tree.wake_at(), None);
    assert_eq!(tree.ask(one, READ, 1, Tick(0)), 1);
    // Nobody has more than it says: what was granted is taken back.
    tree.charge(one, READ, 1000, Tick(0)).unwrap();
    assert_eq!(tree.balance(one, READ, Tick(0)), Some(-500));
    assert_eq!(tree.ask(one, READ, 1, Tick(0)), 0);
}

#[test]
fn a_group_is_charged_for_all_that_are_in_it() {
    let mut tree = Tree::new();
    let limits = RateLimits::both(over(1000, SECOND, 1000));
    let group = tree.add_group(None, limits, Share::default(), Tick(0));
    let group = group.unwrap();
    let two = [(); 2].map(|()| member(&mut tree, Some(group), RateLimits::NONE));
    tree.charge(group, READ, 1100, Tick(0)).unwrap();
    for one in two {
        assert_eq!(tree.ask(one, READ, 1, Tick(0)), 0);
        assert_eq!(tree.balance(one, READ, Tick(0)), None);
    }
    tree.charge(group, READ, -1100, Tick(0)).unwrap();
    assert_eq!(tree.next_granted(), Some(0));
    assert_eq!(tree.next_granted(), Some(0));
    for one in two {
        tree.spent(one, READ, 1, Tick(0));
        tree.settle(one, READ, Tick(0));
    }
    assert_eq!(tree.moved(group, READ), Some(2));
    tree.forget_moved(group);
    assert_eq!(tree.moved(group, READ), Some(0));
    tree.release(group, Tick(0));
    for one in two {
        tree.release(one, Tick(0));
    }
    assert_eq!(tree.charge(group, READ, 1, Tick(0)), Err(LimitError::Gone));
}

#[test]
fn turns_are_as_long_as_a_group_says() {
    for shortest in [64, 1024, 5000] {
        let mut tree = Tree::new();
        let limits = RateLimits::both(over(1000, SECOND, 100_000));
        let group = tree.add_group(None, limits, Share::default(), Tick(0));
        let group = group.unwrap();
        tree.set_shortest_turn(group, shortest).unwrap();
        let two = [(); 2].map(|()| member(&mut tree, Some(group), RateLimits::NONE));
        tree.charge(group, READ, 100_000, Tick(0)).unwrap();
        for one in two {
            assert_eq!(tree.ask(one, READ, 9000, Tick(0)), 0);
        }
        let mut now = Tick(0);
        for _ in 0..4 {
            now = tree.wake_at().unwrap();
            tree.pump(now);
            while tree.next_granted().is_some() {
                for one in two {
                    let granted = tree.ask(one, READ, 9000, now);
                    assert!(
                        granted == 0 || granted == shortest,
                        "{granted} of {shortest}"
                    );
                    tree.spent(one, READ, granted, now);
                }
            }
        }
        let moved = tree.moved(group, READ).unwrap();
        assert!(
            moved >= 4 * shortest && moved * 1000 <= now.0,
            "{moved} in {now:?}"
        );
    }
}

#[test]
fn what_somebody_leaves_is_there_for_the_next_be_it_ever_so_little() {
    let mut tree = Tree::new();
    let limits = RateLimits::both(over(1000, 3600 * SECOND, 1000));
    let one = member(&mut tree, None, limits);
    assert_eq!(tree.ask(one, READ, 900, Tick(0)), 900);
    tree.spent(one, READ, 900, Tick(0));
    tree.settle(one, READ, Tick(0));
    // A turn is longer than that.
    assert_eq!(tree.ask(one, READ, 900, Tick(0)), 100);
    tree.spent(one, READ, 97, Tick(0));
    tree.settle(one, READ, Tick(0));
    assert_eq!(tree.ask(one, READ, 900, Tick(0)), 3);
    tree.spent(one, READ, 3, Tick(0));
    // What has come in since is left to gather.
    let soon = Tick(60 * SECOND);
    assert_eq!(tree.level(one, READ, soon), Some(16));
    assert_eq!(tree.ask(one, READ, 900, soon), 0);
    assert!(tree.wake_at().unwrap() > Tick(1000 * SECOND));
}
