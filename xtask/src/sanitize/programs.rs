//! The C programs of the crate `ferrevent-capi` under AddressSanitizer and
//! ThreadSanitizer. rustc builds the library with it and cc the programs, so that
//! both halves of a call are looked at.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use super::reports::Reports;
use crate::{capi, cargo};

/// A program of `crates/ferrevent-capi/tests/c`, and its arguments.
type Program = (&'static str, &'static [&'static str]);

pub(super) const ALL: &[Program] = &[
    ("buffer", &[]),
    ("buffers", &["7", "20000"]),
    ("bufferevent", &[]),
    ("bufferevent", &["threads"]),
    ("bufferevents", &["7", "20000"]),
    ("compat", &[]),
    ("completions", &["no", "20"]),
    ("completions", &["threads", "20"]),
    ("dns_client", &[SCRATCH]),
    ("dns_client", &[SCRATCH, "threads"]),
    ("dns_client", &["noise"]),
    ("dns_client", &["crowd"]),
    ("dns_reported", &[]),
    ("dns_reported", &["threads"]),
    ("dns_server", &[]),
    ("dns_server", &["threads"]),
    ("dns_server", &["noise"]),
    ("dns_server", &["ours"]),
    ("events", &[]),
    ("limit_series", &["7", "20000"]),
    ("limit_threads", &[]),
    ("limits", &[]),
    ("limits", &["threads"]),
    ("listener", &["threads"]),
    ("series", &["7", "20000"]),
    ("pairs", &[]),
    ("pairs", &["threads"]),
    ("sharing", &[]),
    ("signals", &[]),
    ("threads", &[]),
    ("util", &[]),
];

/// Where a program may put files.
const SCRATCH: &str = "target/sanitize";

/// Those with threads.
pub(super) const OF_THREADS: &[Program] = &[
    ("dns_client", &[SCRATCH, "threads"]),
    ("dns_client", &["crowd"]),
    ("dns_reported", &["threads"]),
    ("dns_server", &["threads"]),
    ("sharing", &[]),
    ("threads", &[]),
    ("bufferevent", &["threads"]),
    ("completions", &["threads", "5"]),
    ("limit_threads", &[]),
    ("limits", &["threads"]),
    ("listener", &["threads"]),
    ("pairs", &["threads"]),
];

/// How the library and the programs are built.
pub(super) struct Build {
    pub(super) name: &'static str,
    pub(super) rustc: &'static str,
    pub(super) flags: Vec<String>,
    pub(super) cargo: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    /// A program whose error must be found.
    pub(super) with_error: Option<Program>,
    /// Of cc, for a program's code and for its linking.
    pub(super) compile: &'static [&'static str],
    pub(super) link: Vec<String>,
}

pub(super) fn run(build: &Build, host: &str, programs: &[Program]) -> Result<(), String> {
    let name = build.name;
    let flags = build.flags.join("\x1f");
    let mut arguments = vec!["rustc", "-p", "ferrevent-capi", "--lib", "--locked"];
    arguments.extend(["--crate-type", "cdylib", "--target", host]);
    let target = format!("target/sanitize/{name}");
    arguments.extend(["--target-dir", &target]);
    arguments.extend(build.cargo.iter().map(String::as_str));
    let mut variables = vec![
        ("RUSTC_BOOTSTRAP", "1"),
        ("RUSTC", build.rustc),
        ("CARGO_ENCODED_RUSTFLAGS", &flags),
    ];
    let more = build.environment.iter();
    variables.extend(more.map(|(name, value)| (name.as_str(), value.as_str())));
    cargo::run(
        &format!("the library with libevent's interface, {name} sanitizer"),
        &arguments,
        &variables,
    )?;
    let root = std::env::current_dir().map_err(|error| error.to_string())?;
    let folder = root.join(format!("target/sanitize/capi-{name}"));
    let built = format!("{target}/{host}/debug/libferrevent_capi.so");
    capi::assemble(&root, &root.join(built), &folder)?;
    if let Some((program, arguments)) = build.with_error {
        let (found, _) = look(build, &folder, (program, arguments))?;
        if !found.contains("Sanitizer: ") {
            return Err(format!(
                "the {name} sanitizer does not find the error of {program} {arguments:?}"
            ));
        }
    }
    for (program, arguments) in programs {
        let (found, status) = look(build, &folder, (program, arguments))?;
        eprint!("{found}");
        if !found.is_empty() || !status.success() {
            return Err(format!(
                "{program} {arguments:?} under the {name} sanitizer: {status}"
            ));
        }
    }
    eprintln!("   {} runs of C programs, nothing found", programs.len());
    Ok(())
}

/// Runs a program; answers what was reported, and how it ended.
fn look(
    build: &Build,
    folder: &Path,
    (program, arguments): Program,
) -> Result<(String, ExitStatus), String> {
    let path = compile(build, folder, program)?;
    let reports = Reports::of(build.name)?;
    // The first report ends a program: what goes on after a race may never end.
    let options = reports
        .options()
        .map(|(name, value)| (name, value + ":halt_on_error=1"));
    let status = Command::new(&path)
        .args(arguments)
        .env("LD_LIBRARY_PATH", folder.join("lib"))
        .envs(options)
        .stdout(Stdio::null())
        .status()
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Ok((reports.text()?, status))
}

/// In two steps: what is said to the compiler and to the linker may differ.
fn compile(build: &Build, folder: &Path, name: &str) -> Result<PathBuf, String> {
    let program = folder.join(name);
    let object = folder.join(format!("{name}.o"));
    let mut cc = Command::new("cc");
    cc.args(["-std=gnu99", "-g", "-pthread", "-c"])
        .args(build.compile)
        .arg(format!("-I{}", folder.join("include").display()))
        .arg(format!("crates/ferrevent-capi/tests/c/{name}.c"))
        .arg("-o")
        .arg(&object);
    done(name, cc)?;
    let mut cc = Command::new("cc");
    cc.arg("-pthread")
        .arg(&object)
        .arg("-o")
        .arg(&program)
        .args(&build.link)
        .arg(format!("-L{}", folder.join("lib").display()))
        .args(["-levent", "-levent_pthreads"]);
    done(name, cc)?;
    Ok(program)
}

fn done(name: &str, mut cc: Command) -> Result<(), String> {
    let status = cc.status().map_err(|error| format!("cc: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{name}.c could not be compiled: {status}"))
    }
}
