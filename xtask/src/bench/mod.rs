//! `cargo xtask bench`: Ferrevent and its peers, side by side, in one run.

mod build;
mod cells;
mod chart;
mod congestion;
mod limits;
mod load;
mod options;
mod paced;
mod peers;
mod process;
mod report;
mod stats;
mod store;
mod suite;
mod windows;

use std::path::{Path, PathBuf};

use crate::packages;
use cells::{Cell, Work};
use options::{FULL_ROUNDS, Options, matches};
pub(crate) use peers::{CAPI, LIBEVENT, LIBEVENT_AGAIN};
pub(crate) use report::{sections, verdicts};
pub(crate) use stats::{Sample, Series, Summary, Unit};

/// Measures the cells asked for, prints their tables, and writes the report if the run was long
/// enough for its figures to stand.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    if let [flag, rest @ ..] = args
        && flag == "--windows"
    {
        return windows::run(rest);
    }
    let options = Options::parse(args)?;
    if options.list {
        for cell in cells::all() {
            println!("{}", cell.name);
        }
        return Ok(());
    }
    let place = Place::new();
    let stored = place.docs.join("data");
    if !options.report {
        packages::ensure(packages::FOR_BENCH)?;
        process::need_two_cores()?;
        build::all(&place)?;
        if let Some(control) = &options.congestion {
            return congestion::run(control, &congestion::without(args));
        }
        let mut seen = Vec::new();
        for cell in cells::all() {
            if !options.wants(cell.name) {
                continue;
            }
            let series = measure(&place, &options, &cell)?;
            print!("{}", sections(&series));
            if options.is_full() {
                store::write(&stored, cell.name, &series)?;
            }
            seen.extend(series);
        }
        if !options.is_full() {
            println!("\n{}", verdicts(&seen));
            println!("Fewer than {FULL_ROUNDS} rounds or not all peers: nothing was written.");
            return Ok(());
        }
    }
    write_report(&place.docs, &stored)
}

/// Where things lie.
pub(crate) struct Place {
    /// The repository.
    root: PathBuf,
    /// What is built for the benchmarks, and their unix sockets.
    target: PathBuf,
    /// The report.
    docs: PathBuf,
}

impl Place {
    fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .map_or_else(PathBuf::new, Path::to_path_buf);
        Self {
            target: root.join("target/bench"),
            docs: root.join("docs/benchmarks"),
            root,
        }
    }
}

fn measure(place: &Place, options: &Options, cell: &Cell) -> Result<Vec<Series>, String> {
    let rounds = cell.work.rounds(options.rounds);
    eprintln!("== {}: {rounds} rounds", cell.name);
    match cell.work {
        Work::Load(_) | Work::Idle(_) => {
            load::measure(place, options, cell, rounds).map(|series| vec![series])
        }
        Work::Paced(paced) => {
            paced::measure(place, options, cell, paced, rounds).map(|series| vec![series])
        }
        Work::Programs(suite) => suite::measure(place, options, cell.name, suite, rounds),
    }
}

/// Makes the report anew from all cells that are stored.
fn write_report(docs: &Path, stored: &Path) -> Result<(), String> {
    let mut series = Vec::new();
    for cell in cells::all() {
        series.extend(store::read(stored, cell.name)?);
    }
    for (name, drawing) in chart::all(&series) {
        write(&docs.join(name), &drawing)?;
    }
    write(&docs.join("README.md"), &report::page(&series))?;
    println!("{}", verdicts(&series));
    println!("The report is in docs/benchmarks/README.md.");
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let named = |error| format!("{}: {error}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(named)?;
    }
    std::fs::write(path, text).map_err(named)
}

/// Whether a name fits one of the patterns; no pattern at all fits every name.
fn wanted(patterns: &[String], name: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| matches(pattern, name))
}
