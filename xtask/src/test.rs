//! `cargo xtask test`: formatting, lints, every test, documentation.

use std::process::Command;

use crate::{packages, soak, windows};

/// Runs every step in order and stops at the first that fails.
/// `--full` gives the random tests many times their usual cases; `--windows`
/// runs the steps for Windows alone.
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
    run_cargo(
        "model of the wake-ups",
        &[
            "test",
            "-p",
            "ferrevent",
            "--lib",
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
        cases(
            FULL_CASES,
            &["test", "--workspace", "--locked", "--release"],
        )?;
    } else {
        step("tests", &["test", "--workspace", "--locked"])?;
    }
    eprintln!("== soak, some seconds on every backend");
    soak::smoke()
}

/// Cases of each random test in a full run.
const FULL_CASES: &str = "20000";

fn cases(count: &str, args: &[&str]) -> Result<(), String> {
    let env = [("FERREVENT_CASES", count), ("FERREVENT_TORTURE", "all")];
    run_cargo("tests", args, &env)
}

fn step(name: &str, args: &[&str]) -> Result<(), String> {
    run_cargo(name, args, &[])
}

fn run_cargo(name: &str, args: &[&str], env: &[(&str, &str)]) -> Result<(), String> {
    eprintln!("== {name}: cargo {}", args.join(" "));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(args)
        .env("RUSTDOCFLAGS", "-D warnings")
        .envs(env.iter().copied())
        .status()
        .map_err(|error| format!("{name}: cannot start cargo: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!(
            "{name}: cargo {} failed with {status}",
            args.join(" ")
        ))
    }
}
