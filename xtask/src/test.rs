//! `cargo xtask test`: formatting, lints, every test, documentation.

use std::process::Command;

use crate::packages;

/// Runs every step in order and stops at the first that fails.
pub(crate) fn run(_args: &[String]) -> Result<(), String> {
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
    packages::ensure(packages::FOR_TESTS)?;
    step("tests", &["test", "--workspace", "--locked"])
}

fn step(name: &str, args: &[&str]) -> Result<(), String> {
    eprintln!("== {name}: cargo {}", args.join(" "));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(args)
        .env("RUSTDOCFLAGS", "-D warnings")
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
