//! Cells of programs that measure themselves.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::cells::Suite;
use super::options::Options;
use super::peers::{self, Invocation};
use super::process::{LOAD_CORE, SERVER_CORE, pinned};
use super::stats::{Sample, Series, Unit};
use super::{Place, build, wanted};
use crate::running::Running;

/// Every program once a round; every other round in the opposite order.
pub(crate) fn measure(
    place: &Place,
    options: &Options,
    cell: &str,
    suite: Suite,
    rounds: usize,
) -> Result<Vec<Series>, String> {
    let mut series: Vec<Series> = Vec::new();
    for round in 0..rounds {
        let mut programs = peers::programs(suite);
        if round % 2 == 1 {
            programs.reverse();
        }
        for program in programs {
            if !wanted(&options.peers, program.peer) {
                continue;
            }
            let text = output(place, suite, &program)
                .map_err(|error| format!("{}: {error}", program.peer))?;
            for line in text.lines() {
                let (name, sample) =
                    parse(suite, line).ok_or_else(|| format!("{}: `{line}`?", program.peer))?;
                add(&mut series, cell, suite, &name, program.peer, sample);
            }
        }
    }
    let order = |name: &str| {
        peers::programs(suite)
            .iter()
            .position(|program| program.peer == name)
    };
    for one in &mut series {
        one.peers.sort_by_key(|(name, _)| order(name));
    }
    Ok(series)
}

fn output(place: &Place, suite: Suite, program: &Invocation) -> Result<String, String> {
    let path = build::path(place, program.binary);
    let mut command = match suite {
        // Its two threads are put on their cores one by one.
        Suite::Wakes | Suite::HyperPool => Command::new(path),
        Suite::Timers | Suite::Buffers | Suite::Dns | Suite::Tasks | Suite::Hyper => {
            pinned(SERVER_CORE, &path)
        }
    };
    let mut running = Running(
        command
            .args(&program.args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?,
    );
    if suite == Suite::Wakes {
        pin_threads(running.0.id())?;
    }
    let mut text = String::new();
    if let Some(mut stdout) = running.0.stdout.take() {
        std::io::Read::read_to_string(&mut stdout, &mut text).map_err(|error| error.to_string())?;
    }
    let status = running.0.wait().map_err(|error| error.to_string())?;
    if status.success() {
        Ok(text)
    } else {
        Err(format!("ended: {status}"))
    }
}

/// Puts the thread `loop` on one core and `waker` on the other, while the program warms up.
fn pin_threads(pid: u32) -> Result<(), String> {
    let tasks = format!("/proc/{pid}/task");
    let patience = Instant::now() + Duration::from_millis(200);
    let (mut looping, mut waking) = (false, false);
    while !(looping && waking) {
        if Instant::now() > patience {
            return Err("has no threads named `loop` and `waker`".into());
        }
        for task in std::fs::read_dir(&tasks).map_err(|error| format!("{tasks}: {error}"))? {
            let Ok(task) = task else { continue };
            match std::fs::read_to_string(task.path().join("comm")).as_deref() {
                Ok("loop\n") if !looping => looping = pin(SERVER_CORE, &task.path())?,
                Ok("waker\n") if !waking => waking = pin(LOAD_CORE, &task.path())?,
                _ => {}
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn pin(core: &str, task: &Path) -> Result<bool, String> {
    let Some(id) = task.file_name() else {
        return Ok(false);
    };
    Command::new("taskset")
        .args(["-p", "-c", core])
        .arg(id)
        .stdout(Stdio::null())
        .status()
        .map(|status| status.success())
        .map_err(|error| format!("taskset: {error}"))
}

/// The figure's name within the cell, and the figure.
fn parse(suite: Suite, line: &str) -> Option<(String, Sample)> {
    let words: Vec<&str> = line.split('\t').collect();
    let nanoseconds = |name: String, text: &str| {
        let cost = text.parse().ok()?;
        let sample = Sample {
            cost,
            rate: None,
            p50: None,
            p99: None,
        };
        Some((name, sample))
    };
    match (suite, words.as_slice()) {
        (Suite::Timers, [name, count, each]) => nanoseconds(format!(" {name} {count}"), each),
        (Suite::Buffers | Suite::Dns | Suite::Tasks, [name, each]) => {
            nanoseconds(format!(" {name}"), each)
        }
        (Suite::Hyper | Suite::HyperPool, [connections, each]) => {
            nanoseconds(format!("-{connections}"), each)
        }
        (Suite::Wakes, ["wakes", callbacks, cpu, seconds]) => {
            let callbacks: f64 = callbacks.parse().ok()?;
            let sample = Sample {
                cost: cpu.parse::<f64>().ok()? / callbacks,
                rate: Some(callbacks / seconds.parse::<f64>().ok()?),
                p50: None,
                p99: None,
            };
            Some((String::new(), sample))
        }
        _ => None,
    }
}

fn add(
    series: &mut Vec<Series>,
    cell: &str,
    suite: Suite,
    name: &str,
    peer: &'static str,
    sample: Sample,
) {
    let name = format!("{cell}{name}");
    let at = series
        .iter()
        .position(|one| one.name == name)
        .unwrap_or_else(|| {
            series.push(Series {
                name,
                unit: Unit::Nanoseconds,
                reference: peers::references(suite).0,
                again: Some(peers::references(suite).1),
                peers: Vec::new(),
            });
            series.len() - 1
        });
    let peers = &mut series[at].peers;
    match peers.iter_mut().find(|(name, _)| *name == peer) {
        Some((_, samples)) => samples.push(sample),
        None => peers.push((peer, vec![sample])),
    }
}
