//! Torture: every fallible system call of every scenario fails once in turn,
//! on loop and pool, on every backend. Nothing may hang or panic or leak, and
//! a fault is told by an error or not noticed at all.
//!
//! It lives beside the backends because counting the heap is unsafe.

// It looks at the process by way of /proc.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../../ferrevent/tests/common/mod.rs"]
mod common;
#[path = "support/heap.rs"]
mod heap;
#[path = "../../ferrevent/tests/scenarios/mod.rs"]
mod scenarios;
#[path = "support/watchdog.rs"]
mod watchdog;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use common::ledger::ON_PURPOSE;
use common::matrix::{Column, Replay};
use common::rig::struck;
use common::{Outcome, Rig};
use ferrevent::sys::FaultPlan;
use watchdog::Watchdog;

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

type Scenario = (&'static str, fn(&mut Rig) -> Outcome);

macro_rules! list {
    ($($name:ident)*) => {
        const ALL: &[Scenario] = &[$((stringify!($name), scenarios::$name)),*];
    };
}

scenarios::for_each_scenario!(list);

/// Calls of a scenario that fail in a reduced run.
const SHARE: u64 = 9;
/// One run takes no longer unless it hangs.
const LONGEST: Duration = Duration::from_secs(60);

/// One test, so that no other has a part in the descriptors and the heap.
#[test]
fn every_call_of_every_scenario_fails_once() {
    let wanted = Wanted::from_environment();
    // What is printed is kept by the harness, and would count as a leak.
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload_as_str() != Some(ON_PURPOSE) {
            usual(info);
        }
    }));
    let only = std::env::var("FERREVENT_ONLY").unwrap_or_default();
    let mut sum = Sum {
        watchdog: Watchdog::new(),
        runs: 0,
        struck: BTreeMap::new(),
    };
    let began = Instant::now();
    for kind in common::kinds() {
        for workers in [None, Some(2)] {
            let column = Column {
                kind,
                workers,
                storm: None,
            };
            for (number, scenario) in ALL.iter().enumerate() {
                let place = format!("{} on a {column}", scenario.0);
                if place.contains(&only) {
                    let seed = common::matrix::seed().wrapping_add(number as u64);
                    sum.torture(column, *scenario, &place, &wanted, seed);
                }
            }
        }
    }
    say(&format!(
        "torture: {} runs in {:.1} s, {} calls struck: {}",
        sum.runs,
        began.elapsed().as_secs_f64(),
        sum.struck.values().map(|one| one.0).sum::<usize>(),
        sum.text(),
    ));
    assert!(sum.runs > 0, "no scenario has FERREVENT_ONLY in its name");
}

/// Which calls fail.
enum Wanted {
    /// Every call, with every error that it may have.
    All,
    /// Some calls, evenly spread, with one error each.
    Share,
    /// This call, with this one of its errors.
    One(u64, usize),
}

impl Wanted {
    fn from_environment() -> Self {
        let Ok(text) = std::env::var("FERREVENT_TORTURE") else {
            return Wanted::Share;
        };
        if text == "all" {
            return Wanted::All;
        }
        let parts = text.split_once('.');
        let numbers = parts.and_then(|(n, choice)| Some((n.parse().ok()?, choice.parse().ok()?)));
        let (n, choice) = numbers.expect("FERREVENT_TORTURE is `all` or, say, 17.0");
        Wanted::One(n, choice)
    }
}

/// What a whole run comes to.
struct Sum {
    watchdog: Watchdog,
    runs: usize,
    /// How often each call was struck, and how often an error told of it.
    struck: BTreeMap<String, (usize, usize)>,
}

impl Sum {
    fn torture(
        &mut self,
        column: Column,
        scenario: Scenario,
        place: &str,
        wanted: &Wanted,
        seed: u64,
    ) {
        // Once to warm up, and to count.
        let calls = self.run(column, scenario, place, None);
        match wanted {
            Wanted::One(n, choice) => drop(self.run(column, scenario, place, Some((*n, *choice)))),
            Wanted::Share => {
                let step = calls.div_ceil(SHARE).max(1);
                let mut n = seed % step;
                while n < calls {
                    let choice = ((seed / step + n) % 8) as usize;
                    self.run(column, scenario, place, Some((n, choice)));
                    n += step;
                }
            }
            Wanted::All => {
                for n in 0..calls {
                    let mut choice = 0;
                    loop {
                        let errors = self.run(column, scenario, place, Some((n, choice)));
                        choice += 1;
                        if choice as u64 >= errors {
                            break;
                        }
                    }
                }
            }
        }
    }

    /// Runs a scenario in which one call fails. Returns how many errors that
    /// call may have; with none to fail, how many calls there are.
    fn run(
        &mut self,
        column: Column,
        (name, scenario): Scenario,
        place: &str,
        fails: Option<(u64, usize)>,
    ) -> u64 {
        let again = match fails {
            None => "FERREVENT_TORTURE=0.0".to_owned(),
            Some((n, choice)) => format!("FERREVENT_TORTURE={n}.{choice}"),
        };
        let replay = Replay::new(
            place.to_owned(),
            format!("FERREVENT_ONLY='{place}' {again}"),
        );
        self.watchdog.watch(LONGEST, format!("{place}, {again}"));
        let before = Held::settled();
        let plan = match fails {
            None => FaultPlan::new(1, Vec::new()),
            Some((n, choice)) => FaultPlan::failing(n, choice),
        };
        let plan = Arc::new(plan);
        let told = match column.rig(Some(Arc::clone(&plan))) {
            Ok(rig) => {
                let mut rig = rig.tortured();
                let outcome = scenario(&mut rig);
                rig.close();
                outcome.is_err()
            }
            Err(error) => {
                assert_eq!(plan.struck(), 1, "{name}: {error}");
                true
            }
        };
        let (last, calls) = (plan.last(), plan.calls());
        drop(plan);
        if fails.is_some() {
            before.is_back(|| last.map_or_else(String::new, |(call, fault)| struck(call, fault)));
        }
        drop(replay);
        self.runs += 1;
        match (fails, last) {
            (None, _) => calls,
            (_, None) => 0,
            (_, Some((call, _))) => {
                let one = self.struck.entry(format!("{call:?}")).or_default();
                one.0 += 1;
                one.1 += usize::from(told);
                call.errnos().len() as u64
            }
        }
    }

    fn text(&self) -> String {
        let each = self.struck.iter();
        let each = each.map(|(call, (all, told))| format!("{call} {all} (told {told})"));
        each.collect::<Vec<_>>().join(", ")
    }
}

/// What the process holds.
struct Held {
    heap: usize,
    descriptors: Vec<String>,
}

impl Held {
    fn now() -> Self {
        ferrevent::buffer::trim_pool();
        let heap = heap::in_use();
        let mut descriptors: Vec<String> = std::fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let target = std::fs::read_link(&path).ok()?;
                // The directory that is being read is among them.
                let own = target.starts_with("/proc") && target.ends_with("fd");
                (!own).then(|| format!("{} {}", path.display(), target.display()))
            })
            .collect();
        descriptors.sort();
        Self { heap, descriptors }
    }

    /// What is held once the threads of earlier runs have ended, too.
    fn settled() -> Self {
        let mut last = (0, 0);
        loop {
            let now = Self::now();
            let sums = (now.heap, now.descriptors.len());
            drop(now);
            if sums == last {
                return Self::now();
            }
            last = sums;
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// The memory that the list itself takes: it came after the heap was
    /// counted.
    fn list(&self) -> usize {
        self.descriptors.iter().map(String::capacity).sum::<usize>()
            + self.descriptors.capacity() * size_of::<String>()
    }

    /// Everything was given back: at once, but for threads that end later
    /// than whoever waited for them learnt of it.
    fn is_back(&self, struck: impl Fn() -> String) {
        let list = self.list();
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            let now = Self::now();
            let grown = now.heap as i64 - (self.heap + list) as i64;
            let left: Vec<&String> = now
                .descriptors
                .iter()
                .filter(|one| !self.descriptors.contains(one))
                .collect();
            if left.is_empty() && grown <= 0 {
                return;
            }
            assert!(
                Instant::now() < end,
                "left: {left:?}, {grown} bytes of heap; {}",
                struck()
            );
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Says something whatever the harness captures.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
