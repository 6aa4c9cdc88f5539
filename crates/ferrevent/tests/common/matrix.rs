//! The matrix: what every test of streams runs on.

use std::fmt;
use std::sync::Arc;
use std::thread;

use ferrevent::sys::FaultPlan;
use ferrevent::{BackendKind, Builder};

use super::ledger::Ledger;
use super::rig::{Host, Outcome, Rig, RunningPool};
use super::{kinds, simulated};

/// The seed of the storms, unless `FERREVENT_STORM` gives another.
const STORM: u64 = 20_091_124;

/// One column of the matrix: what a test runs on.
#[derive(Clone, Copy)]
pub(crate) struct Column {
    pub(crate) kind: BackendKind,
    /// A loop, or a pool of so many workers.
    pub(crate) workers: Option<usize>,
    /// Faults that nobody above the seam may notice, from this seed.
    pub(crate) storm: Option<u64>,
}

/// Runs a test in every column; a failure names the one it happened in. Every
/// backend, with a loop and with pools of one, two and four workers; kernels
/// in a storm; and the simulated kernel, which does something else with every
/// seed.
pub(crate) fn on_every_backend<E: Ended>(test: impl Fn(&mut Rig) -> E) {
    let mut columns = Vec::new();
    for kind in kinds() {
        columns.extend(calm(kind, &[None, Some(1), Some(2), Some(4)]));
        columns.extend(stormy(kind, &[None, Some(3)]));
    }
    for kind in simulated(2..10) {
        columns.extend(calm(kind, &[None, Some(3)]));
    }
    for column in columns {
        column.run(|rig| test(rig).demand_usual());
    }
}

/// Runs a test on pools of these many workers, on every backend, and in a
/// storm too.
pub(crate) fn on_pools(workers: &[usize], test: impl Fn(&mut Rig)) {
    let workers: Vec<Option<usize>> = workers.iter().copied().map(Some).collect();
    for kind in kinds().chain(simulated(2..5)) {
        for column in calm(kind, &workers).chain(stormy(kind, &workers)) {
            column.run(&test);
        }
    }
}

/// How a test may end.
pub(crate) trait Ended {
    fn demand_usual(self);
}

impl Ended for () {
    fn demand_usual(self) {}
}

impl Ended for Outcome {
    fn demand_usual(self) {
        self.expect("nothing is struck that a test can see");
    }
}

fn calm(kind: BackendKind, workers: &[Option<usize>]) -> impl Iterator<Item = Column> {
    workers.iter().map(move |workers| Column {
        kind,
        workers: *workers,
        storm: None,
    })
}

fn stormy(kind: BackendKind, workers: &[Option<usize>]) -> impl Iterator<Item = Column> {
    let seed = seed();
    calm(kind, workers).map(move |column| Column {
        storm: Some(seed),
        ..column
    })
}

/// The seed of this run's storms.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("FERREVENT_STORM").ok();
    given.and_then(|seed| seed.parse().ok()).unwrap_or(STORM)
}

impl Column {
    fn run(self, test: impl Fn(&mut Rig)) {
        eprintln!("-- {self}");
        let replay = Replay::new(format!("{self}"), format!("FERREVENT_STORM={}", seed()));
        let plan = self.storm.map(FaultPlan::storm);
        let mut rig = self.rig(plan.map(Arc::new)).unwrap();
        test(&mut rig);
        rig.close();
        drop(replay);
    }

    /// What it names, in these faults.
    pub(crate) fn rig(self, plan: Option<Arc<FaultPlan>>) -> std::io::Result<Rig> {
        let mut builder = Builder::new().backend(self.kind);
        if let Some(plan) = &plan {
            builder = builder.faults(Arc::clone(plan));
        }
        let ledger = Arc::new(Ledger::default());
        let host = match self.workers {
            None => Host::Loop(Box::new(builder.build()?)),
            Some(workers) => Host::Pool(RunningPool::new(builder.build_pool(workers)?, &ledger)),
        };
        Ok(Rig::new(host, ledger, plan))
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.workers {
            None => write!(f, "loop on {}", self.kind)?,
            Some(workers) => write!(f, "pool of {workers} on {}", self.kind)?,
        }
        match self.storm {
            Some(seed) => write!(f, ", FERREVENT_STORM={seed}"),
            None => Ok(()),
        }
    }
}

/// Says how to run something again, should it panic.
pub(crate) struct Replay {
    place: String,
    variables: String,
}

impl Replay {
    pub(crate) fn new(place: String, variables: String) -> Self {
        Self { place, variables }
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        if thread::panicking() {
            let name = thread::current().name().unwrap_or_default().to_owned();
            let file = env!("CARGO_CRATE_NAME");
            let package = env!("CARGO_PKG_NAME");
            eprintln!(
                "-- it failed on: {}\n-- again: {} cargo test -p {package} --test {file} -- \
                 --exact {name} --nocapture",
                self.place, self.variables
            );
        }
    }
}
