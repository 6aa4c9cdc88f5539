//! Rate limits on real streams: in simulated time on a loop, where the clock
//! moves only while nobody has anything to do, and in real time on everything.
//! A number after "tor" is that of what Tor asked of libevent's bufferevents
//! and never got.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::time::Duration;

use ferrevent::limit::{Direction, RateLimit, RateLimits, Share};
use ferrevent::sys::Clock;
use ferrevent::{BackendKind, Builder, EventLoop, Handler, Stream};

const TEN_SECONDS: Duration = Duration::from_secs(10);

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
    for kind in BackendKind::ALL {
        eprintln!("-- loop on {kind}");
        let builder = Builder::new().backend(*kind).clock(Clock::simulated());
        test(&mut builder.build().unwrap());
    }
}

/// Always has more to send; is put under limits when it opens.
struct Source<F>(F);

impl<F: FnMut(&mut Stream<'_>)> Handler for Source<F> {
    fn opened(&mut self, stream: &mut Stream<'_>) {
        (self.0)(stream);
        self.writable(stream);
    }

    fn readable(&mut self, _: &mut Stream<'_>) {}

    fn writable(&mut self, stream: &mut Stream<'_>) {
        let _ = stream.write(&[7; 100_000]);
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

/// The mean of ten seconds is the rate, but for the burst and a thousandth.
fn check(moved: u64, rate: u64) {
    let exact = 10 * rate + rate / 50;
    let off = moved.abs_diff(exact) as f64 / exact as f64;
    assert!(off <= 0.001, "{moved} bytes in ten seconds, not {exact}");
}

#[test]
fn a_stream_sends_at_its_rate() {
    in_simulated_time(|events| {
        let group = events.context().rate_group(RateLimits::NONE).unwrap();
        let joined = group.clone();
        let source = Source(move |stream: &mut Stream<'_>| {
            stream.limit(writing(1_000_000)).unwrap();
            stream.join(&joined, Share::default()).unwrap();
        });
        events
            .context()
            .pair(source, Sink(|_: &mut Stream<'_>| ()))
            .unwrap();
        events.run_for(TEN_SECONDS).unwrap();
        check(group.moved_bytes(Direction::Write), 1_000_000);
    });
}

#[test]
fn a_stream_receives_at_its_rate() {
    in_simulated_time(|events| {
        let group = events.context().rate_group(reading(300_000)).unwrap();
        let joined = group.clone();
        let sink = Sink(move |stream: &mut Stream<'_>| {
            stream.join(&joined, Share::default()).unwrap();
        });
        events
            .context()
            .pair(Source(|_: &mut Stream<'_>| ()), sink)
            .unwrap();
        events.run_for(TEN_SECONDS).unwrap();
        check(group.moved_bytes(Direction::Read), 300_000);
    });
}
