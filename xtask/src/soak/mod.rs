//! `cargo xtask soak`: random traffic for minutes, every byte of it checked,
//! on relays and a server that are watched from outside.

mod chart;
mod judge;
mod options;
mod report;
mod stage;
mod watch;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use crate::procfs;
use judge::Verdict;
use options::Options;
use stage::{Place, Setting, Stage};
use watch::Look;

/// Runs what is asked for.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let options = Options::parse(args)?;
    soak(&options, args, "release")
}

/// Some seconds on every backend, for the tests.
pub(crate) fn smoke() -> Result<(), String> {
    soak(&Options::smoke(), &[], "dev")
}

fn soak(options: &Options, args: &[String], profile: &str) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(PathBuf::new, Path::to_path_buf);
    let binaries = build(&root, profile)?;
    let settings = settings(options, &binaries)?;
    let place = |setting: &Setting| Place {
        folder: root.join("target/soak").join(setting.name()),
        binaries: binaries.clone(),
    };
    let named = |setting: &Setting| {
        eprintln!(
            "== soak: {}, {:.2} minutes",
            setting.name(),
            options.minutes
        );
        let name = setting.name();
        observe(&place(setting), options, setting).map_err(|error| format!("{name}: {error}"))
    };
    let mut failed = Vec::new();
    let mut judge = |record: Record| {
        let verdicts = judge::all(&record);
        print!("{}", report::summary(&record, &verdicts));
        if !verdicts.iter().all(Verdict::is_passed) {
            failed.push(record.setting.name());
        }
        if options.is_full() {
            report::write(&root, args, &record, &verdicts)?;
        }
        Ok::<(), String>(())
    };
    if options.together {
        for record in all_at_once(&settings, named) {
            judge(record?)?;
        }
    } else {
        for setting in &settings {
            judge(named(setting)?)?;
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(format!(
        "soak: {} did not pass; the same traffic again: --seed {}",
        failed.join(", "),
        options.seed
    ))
}

/// Every backend that is asked for, with every number of workers.
fn settings(options: &Options, binaries: &Path) -> Result<Vec<Setting>, String> {
    let backends = match &options.backend {
        Some(name) => vec![name.clone()],
        None => stage::backends(binaries)?,
    };
    let mut settings = Vec::new();
    for backend in backends {
        for workers in &options.workers {
            settings.push(Setting {
                backend: backend.clone(),
                workers: *workers,
            });
        }
    }
    Ok(settings)
}

fn all_at_once(
    settings: &[Setting],
    run: impl Fn(&Setting) -> Result<Record, String> + Sync,
) -> Vec<Result<Record, String>> {
    thread::scope(|scope| {
        let threads: Vec<_> = settings
            .iter()
            .map(|setting| scope.spawn(|| run(setting)))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err("a thread panicked".into()))
            })
            .collect()
    })
}

/// Everything that was seen of one setting.
pub(crate) struct Record {
    setting: Setting,
    options: Options,
    /// Names of the programs under test, in the order of every look.
    names: Vec<&'static str>,
    /// Before the load began.
    base: Look,
    /// Under load.
    looks: Vec<Look>,
    /// Between two waves and after the last one.
    rests: Vec<Look>,
    /// CPU seconds of each program under test, and of the load.
    cpu: Vec<f64>,
    load_cpu: f64,
    seconds: f64,
    /// What the load says of itself, `name=figure` by word.
    totals: String,
    /// What the server says.
    tally: String,
    /// What the relays say.
    logs: String,
    content: bool,
}

fn observe(place: &Place, options: &Options, setting: &Setting) -> Result<Record, String> {
    let mut stage = Stage::set(place, setting)?;
    let pids: Vec<u32> = stage.subjects.iter().map(stage::Subject::pid).collect();
    let since = Instant::now();
    let base = watch::look_first(&pids, since)?;
    let mut load = stage.load(place, options)?;
    let (mut rests, mut totals, mut load_cpu) = (Vec::new(), String::new(), 0.0);
    let (stop, mut dumped) = (AtomicBool::new(false), false);
    let looks = thread::scope(|scope| {
        let watcher = scope.spawn(|| watch::keep_looking(&pids, since, &stop));
        let outcome = (|| {
            while let Some(line) = load.hear()? {
                load_cpu = procfs::cpu_seconds(load.pid()).unwrap_or(load_cpu);
                if line.starts_with("lull ") {
                    rests.push(watch::look_at_rest(&pids, &base, since)?);
                    load.go_on()?;
                } else if line.starts_with("stuck ") {
                    eprintln!("{line}");
                    if !std::mem::replace(&mut dumped, true) {
                        stage.dump();
                    }
                    load.go_on()?;
                } else if let Some(rest) = line.strip_prefix("totals ") {
                    totals = rest.to_owned();
                }
            }
            rests.push(watch::look_at_rest(&pids, &base, since)?);
            Ok::<(), String>(())
        })();
        stop.store(true, Ordering::Release);
        let looks = watcher.join().map_err(|_| "the watcher panicked")?;
        outcome.map(|()| looks)
    })?;
    let content = load.end()?;
    let seconds = since.elapsed().as_secs_f64();
    let cpu = pids
        .iter()
        .map(|pid| procfs::cpu_seconds(*pid))
        .collect::<Result<_, _>>()?;
    let names = stage.subjects.iter().map(|subject| subject.name).collect();
    let tally = stage.end()?;
    Ok(Record {
        setting: setting.clone(),
        options: options.clone(),
        names,
        base,
        looks,
        rests,
        cpu,
        load_cpu,
        seconds,
        totals,
        tally,
        logs: stage.logs()?,
        content,
    })
}

/// Builds the command, the server and the load; where they are then.
fn build(root: &Path, profile: &str) -> Result<PathBuf, String> {
    let target = root.join("target");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--locked", "--profile", profile])
        .args(["-p", "ferrevent-cli", "-p", "soak", "--target-dir"])
        .arg(&target)
        .current_dir(root)
        .status()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    if !status.success() {
        return Err(format!(
            "building the programs of the soak failed: {status}"
        ));
    }
    // The profile `dev` has a folder of another name.
    Ok(target.join(if profile == "dev" { "debug" } else { profile }))
}

fn save(path: &Path, text: &str) -> Result<(), String> {
    let named = |error| format!("{}: {error}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(named)?;
    }
    fs::write(path, text).map_err(named)
}
