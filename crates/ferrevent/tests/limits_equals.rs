//! Equals in a group, on real sockets: everybody has the same. Simulated time
//! has the figures, `limits.rs` and the core's tests.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::matrix::Column;
use common::{Works, kinds, listen, until};
use ferrevent::limit::{Direction, LimitError, RateLimit, RateLimits, Share};
use ferrevent::{BackendKind, Builder, Handler, RateGroup, Stream};

const MEMBERS: usize = 10;
const RATE: u64 = 4_000_000;
const TOTAL: u64 = 3_000_000;

/// Sends for ever, as a member of a group.
struct Sends(RateGroup);

impl Handler for Sends {
    fn opened(&mut self, stream: &mut Stream<'_>) {
        stream.join(&self.0, Share::default()).unwrap();
        self.writable(stream);
    }

    fn readable(&mut self, _: &mut Stream<'_>) {}

    fn writable(&mut self, stream: &mut Stream<'_>) {
        let _ = stream.write(&[7; 50_000]);
    }
}

/// Counts what comes.
struct Counts(Arc<AtomicU64>);

impl Handler for Counts {
    fn readable(&mut self, stream: &mut Stream<'_>) {
        let len = stream.input().len() as u64;
        let _ = stream.input().clear();
        self.0.fetch_add(len, Ordering::Relaxed);
    }
}

/// Jain's index: 1 when everybody has the same.
fn fairness(parts: &[u64]) -> f64 {
    let sum: f64 = parts.iter().map(|part| *part as f64).sum();
    let squares: f64 = parts.iter().map(|part| (*part as f64).powi(2)).sum();
    sum * sum / (parts.len() as f64 * squares)
}

#[test]
fn equals_in_a_group_have_the_same_on_real_sockets() {
    let storm = None;
    // A simulated kernel holds completions back as it likes.
    let real = kinds().filter(|kind| !matches!(kind, BackendKind::Simulated(_)));
    for kind in real {
        for workers in [None, Some(3)] {
            let mut rig = Column {
                kind,
                workers,
                storm,
            }
            .rig(None)
            .unwrap();
            let limit = RateLimit::new(RATE).unwrap().with_burst(RATE / 50).unwrap();
            let sending = RateLimits {
                write: Some(limit),
                ..RateLimits::NONE
            };
            let group = rig.context().rate_group(sending).unwrap();
            let any = "127.0.0.1:0".parse().unwrap();
            let all: Vec<Arc<AtomicU64>> = (0..MEMBERS).map(|_| Arc::default()).collect();
            let mut rest = all.clone();
            let to = listen(&mut rig, &any, move || Counts(rest.pop().unwrap()));
            for _ in 0..MEMBERS {
                rig.connect(to.clone(), Sends(group.clone())).unwrap();
            }
            let parts =
                || -> Vec<u64> { all.iter().map(|it| it.load(Ordering::Relaxed)).collect() };
            // Who came first had the burst: it counts from when all are there.
            until(&mut rig, "everybody", || {
                parts().iter().all(|part| *part > 0)
            });
            let before = parts();
            until(&mut rig, "enough", || {
                parts().iter().sum::<u64>() >= before.iter().sum::<u64>() + TOTAL
            });
            let moved: Vec<u64> = parts()
                .iter()
                .zip(&before)
                .map(|(now, before)| now - before)
                .collect();
            let fairness = fairness(&moved);
            eprintln!("{kind}, {workers:?} workers: {fairness:.4}");
            assert!(fairness >= 0.99, "{fairness}: {moved:?}");
            assert!(group.moved_bytes(Direction::Write) >= TOTAL);
            rig.close();
        }
    }
}

#[test]
fn groups_refuse_what_cannot_be() {
    let mut events = Builder::new().build().unwrap();
    let outer = events.context().rate_group(RateLimits::NONE).unwrap();
    let inner = outer.subgroup(RateLimits::NONE, Share::default()).unwrap();
    let innermost = inner.subgroup(RateLimits::NONE, Share::default()).unwrap();
    for group in [&outer, &inner, &innermost] {
        assert_eq!(outer.move_to(Some(group)), Err(LimitError::Cycle));
    }
    assert_eq!(inner.move_to(Some(&innermost)), Err(LimitError::Cycle));
    // What was refused has changed nothing.
    assert_eq!(innermost.move_to(Some(&outer)), Ok(()));
    assert_eq!(inner.move_to(Some(&innermost)), Ok(()));
    let mut others = Builder::new()
        .backend(BackendKind::default())
        .build()
        .unwrap();
    let other = others.context().rate_group(RateLimits::NONE).unwrap();
    assert_eq!(outer.move_to(Some(&other)), Err(LimitError::Foreign));
    let nothing = Share {
        weight: 0,
        ..Share::default()
    };
    let refused = outer.subgroup(RateLimits::NONE, nothing).map(|_| ());
    assert_eq!(refused, Err(LimitError::ZeroWeight));
    assert_eq!(Share::weighing(0), Err(LimitError::ZeroWeight));
    for rate in [0, RateLimit::MAX + 1, u64::MAX] {
        let expected = match rate {
            0 => LimitError::ZeroRate,
            rate => LimitError::RateTooHigh(rate),
        };
        assert_eq!(RateLimit::new(rate), Err(expected));
    }
}
