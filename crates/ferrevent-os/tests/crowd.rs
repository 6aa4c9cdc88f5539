//! Thousands of relayed connections, with one of a hundred system calls of the
//! relay failing or short: a fault ends its own connection, with a typed
//! reason, or is not noticed; no byte is wrong, nothing is stuck, and
//! descriptors and memory are given back.
//!
//! The relay is a process of its own, so are the clients with the upstream:
//! one connection takes two descriptors of either. It lives beside the
//! backends because counting the heap is unsafe.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/child.rs"]
mod child;
#[path = "support/clients.rs"]
mod clients;
#[path = "../../ferrevent/tests/common/mod.rs"]
mod common;
#[path = "support/heap.rs"]
mod heap;
#[path = "support/relay.rs"]
mod relay;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::Write;
use std::thread;
use std::time::Instant;

use child::Player;
use clients::Clients;
use ferrevent::BackendKind;
use ferrevent::sys::raise_descriptor_limit;

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

/// Connections at once: a tenth in a reduced run, and a third of that on
/// poll(2), which is told of every descriptor at every wait, and on the kernel
/// that is played over it.
const ALL: usize = 9000;
const SHARE: usize = 900;
/// How often they all come and go.
const WAVES: usize = 4;

#[test]
fn thousands_of_relayed_connections_survive_the_faults_of_one_call_in_a_hundred() {
    let whole = std::env::var("FERREVENT_TORTURE").is_ok_and(|text| text == "all");
    let only = std::env::var("FERREVENT_ONLY").unwrap_or_default();
    let limit = raise_descriptor_limit().unwrap();
    for kind in BackendKind::ALL.iter().copied() {
        let slow = matches!(kind, BackendKind::Poll | BackendKind::Simulated(_));
        let wanted = if whole { ALL } else { SHARE } / if slow { 3 } else { 1 };
        // Two descriptors a connection, and some that are there anyway.
        let count = wanted.min((limit as usize).saturating_sub(200) / 2);
        if count < wanted {
            say(&format!(
                "only {limit} descriptors are allowed here (ulimit -Hn)"
            ));
        }
        let both = ["loop", "2"].map(|workers| format!("{kind} {workers}"));
        let both = both.into_iter().filter(|name| name.contains(&only));
        if whole {
            both.for_each(|name| crowd(&name, count));
        } else {
            thread::scope(|scope| {
                for name in both {
                    // A failure names the test, which is the thread's name.
                    let test = thread::current().name().unwrap_or_default().to_owned();
                    let named = thread::Builder::new().name(test);
                    let spawned = named.spawn_scoped(scope, move || crowd(&name, count));
                    spawned.unwrap();
                }
            });
        }
    }
}

fn crowd(name: &str, count: usize) {
    let seed = common::matrix::seed();
    let _replay = common::matrix::Replay::new(
        format!("the crowd on {name}"),
        format!("FERREVENT_ONLY='{name}' FERREVENT_STORM={seed}"),
    );
    let start = Instant::now();
    let mut clients = Clients::new();
    let relay = RefCell::new(Player::start(
        "relay_process",
        &format!("{name} {seed} {}", clients.upstream),
    ));
    let address = relay.borrow().answer().parse().unwrap();
    // The first wave fills what is kept for ever: tables, queues. A leak
    // grows with every wave, a table that doubles once more does not.
    let mut held = Vec::new();
    let mut waves = Vec::new();
    for wave in 0..WAVES {
        let sum = clients.wave(
            address,
            count,
            wave,
            |live| {
                let peak = Report::from(&relay.borrow_mut().ask("report"));
                assert!(peak.descriptors >= 2 * live, "{live} live: {peak:?}");
                peak
            },
            || relay.borrow_mut().ask("dump"),
        );
        // The lists that the relay keeps for us are no part of its memory.
        let cut: BTreeSet<u16> = sum.cut.iter().map(|(port, _)| *port).collect();
        let after = Report::from(&relay.borrow_mut().ask("settle"));
        let failed = &after.failed;
        assert_eq!(sum.wrong, 0, "bytes are wrong: {:?}", sum.first_wrong);
        assert!(
            cut.is_subset(failed),
            "cut short though nothing of theirs was struck: {:?}; {}",
            cut.difference(failed).collect::<Vec<_>>(),
            relay.borrow_mut().ask("told")
        );
        assert!(
            after.failures <= after.ending,
            "{} streams failed by {} faults: {}",
            after.failures,
            after.ending,
            relay.borrow_mut().ask("told")
        );
        assert!(
            after.ending > 0 && after.struck > 20,
            "hardly a fault: {after:?}"
        );
        let still = Report::from(&relay.borrow_mut().ask("forget"));
        held.push(still.heap);
        waves.push((sum, after));
    }
    let bytes: u64 = waves.iter().map(|(sum, _)| sum.bytes).sum();
    let cut: usize = waves.iter().map(|(sum, _)| sum.cut.len()).sum();
    let (sum, after) = waves.pop().unwrap();
    let growths = held.windows(2).map(|two| two[1] as i64 - two[0] as i64);
    let grown = growths.min().unwrap_or(0);
    say(&format!(
        "crowd on {name}: {count} connections at once, {WAVES} times, {:.1} s; \
         {bytes} bytes checked, {} wrong, 0 stuck; {} of {} calls struck, {} to end a connection: \
         {} streams failed, {} clients cut short; descriptors {} at most, {} after, {} before; \
         heap {} KiB at most, {grown} bytes more after a wave than before",
        start.elapsed().as_secs_f64(),
        sum.wrong,
        after.struck,
        after.calls,
        after.ending,
        after.failures,
        cut,
        sum.peak.descriptors,
        after.descriptors,
        after.baseline,
        sum.peak.heap / 1024,
    ));
    assert_eq!(after.descriptors, after.baseline, "descriptors are left");
    assert!(grown < 64 * 1024, "the heap grows: {held:?}");
}

/// What the relay says of itself.
#[derive(Debug, Default)]
pub(crate) struct Report {
    descriptors: usize,
    baseline: usize,
    heap: usize,
    calls: u64,
    struck: u64,
    ending: u64,
    failures: u64,
    failed: BTreeSet<u16>,
}

impl Report {
    fn from(line: &str) -> Self {
        let word = |key: &str| {
            let found = line.split(' ').find_map(|word| word.strip_prefix(key));
            found.unwrap_or_else(|| panic!("no {key} in {line}"))
        };
        let number = |key: &str| word(key).parse::<u64>().unwrap();
        Self {
            descriptors: number("descriptors=") as usize,
            baseline: number("baseline=") as usize,
            heap: number("heap=") as usize,
            calls: number("calls="),
            struck: number("struck="),
            ending: number("ending="),
            failures: number("failures="),
            failed: word("failed=")
                .split(',')
                .filter_map(|port| port.parse().ok())
                .collect(),
        }
    }
}

/// The process that relays.
#[test]
fn relay_process() {
    if let Some(part) = child::part() {
        relay::play(&part);
    }
}

/// Says something whatever the harness captures.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
