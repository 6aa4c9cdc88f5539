//! Rate limits on real streams in simulated time, where the clock moves only
//! while nobody has anything to do; the scenarios have them in real time, on
//! everything. A number after "tor" is that of what Tor asked of libevent's
//! bufferevents and never got.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::local_pair;
use ferrevent::filter::{Filter, Pass};
use ferrevent::limit::{Direction, LimitError, RateLimit, RateLimits, Share};
use ferrevent::sys::Clock;
use ferrevent::{BackendKind, Builder, CloseReason, EventLoop, Handler, RateGroup, Stream};

/// No test takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// So long most tests run, by the simulated clock. Wine needs a millisecond
/// for what takes a microsecond elsewhere.
const SECONDS: u64 = if cfg!(windows) { 1 } else { 10 };
const WHILE: Duration = Duration::from_secs(SECONDS);

/// Twenty milliseconds of the rate.
fn limit(rate: u64) -> RateLimit {
    RateLimit::new(rate).unwrap().with_burst(rate / 50).unwrap()
}

fn writing(rate: u64) -> RateLimits {
    RateLimits {
        write: Some(limit(rate)),
        ..RateLimits::NONE
    }
}

fn reading(rate: u64) -> RateLimits {
    RateLimits {
        read: Some(limit(rate)),
        ..RateLimits::NONE
    }
}

/// Runs a test in simulated time, on a loop on every backend.
fn in_simulated_time(test: impl Fn(&mut EventLoop)) {
    let simulated = [BackendKind::Simulated(2)];
    for kind in BackendKind::ALL.iter().copied().chain(simulated) {
        eprintln!("-- loop on {kind}");
        let builder = Builder::new().backend(kind).clock(Clock::simulated());
        test(&mut builder.build().unwrap());
    }
}

fn group(events: &mut EventLoop, limits: RateLimits) -> RateGroup {
    events.context().rate_group(limits).unwrap()
}

/// Has more to send than any test waits for, and not for ever: without its
/// limits the clock would stand still. Is put under them when it opens.
struct Source<F>(F, u32);

fn source<F: FnMut(&mut Stream<'_>)>(limit: F) -> Source<F> {
    Source(limit, 300)
}

impl<F: FnMut(&mut Stream<'_>)> Handler for Source<F> {
    fn opened(&mut self, stream: &mut Stream<'_>) {
        (self.0)(stream);
        self.writable(stream);
    }

    fn readable(&mut self, _: &mut Stream<'_>) {}

    fn writable(&mut self, stream: &mut Stream<'_>) {
        self.1 = self.1.saturating_sub(1);
        if self.1 > 0 {
            let _ = stream.write(&[7; 100_000]);
        }
    }
}

/// Takes everything; is put under limits when it opens.
struct Sink<F>(F);

impl<F: FnMut(&mut Stream<'_>)> Handler for Sink<F> {
    fn opened(&mut self, stream: &mut Stream<'_>) {
        (self.0)(stream);
    }

    fn readable(&mut self, stream: &mut Stream<'_>) {
        let _ = stream.input().clear();
    }
}

/// Puts a source into a group.
fn source_in(events: &mut EventLoop, group: &RateGroup, share: Share) {
    let joined = group.clone();
    let from = source(move |stream: &mut Stream<'_>| stream.join(&joined, share).unwrap());
    let sink = Sink(|_: &mut Stream<'_>| ());
    events.context().pair(from, sink).unwrap();
}

/// The mean is the rate, but for the burst and what is in the bucket at the
/// end: ten milliseconds' worth, a thousandth of ten seconds.
fn check(moved: u64, rate: u64) {
    let exact = SECONDS * rate + rate / 50;
    let off = moved.abs_diff(exact);
    assert!(off <= rate / 100, "{moved} bytes, not {exact}");
}

#[test]
fn a_stream_sends_at_its_rate() {
    in_simulated_time(|events| {
        let group = group(events, RateLimits::NONE);
        let joined = group.clone();
        let from = source(move |stream: &mut Stream<'_>| {
            stream.limit(writing(1_000_000)).unwrap();
            stream.join(&joined, Share::default()).unwrap();
        });
        events
            .context()
            .pair(from, Sink(|_: &mut Stream<'_>| ()))
            .unwrap();
        events.run_for(WHILE).unwrap();
        check(group.moved_bytes(Direction::Write), 1_000_000);
    });
}

#[test]
fn a_stream_receives_at_its_rate() {
    in_simulated_time(|events| {
        let group = group(events, reading(300_000));
        let joined = group.clone();
        let sink = Sink(move |stream: &mut Stream<'_>| {
            stream.join(&joined, Share::default()).unwrap();
        });
        events
            .context()
            .pair(source(|_: &mut Stream<'_>| ()), sink)
            .unwrap();
        events.run_for(WHILE).unwrap();
        check(group.moved_bytes(Direction::Read), 300_000);
    });
}

/// Tor 1: groups in groups, as for all traffic and the relayed part of it.
#[test]
fn tor_1_a_group_inside_a_group_keeps_both_limits() {
    in_simulated_time(|events| {
        let all = group(events, writing(200_000));
        let relayed = all.subgroup(writing(40_000), Share::default()).unwrap();
        let link = relayed.subgroup(writing(10_000), Share::default()).unwrap();
        for group in [&all, &relayed, &link, &link] {
            source_in(events, group, Share::default());
        }
        events.run_for(WHILE).unwrap();
        let before = [&all, &relayed, &link].map(|group| group.moved_bytes(Direction::Write));
        events.run_for(3 * WHILE).unwrap();
        for ((group, rate), before) in [(all, 200_000), (relayed, 40_000), (link, 10_000)]
            .into_iter()
            .zip(before)
        {
            let moved = group.moved_bytes(Direction::Write) - before;
            let exact = 3 * SECONDS * rate;
            let off = moved.abs_diff(exact);
            assert!(off <= rate / 50, "{moved} bytes, not {exact}");
        }
    });
}

/// Tor 2: a change of the configuration fills the bucket, or leaves it.
#[test]
fn tor_2_a_group_is_set_anew_with_and_without_a_full_bucket() {
    in_simulated_time(|events| {
        for reset in [false, true] {
            let group = group(events, writing(100_000));
            source_in(events, &group, Share::default());
            events.run_for(Duration::from_secs(1)).unwrap();
            let before = group.moved_bytes(Direction::Write);
            if reset {
                group.reset(writing(1_000_000));
            } else {
                group.set(writing(1_000_000));
            }
            let moved = || group.moved_bytes(Direction::Write) - before;
            // The time is simulated, but the kernel is not.
            let end = Instant::now() + PATIENCE;
            for _ in 0..2 {
                events.run_for(Duration::ZERO).unwrap();
            }
            while reset && moved() < 15_000 && Instant::now() < end {
                events.run_for(Duration::ZERO).unwrap();
            }
            let at_once = moved();
            assert_eq!(at_once >= 15_000, reset, "{at_once} bytes at once");
            events.run_for(WHILE).unwrap();
            let moved = group.moved_bytes(Direction::Write) - before;
            let expected = SECONDS * 1_000_000 + if reset { 20_000 } else { 0 };
            assert!(moved.abs_diff(expected) <= 10_000, "{moved} bytes");
            group.set(writing(100));
        }
    });
}

/// Says every byte twice: the wire carries more than the owner sees.
struct Twice;

impl Filter for Twice {
    fn decode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        let n = (pass.available() / 2).min(pass.room());
        let pairs = pass.source().take_vec(2 * n)?;
        let once: Vec<u8> = pairs.chunks(2).map(|pair| pair[0]).collect();
        Ok(pass.target().append(&once)?)
    }

    fn encode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        let n = pass.available().min(pass.room().div_ceil(2));
        let once = pass.source().take_vec(n)?;
        let twice: Vec<u8> = once.iter().flat_map(|byte| [*byte, *byte]).collect();
        Ok(pass.target().append(&twice)?)
    }
}

/// Tor 3: limits are those of the wire, below every filter.
#[test]
fn tor_3_the_wire_is_limited_below_the_filters() {
    in_simulated_time(|events| {
        let (sends, receives) = (
            group(events, writing(100_000)),
            group(events, RateLimits::NONE),
        );
        let (out, input) = (sends.clone(), receives.clone());
        let plain = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&plain);
        let from = source(move |stream: &mut Stream<'_>| {
            stream.add_filter(Box::new(Twice)).unwrap();
            stream.join(&out, Share::default()).unwrap();
        });
        let sink = Counting(count, move |stream: &mut Stream<'_>| {
            stream.add_filter(Box::new(Twice)).unwrap();
            stream.join(&input, Share::default()).unwrap();
        });
        events.context().pair(from, sink).unwrap();
        events.run_for(WHILE).unwrap();
        check(sends.moved_bytes(Direction::Write), 100_000);
        check(receives.moved_bytes(Direction::Read), 100_000);
        check(2 * plain.load(Ordering::Relaxed), 100_000);
    });
}

/// A sink that counts what its owner gets.
struct Counting<F>(Arc<AtomicU64>, F);

impl<F: FnMut(&mut Stream<'_>)> Handler for Counting<F> {
    fn opened(&mut self, stream: &mut Stream<'_>) {
        (self.1)(stream);
    }

    fn readable(&mut self, stream: &mut Stream<'_>) {
        let _ = stream.input().clear();
        self.0.store(stream.received_bytes(), Ordering::Relaxed);
    }
}

/// Tor 8: who owns limits is plain. A group lives as long as somebody holds
/// it or is in it; a stream's own go with it; settings are values, and nobody
/// frees any.
#[test]
fn tor_8_a_group_lives_as_long_as_it_is_held_or_used() {
    in_simulated_time(|events| {
        let all = group(events, writing(1_000_000));
        let inner = all.subgroup(writing(100_000), Share::default()).unwrap();
        source_in(events, &inner, Share::default());
        // A handler has a clone of the inner group; nobody has the outer one.
        drop(all);
        let watched = inner.clone();
        drop(inner);
        events.run_for(WHILE).unwrap();
        check(watched.moved_bytes(Direction::Write), 100_000);
        // Streams may leave and come back; without limits they are free.
        let (near, far) = local_pair();
        let free = Arc::new(AtomicU64::new(0));
        let from = source(|stream: &mut Stream<'_>| {
            stream.limit(writing(1_000)).unwrap();
            stream.unlimit();
            assert_eq!(stream.limits(), RateLimits::NONE);
            assert_eq!(stream.limit_level(Direction::Write), None);
        });
        let handle = events.local().adopt(near.into(), from).unwrap();
        let sink = Counting(Arc::clone(&free), |_: &mut Stream<'_>| ());
        events.local().adopt(far.into(), sink).unwrap();
        while free.load(Ordering::Relaxed) < 10_000_000 {
            events.run_once().unwrap();
        }
        handle.join(&watched, Share::default()).unwrap();
        handle.close();
        events.run_for(Duration::from_millis(1)).unwrap();
        assert_eq!(
            handle.join(&watched, Share::default()),
            Err(LimitError::Gone)
        );
        // A group outlives its loop, and moves nothing then.
        let other = Builder::new()
            .build()
            .unwrap()
            .context()
            .rate_group(writing(700));
        assert_eq!(other.unwrap().limits(), writing(700));
    });
}

/// Tor 11: shares and priorities, on streams that move bytes.
#[test]
fn tor_11_shares_and_priorities_are_kept() {
    in_simulated_time(|events| {
        let all = group(events, writing(1_000_000));
        let share = |weight, priority| Share { weight, priority };
        let mut parts = Vec::new();
        for share in [share(1, 0), share(3, 0), share(1, 1)] {
            let part = all.subgroup(RateLimits::NONE, share).unwrap();
            source_in(events, &part, Share::default());
            parts.push(part);
        }
        events.run_for(WHILE).unwrap();
        check(all.moved_bytes(Direction::Write), 1_000_000);
        let moved = |part: usize| parts[part].moved_bytes(Direction::Write) as f64;
        // Within two hundredths, and a turn.
        let off = |part: usize, exact: f64| (moved(part) - exact).abs() / exact;
        let (one, three) = (0.25e6 * SECONDS as f64, 0.75e6 * SECONDS as f64);
        let few = if cfg!(windows) { 0.05 } else { 0.02 };
        assert!(off(0, one) < few, "{}", moved(0));
        assert!(off(1, three) < few, "{}", moved(1));
        assert!(moved(2) <= 20_000.0, "{} where nothing is left", moved(2));
    });
}

/// Tor 11: nobody is woken to fill buckets; a stream that has nothing to move
/// costs nothing, however empty its bucket is.
#[test]
fn tor_11_an_idle_stream_with_limits_is_not_woken() {
    in_simulated_time(|events| {
        let group = group(events, RateLimits::both(limit(1_000_000)));
        let both = [group.clone(), group.clone()].map(|group| {
            move |stream: &mut Stream<'_>| {
                stream.limit(RateLimits::both(limit(500_000))).unwrap();
                stream.join(&group, Share::default()).unwrap();
                // Enough to empty every bucket.
                let _ = stream.write(&[1; 50_000]);
            }
        });
        let [one, other] = both.map(Sink);
        events.context().pair(one, other).unwrap();
        events.run_for(Duration::from_secs(1)).unwrap();
        assert_eq!(group.moved_bytes(Direction::Read), 100_000);
        let turns = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&turns);
        events.before_wait(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        events.run_for(Duration::from_secs(1000)).unwrap();
        let turns = turns.load(Ordering::Relaxed);
        assert!(turns <= 4, "{turns} turns in a thousand idle seconds");
    });
}

/// Tor 11: the bytes that the kernel has taken and not sent can be read, and
/// so can every bucket.
#[test]
fn tor_11_the_kernels_unsent_bytes_and_the_levels_are_readable() {
    for kind in BackendKind::ALL {
        let mut events = Builder::new().backend(*kind).build().unwrap();
        let (near, far) = local_pair();
        let seen = Arc::new(Mutex::new(None));
        let own = Arc::clone(&seen);
        type Seen = Option<(io::Result<Option<u64>>, Option<u64>)>;
        struct Writes(Arc<Mutex<Seen>>);
        impl Handler for Writes {
            fn opened(&mut self, stream: &mut Stream<'_>) {
                stream.limit(writing(50_000_000)).unwrap();
                stream.tell_sent(true);
                let _ = stream.write(&[1; 5000]);
            }
            fn readable(&mut self, _: &mut Stream<'_>) {}
            fn sent(&mut self, stream: &mut Stream<'_>) {
                let level = stream.limit_level(Direction::Write);
                *self.0.lock().unwrap() = Some((stream.unsent_bytes(), level));
            }
            fn closed(&mut self, _: &mut Stream<'_>, _: CloseReason) {}
        }
        let _handle = events.local().adopt(near.into(), Writes(own)).unwrap();
        while seen.lock().unwrap().is_none() {
            events.run_once().unwrap();
        }
        let (unsent, level) = seen.lock().unwrap().take().unwrap();
        let unsent = unsent.unwrap();
        if cfg!(target_os = "linux") {
            // Of a unix socket it counts the kernel's own overhead, too.
            assert!(unsent.is_some_and(|bytes| bytes >= 5000), "{unsent:?}");
        }
        assert!(level.is_some_and(|level| level >= 995_000), "{level:?}");
        drop(far);
    }
}
