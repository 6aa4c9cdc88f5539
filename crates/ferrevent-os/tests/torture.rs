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
#[path = "support/torture.rs"]
mod torture;
#[path = "support/watchdog.rs"]
mod watchdog;

use std::sync::Arc;

use common::ledger::ON_PURPOSE;
use common::{Outcome, Rig};
use torture::Sum;

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

type Scenario = (&'static str, fn(&mut Rig) -> Outcome);

macro_rules! list {
    ($($name:ident)*) => {
        const ALL: &[Scenario] = &[$((stringify!($name), scenarios::$name)),*];
    };
}

scenarios::for_each_scenario!(list);

/// One test, so that no other has a part in the descriptors and the heap.
#[test]
fn every_call_of_every_scenario_fails_once() {
    if torture::shared_out("every_call_of_every_scenario_fails_once") {
        return;
    }
    // What is printed is kept by the harness, and would count as a leak.
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // By hand, for compilers that do not look into a payload (before 1.91).
        let payload = info.payload();
        let written = payload.downcast_ref::<String>().map(String::as_str);
        if written.or(payload.downcast_ref::<&str>().copied()) != Some(ON_PURPOSE) {
            usual(info);
        }
    }));
    let mut sum = Sum::new();
    for column in torture::columns() {
        for (number, (name, scenario)) in ALL.iter().enumerate() {
            let seed = common::matrix::seed().wrapping_add(number as u64);
            let place = format!("{name} on a {column}");
            sum.torture(&place, seed, |plan| {
                match column.rig(Some(Arc::clone(plan))) {
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
                }
            });
        }
    }
    sum.close();
}
