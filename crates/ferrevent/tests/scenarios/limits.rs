//! Rate limits: what is limited loses nothing, and is never too fast.

use std::time::{Duration, Instant};

use ferrevent::limit::{Direction, RateLimit, RateLimits, Share};
use ferrevent::{RateGroup, Stream};

use crate::common::{Outcome, Recorder, Rig, addresses, random_bytes};

const RATE: u64 = 2_000_000;
const BURST: u64 = 10_000;

fn limits() -> RateLimits {
    RateLimits::both(RateLimit::new(RATE).unwrap().with_burst(BURST).unwrap())
}

fn group(rig: &mut Rig, limits: RateLimits) -> RateGroup {
    use crate::common::Works;
    rig.context().rate_group(limits).unwrap()
}

pub(crate) fn a_limited_echo_loses_nothing_and_is_never_too_fast(rig: &mut Rig) -> Outcome {
    for address in addresses("limited") {
        let all = group(rig, limits());
        let echoing = all.subgroup(RateLimits::NONE, Share::default()).unwrap();
        let joined = echoing.clone();
        let to = rig.listen(&address, move || {
            let joined = joined.clone();
            let (recorder, _) = Recorder::with(move |stream: &mut Stream<'_>, what| match what {
                "opened" => stream.join(&joined, Share::default()).unwrap(),
                "ended" => stream.finish_write(),
                _ => {}
            });
            Echo(recorder)
        })?;
        let sent = random_bytes(rig.much(60_000), 5);
        let mut left = sent.clone();
        let (client, record) = Recorder::with(move |stream, what| {
            if what == "opened" {
                stream.limit(limits()).unwrap();
                let _ = stream.write(&std::mem::take(&mut left));
                stream.finish_write();
            }
        });
        let begun = Instant::now();
        rig.connect(to, client)?;
        rig.until("the close", || record.see().reason.is_some())?;
        let took = begun.elapsed();
        rig.demand_bytes(&record.bytes(), &sent)?;
        rig.demand(record.finished(), "it finished")?;
        // A microsecond more for the clock's own steps.
        let least = sent.len() as u64 - BURST.min(sent.len() as u64);
        let least = Duration::from_micros(least * 1_000_000 / RATE);
        let text = format!("{} bytes in {took:?}", sent.len());
        rig.demand(took + Duration::from_micros(1) >= least, &text)?;
        for direction in Direction::BOTH {
            let moved = all.moved_bytes(direction);
            let text = format!("{moved} bytes {direction:?} in the group");
            rig.demand(moved >= sent.len() as u64, &text)?;
        }
    }
    Ok(())
}

/// Records, and sends everything back.
struct Echo(Recorder);

impl ferrevent::Handler for Echo {
    fn opened(&mut self, stream: &mut Stream<'_>) {
        self.0.opened(stream);
    }

    fn readable(&mut self, stream: &mut Stream<'_>) {
        stream.echo();
    }

    fn ended(&mut self, stream: &mut Stream<'_>) {
        self.0.ended(stream);
    }
}

pub(crate) fn limits_change_while_bytes_move(rig: &mut Rig) -> Outcome {
    let (one, other) = (group(rig, limits()), group(rig, limits()));
    let inner = one.subgroup(limits(), Share::default()).unwrap();
    let sent = random_bytes(rig.much(1_000_000), 9);
    let mut left = sent.clone();
    let (source, _) = Recorder::with(move |stream, what| {
        if what == "opened" || what == "writable" {
            let n = left.len().min(50_000);
            let piece: Vec<u8> = left.drain(..n).collect();
            let _ = stream.write(&piece);
            if left.is_empty() {
                stream.finish_write();
            }
        }
    });
    let (sink, record) = Recorder::new();
    let (near, far) = rig.pair(source, sink)?;
    let fast = RateLimits::both(RateLimit::new(500_000_000).unwrap());
    let mut step = 0;
    rig.until("the close", || {
        step += 1;
        for handle in [&near, &far] {
            // Each may be over by now.
            match step % 8 {
                0 => drop(handle.limit(limits())),
                1 => drop(handle.join(&one, Share::default())),
                2 => drop(handle.join(&inner, Share::weighing(3).unwrap())),
                3 => drop(handle.leave_group()),
                4 => drop(handle.unlimit()),
                5 => drop(handle.reset_limit(fast)),
                6 => drop(handle.join(&other, Share::default())),
                _ => drop(handle.limit(RateLimits::NONE)),
            }
        }
        match step % 5 {
            0 => inner.move_to(Some(&other)).unwrap(),
            1 => one.set(fast),
            2 => other.reset(RateLimits::NONE),
            3 => inner.move_to(None).unwrap(),
            _ => one.set(limits()),
        }
        record.see().reason.is_some()
    })?;
    rig.demand_bytes(&record.bytes(), &sent)
}
