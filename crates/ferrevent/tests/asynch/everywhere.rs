//! What the tests of tasks run on: a loop, or a pool, until a future is ready.

use std::future::Future;
use std::io;
use std::sync::Arc;

use ferrevent::asynch::Runtime;
use ferrevent::sys::FaultPlan;
use ferrevent::{BackendKind, Builder};

use crate::common::matrix::{Replay, seed};
use crate::common::{PATIENCE, kinds, simulated};

/// Runs a test in every column: each backend and the simulated kernel, a loop
/// and pools, calm and in a storm of faults that nobody above the seam may
/// notice.
pub(crate) fn everywhere<F>(test: impl Fn(Runtime) -> F)
where
    F: Future<Output = io::Result<()>>,
{
    for kind in kinds() {
        for workers in [None, Some(1), Some(2), Some(4)] {
            on(kind, workers, None, &test);
        }
        for workers in [None, Some(3)] {
            on(kind, workers, Some(seed()), &test);
        }
    }
    for kind in simulated(2..8) {
        for workers in [None, Some(3)] {
            on(kind, workers, None, &test);
        }
    }
}

/// Runs a test on every backend, loop and pool, with a plan of faults of its own.
#[cfg(unix)]
pub(crate) fn with_faults<F>(plan: impl Fn() -> FaultPlan, test: impl Fn(Runtime) -> F)
where
    F: Future<Output = io::Result<()>>,
{
    for kind in kinds() {
        for workers in [None, Some(2)] {
            run(kind, workers, Some(plan()), &test);
        }
    }
}

pub(crate) fn on<F>(
    kind: BackendKind,
    workers: Option<usize>,
    storm: Option<u64>,
    test: &impl Fn(Runtime) -> F,
) where
    F: Future<Output = io::Result<()>>,
{
    run(kind, workers, storm.map(FaultPlan::storm), test);
}

fn run<F>(
    kind: BackendKind,
    workers: Option<usize>,
    plan: Option<FaultPlan>,
    test: &impl Fn(Runtime) -> F,
) where
    F: Future<Output = io::Result<()>>,
{
    let place = match workers {
        None => format!("loop on {kind}"),
        Some(workers) => format!("pool of {workers} on {kind}"),
    };
    let faults = if plan.is_some() { ", with faults" } else { "" };
    eprintln!("-- {place}{faults}");
    let replay = Replay::new(place, format!("FERREVENT_STORM={}", seed()));
    let mut builder = Builder::new().backend(kind);
    if let Some(plan) = plan {
        builder = builder.faults(Arc::new(plan));
    }
    let outcome = match workers {
        None => {
            let mut events = builder.build().unwrap();
            let runtime = events.runtime();
            let limited = runtime.timeout(PATIENCE, test(runtime.clone()));
            events.block_on(limited)
        }
        Some(workers) => {
            let pool = builder.build_pool(workers).unwrap();
            let runtime = pool.runtime();
            let limited = runtime.timeout(PATIENCE, test(runtime.clone()));
            pool.block_on(limited)
        }
    };
    outcome.unwrap().expect("it takes no such time").unwrap();
    drop(replay);
}
