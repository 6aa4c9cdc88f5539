//! Running cargo, said aloud.

use std::process::Command;

/// What this project uses and Debian's `rustc-web`, 1.85, does not have by
/// itself.
pub(crate) const NEWER: &str = "let_chains,trait_upcasting,unsigned_is_multiple_of";

/// The same for what programs in C are given.
pub(crate) const NEWER_IN_C: &str =
    "let_chains,trait_upcasting,unsigned_is_multiple_of,integer_sign_cast,naked_functions";

/// What other crates use that it does not have: the crate, and the feature.
pub(crate) const NEWER_ABROAD: [(&str, &str); 2] = [
    ("domain", "unsigned_is_multiple_of"),
    ("rcgen", "unsigned_is_multiple_of"),
];

/// Runs cargo; an error names the step.
pub(crate) fn run(name: &str, args: &[&str], env: &[(&str, &str)]) -> Result<(), String> {
    eprintln!("== {name}: cargo {}", args.join(" "));
    let status = command()
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

/// The cargo that runs this.
pub(crate) fn command() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The target triple of this machine, by `rustc -vV`.
pub(crate) fn host() -> Result<String, String> {
    version_line("rustc", "host")
}

/// One line of what a compiler says of itself.
pub(crate) fn version_line(rustc: &str, name: &str) -> Result<String, String> {
    let output = Command::new(rustc)
        .arg("-vV")
        .output()
        .map_err(|error| format!("{rustc} -vV: {error}"))?;
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        .map(str::to_owned)
        .ok_or_else(|| format!("{rustc} -vV does not tell its {name}"))
}
