//! `cargo xtask test`: formatting, lints, documentation, every test, and the
//! tools that look on while tests run.

use crate::{capi, cargo, fuzz, packages, sanitize, soak, testssl, tor, valgrind, windows};

/// Runs every step in order and stops at the first that fails.
/// `--full` gives the random tests many times their usual cases, and runs
/// every tool on everything; `--windows` runs the steps for Windows alone.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let full = match args {
        [] => false,
        [flag] if flag == "--full" => true,
        [flag] if flag == "--windows" => return windows::test(None),
        [flag, full] if flag == "--windows" && full == "--full" => {
            return windows::test(Some(FULL_CASES));
        }
        _ => return Err("usage: cargo xtask test [--full | --windows [--full]]".into()),
    };
    step("formatting", &["fmt", "--all", "--check"])?;
    step(
        "lints",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ],
    )?;
    step(
        "documentation",
        // The command has the library's name, so it cannot be documented beside it.
        &[
            "doc",
            "--workspace",
            "--exclude",
            "ferrevent-cli",
            "--no-deps",
            "--locked",
        ],
    )?;
    // Every order of the wake-ups that pass from thread to thread.
    cargo::run(
        "model of the wake-ups",
        &[
            "test",
            "-p",
            "ferrevent",
            "--lib",
            "--features",
            "async",
            "--release",
            "--locked",
            "--target-dir",
            "target/loom",
            "model",
        ],
        &[("RUSTFLAGS", "--cfg loom")],
    )?;
    packages::ensure(packages::FOR_TESTS)?;
    if full {
        packages::ensure(packages::FOR_FULL_TESTS)?;
        cases(
            FULL_CASES,
            &["test", "--workspace", "--locked", "--release"],
        )?;
    } else {
        step("tests", &["test", "--workspace", "--locked"])?;
    }
    for lacking in ["multishot", "cap", "room"] {
        cargo::run(
            &format!("io_uring without {lacking}"),
            &[
                "test",
                "-p",
                "ferrevent",
                "--locked",
                "--test",
                "streams",
                "--test",
                "pipes",
                "--test",
                "filters",
                "--test",
                "pool",
            ],
            &[
                ("FERREVENT_BACKEND", "uring"),
                ("FERREVENT_URING_WITHOUT", lacking),
            ],
        )?;
    }
    eprintln!("== soak, some seconds on every backend");
    soak::smoke()?;
    windows::test(full.then_some(FULL_CASES))?;
    if !full {
        tor::unit()?;
        return sanitize::briefly();
    }
    for sanitizer in sanitize::ALL {
        sanitize::everything(sanitizer)?;
    }
    valgrind::run(&[])?;
    testssl::run(&[])?;
    tor::run(&[])?;
    capi::tor::run(&[])?;
    fuzz::every_target(FULL_FUZZ_SECONDS)
}

/// Cases of each random test in a full run.
const FULL_CASES: &str = "20000";

/// So long each fuzz target runs in a full run.
const FULL_FUZZ_SECONDS: u32 = 60;

fn cases(count: &str, args: &[&str]) -> Result<(), String> {
    let env = [
        ("FERREVENT_CASES", count),
        ("FERREVENT_TORTURE", "all"),
        // Every test is a program of its own, and would be linked anew.
        ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ];
    cargo::run("tests", args, &env)
}

fn step(name: &str, args: &[&str]) -> Result<(), String> {
    cargo::run(name, args, &[])
}
