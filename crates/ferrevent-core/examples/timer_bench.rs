//! Times the timer queue: prints `name<TAB>count<TAB>ns` a line, the time
//! being nanoseconds for one timer.
//!
//! `timer_bench [--only add|rearm|delete|fire|paced]`
//!
//! Deadlines are uniform over a minute. Timers are re-armed and deleted in
//! random order; `fire` lets the minute pass in one step, `paced` in steps of a
//! millisecond, each of which looks for expired timers and the next deadline.
use std::env;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use ferrevent_core::timer::{Tick, TimerId, TimerQueue};

const MINUTE: u64 = 60_000_000;
const STEP: u64 = 1_000;
const NAMES: [&str; 5] = ["add", "rearm", "delete", "fire", "paced"];

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let only = match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => None,
        (Some("--only"), Some(name)) if NAMES.contains(&name.as_str()) => Some(name),
        _ => {
            eprintln!("usage: timer_bench [--only {}]", NAMES.join("|"));
            return ExitCode::from(2);
        }
    };
    for count in [1_000_000, 10_000] {
        // Small sets are gone through more often, for the same precision.
        let rounds = 2_000_000 / count;
        let mut nanos = [0.0; NAMES.len()];
        for round in 0..rounds {
            for (sum, one) in nanos.iter_mut().zip(measure(count, round as u64)) {
                *sum += one / (rounds * count) as f64;
            }
        }
        for (name, nanos) in NAMES.iter().zip(nanos) {
            if only.as_deref().is_none_or(|only| only == *name) {
                println!("{name}\t{count}\t{nanos:.1}");
            }
        }
    }
    ExitCode::SUCCESS
}

/// Nanoseconds for all timers, in the order of `NAMES`.
fn measure(count: usize, seed: u64) -> [f64; NAMES.len()] {
    let mut random = Random(seed);
    let deadlines: Vec<_> = (0..count).map(|_| random.deadline()).collect();
    let others: Vec<_> = (0..count).map(|_| random.deadline()).collect();
    let order = random.order(count);

    let mut queue = TimerQueue::new(Tick::ZERO);
    let mut ids = Vec::with_capacity(count);
    let add = time(|| add_all(&mut queue, &mut ids, &deadlines));
    let rearm = time(|| {
        for (at, deadline) in order.iter().zip(&others) {
            queue.rearm(ids[*at], *deadline);
        }
    });
    let delete = time(|| {
        for at in &order {
            black_box(queue.remove(ids[*at]));
        }
    });

    let mut queue = TimerQueue::new(Tick::ZERO);
    add_all(&mut queue, &mut ids, &deadlines);
    let fire = time(|| fire_until(&mut queue, Tick(MINUTE)));
    assert!(queue.is_empty());

    let mut queue = TimerQueue::new(Tick::ZERO);
    add_all(&mut queue, &mut ids, &deadlines);
    let paced = time(|| {
        for step in 1..=MINUTE / STEP {
            fire_until(&mut queue, Tick(step * STEP));
            black_box(queue.next_deadline());
        }
    });
    assert!(queue.is_empty());
    [add, rearm, delete, fire, paced]
}

fn add_all(queue: &mut TimerQueue<u64>, ids: &mut Vec<TimerId>, deadlines: &[Tick]) {
    ids.clear();
    for (payload, deadline) in (0..).zip(deadlines) {
        ids.push(queue.insert(*deadline, payload));
    }
}

fn fire_until(queue: &mut TimerQueue<u64>, now: Tick) {
    while let Some(fired) = queue.pop_expired(now) {
        black_box(fired);
    }
}

fn time(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_nanos() as f64
}

/// Splitmix64, as in the program that this one is compared with.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn deadline(&mut self) -> Tick {
        Tick(1 + self.next() % MINUTE)
    }

    fn order(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<_> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last, self.next() as usize % (last + 1));
        }
        order
    }
}
