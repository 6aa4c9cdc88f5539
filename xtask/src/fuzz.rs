//! `cargo xtask fuzz [TARGET] [--seconds N | --runs N]`: libFuzzer on the targets
//! of `fuzz/`. It begins with the corpus that is kept there, and puts what it
//! finds into `target/fuzz`. `cargo fuzz` works on the same folder.

use std::fs;
use std::process::Command;

use crate::{cargo, packages};

const TARGETS: [&str; 9] = [
    "buffer",
    "stream",
    "timer",
    "text",
    "compress",
    "dns",
    "dns_server",
    "hosts",
    "resolv_conf",
];

/// What reads DNS messages, hosts and resolv.conf. A full run gives each so many
/// inputs, rather than a time: ten million in all, fewest of what takes longest.
const PARSERS: [(&str, u64); 4] = [
    ("dns", 500_000),
    ("dns_server", 7_500_000),
    ("hosts", 1_000_000),
    ("resolv_conf", 1_000_000),
];

const PACKAGES: &[packages::Wanted] = &[("command -v c++", "g++")];

const FOLDER: &str = "target/fuzz";

/// What libFuzzer is built with: coverage, comparisons, AddressSanitizer.
const FLAGS: &str = "-Zsanitizer=address -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=1 --cfg fuzzing";

/// When there has been enough of it.
#[derive(Clone, Copy)]
enum Until {
    Seconds(u32),
    Runs(u64),
}

pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let usage = || {
        let targets = TARGETS.join("|");
        format!("usage: cargo xtask fuzz [{targets}] [--seconds N | --runs N]")
    };
    let (mut until, mut chosen) = (Until::Seconds(60), None);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--seconds" {
            let seconds = args.next().and_then(|it| it.parse().ok());
            until = Until::Seconds(seconds.ok_or_else(usage)?);
        } else if arg == "--runs" {
            let runs = args.next().and_then(|it| it.parse().ok());
            until = Until::Runs(runs.ok_or_else(usage)?);
        } else {
            chosen = Some(*TARGETS.iter().find(|it| *it == arg).ok_or_else(usage)?);
        }
    }
    build()?;
    match chosen {
        None => TARGETS.iter().try_for_each(|target| fuzz(target, until)),
        Some(target) => fuzz(target, until),
    }
}

/// Every target for so many seconds, or for its inputs.
pub(crate) fn every_target(seconds: u32) -> Result<(), String> {
    build()?;
    TARGETS.iter().try_for_each(|target| {
        let parser = PARSERS.iter().find(|(name, _)| name == target);
        let until = parser.map_or(Until::Seconds(seconds), |(_, runs)| Until::Runs(*runs));
        fuzz(target, until)
    })
}

fn build() -> Result<(), String> {
    packages::ensure(PACKAGES)?;
    let host = cargo::host()?;
    // Not locked: what the crates have come to need since is added to the lock file.
    cargo::run(
        "fuzz targets",
        &[
            "build",
            "--release",
            "--manifest-path",
            "fuzz/Cargo.toml",
            "--target",
            &host,
            "--target-dir",
            FOLDER,
        ],
        &[("RUSTC_BOOTSTRAP", "1"), ("RUSTFLAGS", FLAGS)],
    )
}

fn fuzz(target: &str, until: Until) -> Result<(), String> {
    let limit = match until {
        Until::Seconds(seconds) => {
            eprintln!("== fuzzing {target} for {seconds} s");
            format!("-max_total_time={seconds}")
        }
        Until::Runs(runs) => {
            eprintln!("== fuzzing {target} with {runs} inputs");
            format!("-runs={runs}")
        }
    };
    let found = format!("{FOLDER}/corpus/{target}");
    fs::create_dir_all(&found).map_err(|error| format!("{found}: {error}"))?;
    let artifacts = format!("{FOLDER}/artifacts/{target}-");
    fs::create_dir_all(format!("{FOLDER}/artifacts"))
        .map_err(|error| format!("{FOLDER}/artifacts: {error}"))?;
    let program = format!("{FOLDER}/{}/release/{target}", cargo::host()?);
    let status = Command::new(&program)
        .args([&found, &format!("fuzz/corpus/{target}")])
        .arg(limit)
        .args(["-max_len=2048", "-len_control=20", "-timeout=60"])
        .args(["-rss_limit_mb=3000", "-print_final_stats=1", "-verbosity=0"])
        .arg(format!("-artifact_prefix={artifacts}"))
        .status()
        .map_err(|error| format!("{program}: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!(
        "fuzzing {target} ended with {status}; {program} FILE runs the input again that is now \
         in {artifacts}*; once mended, it belongs into fuzz/corpus/{target}"
    ))
}
