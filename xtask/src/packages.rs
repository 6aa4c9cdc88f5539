//! The Debian packages that tests need: found, installed, or named.

use std::process::{Command, Stdio};

/// Programs that tests run, and the packages that bring them.
pub(crate) const FOR_TESTS: &[(&str, &str)] = &[
    ("curl", "curl"),
    ("nc", "netcat-openbsd"),
    ("socat", "socat"),
    ("python3", "python3"),
];

/// Sees to it that every program is there.
pub(crate) fn ensure(wanted: &[(&str, &str)]) -> Result<(), String> {
    let missing = missing(wanted);
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("== packages: {}", missing.join(" "));
    // Only root may install, and only Debian and its kin have apt-get.
    let installed = is_root()
        && has("apt-get")
        && (install(&missing) || (run("apt-get", &["update", "-q"]) && install(&missing)));
    let missing = self::missing(wanted);
    if missing.is_empty() {
        return Ok(());
    }
    let why = if installed {
        "did not help"
    } else {
        "was not possible"
    };
    Err(format!(
        "the tests need the packages {0}, and installing them {why}; as root: apt-get install {0}",
        missing.join(" ")
    ))
}

fn missing<'a>(wanted: &[(&str, &'a str)]) -> Vec<&'a str> {
    wanted
        .iter()
        .filter(|(program, _)| !has(program))
        .map(|(_, package)| *package)
        .collect()
}

fn has(program: &str) -> bool {
    let script = format!("command -v {program}");
    quietly(Command::new("sh").args(["-c", &script]))
}

fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn install(packages: &[&str]) -> bool {
    let mut arguments = vec!["install", "-y", "-q", "--no-install-recommends"];
    arguments.extend(packages);
    run("apt-get", &arguments)
}

fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .is_ok_and(|status| status.success())
}

fn quietly(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
