//! Torture of tasks: every fallible system call under every future fails once
//! in turn, on loop and pool, on every backend. A fault is told by an error or
//! not noticed at all; nothing hangs, panics or leaks.
//!
//! It lives beside the backends because counting the heap is unsafe.

// It looks at the process by way of /proc.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../../ferrevent/tests/common/mod.rs"]
mod common;
#[path = "support/heap.rs"]
mod heap;
#[path = "../../ferrevent/tests/scenarios/tasks.rs"]
mod scenarios;
#[path = "support/torture.rs"]
mod torture;
#[path = "support/watchdog.rs"]
mod watchdog;

use std::io;
use std::sync::Arc;

use common::PATIENCE;
use common::matrix::seed;
use ferrevent::sys::FaultPlan;
use ferrevent::{BackendKind, Builder};
use scenarios::{ALL, Scenario};
use torture::Sum;

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

/// One test, so that no other has a part in the descriptors and the heap.
#[test]
fn every_call_under_every_future_fails_once() {
    if torture::shared_out("every_call_under_every_future_fails_once") {
        return;
    }
    let mut sum = Sum::new();
    for column in torture::columns() {
        for (number, (name, scenario)) in ALL.iter().enumerate() {
            let place = format!("{name} on a {column}");
            let seed = seed().wrapping_add(number as u64);
            sum.torture(&place, seed, |plan| {
                let outcome = run(column.kind, column.workers, plan, *scenario);
                if let Err(error) = &outcome {
                    let struck = plan.struck() > 0;
                    assert!(struck, "{place}: {error}, and no call was struck");
                    // Its time is over: something waits that was told of nothing.
                    let late = error.get_ref().is_some_and(|it| it.is::<Late>());
                    assert!(!late, "{place}: nothing was told of {:?}", plan.last());
                }
                outcome.is_err()
            });
        }
    }
    sum.close();
}

fn run(
    kind: BackendKind,
    workers: Option<usize>,
    plan: &Arc<FaultPlan>,
    scenario: Scenario,
) -> io::Result<()> {
    let builder = Builder::new().backend(kind).faults(Arc::clone(plan));
    let outcome = match workers {
        None => {
            let mut events = builder.build()?;
            let runtime = events.runtime();
            let limited = runtime.timeout(PATIENCE, scenario(runtime.clone()));
            events.block_on(limited)?
        }
        Some(workers) => {
            let pool = builder.build_pool(workers)?;
            let runtime = pool.runtime();
            let limited = runtime.timeout(PATIENCE, scenario(runtime.clone()));
            pool.block_on(limited)?
        }
    };
    outcome.unwrap_or_else(|_| Err(io::Error::other(Late)))
}

/// Sends a signal to this process.
pub(crate) fn raise(signal: i32) {
    // SAFETY: takes a number, and is listened to.
    assert_eq!(unsafe { libc::kill(libc::getpid(), signal) }, 0);
}

/// A scenario took longer than anything does.
#[derive(Debug)]
struct Late;

impl std::fmt::Display for Late {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it hangs")
    }
}

impl std::error::Error for Late {}
