//! `cargo xtask fuzz [TARGET] [--seconds N]`: libFuzzer on the targets of
//! `fuzz/`. It begins with the corpus that is kept there, and puts what it
//! finds into `target/fuzz`. `cargo fuzz` works on the same folder.

use std::fs;
use std::process::Command;

use crate::{cargo, packages};

const TARGETS: [&str; 6] = ["buffer", "stream", "timer", "text", "compress", "dns"];

const PACKAGES: &[packages::Wanted] = &[("command -v c++", "g++")];

const FOLDER: &str = "target/fuzz";

/// What libFuzzer is built with: coverage, comparisons, AddressSanitizer.
const FLAGS: &str = "-Zsanitizer=address -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=1 --cfg fuzzing";

const USAGE: &str = "usage: cargo xtask fuzz [buffer|stream|timer|text|compress|dns] [--seconds N]";

pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let (mut seconds, mut chosen) = (60, None);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--seconds" {
            seconds = args.next().and_then(|it| it.parse().ok()).ok_or(USAGE)?;
        } else {
            chosen = Some(*TARGETS.iter().find(|it| *it == arg).ok_or(USAGE)?);
        }
    }
    match chosen {
        None => every_target(seconds),
        Some(target) => {
            build()?;
            fuzz(target, seconds)
        }
    }
}

/// Every target for so many seconds.
pub(crate) fn every_target(seconds: u32) -> Result<(), String> {
    build()?;
    TARGETS.iter().try_for_each(|target| fuzz(target, seconds))
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

fn fuzz(target: &str, seconds: u32) -> Result<(), String> {
    eprintln!("== fuzzing {target} for {seconds} s");
    let found = format!("{FOLDER}/corpus/{target}");
    fs::create_dir_all(&found).map_err(|error| format!("{found}: {error}"))?;
    let artifacts = format!("{FOLDER}/artifacts/{target}-");
    fs::create_dir_all(format!("{FOLDER}/artifacts"))
        .map_err(|error| format!("{FOLDER}/artifacts: {error}"))?;
    let program = format!("{FOLDER}/{}/release/{target}", cargo::host()?);
    let status = Command::new(&program)
        .args([&found, &format!("fuzz/corpus/{target}")])
        .arg(format!("-max_total_time={seconds}"))
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
