//! `cargo xtask valgrind [NAME]`: the examples and the relay under memcheck, with
//! a short load, ended by a signal where they do not end by themselves.

mod load;
mod scenes;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::running::free_port;
use crate::{cargo, packages, sanitize};
use scenes::{SCENES, Scene};

const PACKAGES: &[packages::Wanted] = &[("command -v valgrind", "valgrind")];

const FOLDER: &str = "target/valgrind";

/// Runs every scene whose name begins with NAME.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let prefix = match args {
        [] => "",
        [name] if !name.starts_with('-') => name,
        _ => return Err("usage: cargo xtask valgrind [NAME]".into()),
    };
    let chosen: Vec<&Scene> = SCENES
        .iter()
        .filter(|scene| scene.name.starts_with(prefix))
        .collect();
    if chosen.is_empty() {
        let names: Vec<&str> = SCENES.iter().map(|scene| scene.name).collect();
        return Err(format!("\"{prefix}\" is none of: {}", names.join(", ")));
    }
    packages::ensure(PACKAGES)?;
    fs::create_dir_all(FOLDER).map_err(|error| format!("{FOLDER}: {error}"))?;
    find_error()?;
    cargo::run(
        "programs for valgrind",
        &["build", "--locked", "-p", "ferrevent", "--examples"],
        &[],
    )?;
    cargo::run(
        "programs for valgrind",
        &["build", "--locked", "-p", "ferrevent-cli"],
        &[],
    )?;
    for scene in chosen {
        eprintln!("== valgrind: {}", scene.name);
        play(scene).map_err(|error| format!("valgrind, {}: {error}", scene.name))?;
    }
    Ok(())
}

/// A memcheck that misses a plain leak would find nothing else either.
fn find_error() -> Result<(), String> {
    let program = sanitize::probe("leak", "rustc", &[])?;
    let log = log_path("probe");
    let mut child = start(&program, &[], &log)?;
    child.wait().map_err(|error| error.to_string())?;
    match verdict(&log) {
        Err(Verdict::Errors(_)) => Ok(()),
        _ => Err("valgrind does not find the leak of xtask/probes/leak.rs".into()),
    }
}

fn play(scene: &Scene) -> Result<(), String> {
    let log = log_path(scene.name);
    let port = free_port()?;
    let listen = format!("127.0.0.1:{}", port);
    let mut child = start(Path::new(scene.program), &scene.arguments(&listen)?, &log)?;
    let outcome = scene.drive(&mut child, &listen);
    if outcome.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    outcome?;
    scene.check_end(status)?;
    verdict(&log).map_err(|verdict| match verdict {
        Verdict::Errors(summary) => format!("{summary}; see {}", log.display()),
        Verdict::None => format!("no summary in {}", log.display()),
    })
}

fn log_path(name: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("{}.log", name.replace(' ', "")))
}

fn start(program: &Path, arguments: &[String], log: &Path) -> Result<Child, String> {
    let _ = fs::remove_file(log);
    Command::new("valgrind")
        .args([
            "--leak-check=full",
            "--errors-for-leak-kinds=definite",
            "--fair-sched=yes",
        ])
        .arg(format!("--log-file={}", log.display()))
        .arg(program)
        .args(arguments)
        // Rings are written to without a system call that valgrind could know.
        .env("FERREVENT_BACKEND", "epoll")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("valgrind: {error}"))
}

enum Verdict {
    Errors(String),
    None,
}

/// What the log ends with. A call that valgrind does not know (epoll_pwait2, to
/// one of 2022) is no error: it answers ENOSYS, and the backend does without.
fn verdict(log: &Path) -> Result<(), Verdict> {
    let text = fs::read_to_string(log).unwrap_or_default();
    let summary = text
        .lines()
        .rev()
        .find_map(|line| line.split_once("ERROR SUMMARY: "));
    match summary {
        Some((_, summary)) if summary.starts_with("0 errors") => Ok(()),
        Some((_, summary)) => Err(Verdict::Errors(summary.to_owned())),
        None => Err(Verdict::None),
    }
}
