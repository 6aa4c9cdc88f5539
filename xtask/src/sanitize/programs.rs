//! The C programs of the crate `ferrevent-capi` under AddressSanitizer. rustc
//! builds the library with it and cc the programs, so that both halves of a
//! call are looked at.

use std::path::Path;
use std::process::{Command, Stdio};

use super::Setup;
use super::reports::Reports;
use crate::{capi, cargo};

/// A program of `crates/ferrevent-capi/tests/c`, and its arguments.
const PROGRAMS: &[(&str, &[&str])] = &[
    ("buffer", &[]),
    ("buffers", &["7", "20000"]),
    ("bufferevent", &[]),
    ("bufferevent", &["threads"]),
    ("bufferevents", &["7", "20000"]),
    ("compat", &[]),
    ("events", &[]),
    ("listener", &["threads"]),
    ("pairs", &[]),
    ("pairs", &["threads"]),
    ("sharing", &[]),
    ("signals", &[]),
    ("threads", &[]),
    ("util", &[]),
];

pub(super) fn run(setup: &Setup) -> Result<(), String> {
    let flags = setup.flags.join("\x1f");
    cargo::run(
        "the library with libevent's interface, address sanitizer",
        &[
            "rustc",
            "-p",
            "ferrevent-capi",
            "--lib",
            "--locked",
            "--crate-type",
            "cdylib",
            "--target",
            &setup.host,
            "--target-dir",
            "target/sanitize/address",
        ],
        &[
            ("RUSTC_BOOTSTRAP", "1"),
            ("RUSTC", setup.rustc),
            ("CARGO_ENCODED_RUSTFLAGS", &flags),
        ],
    )?;
    let root = std::env::current_dir().map_err(|error| error.to_string())?;
    let folder = root.join("target/sanitize/capi");
    let built = format!(
        "target/sanitize/address/{}/debug/libferrevent_capi.so",
        setup.host
    );
    capi::assemble(&root, &root.join(built), &folder)?;
    for (name, arguments) in PROGRAMS {
        let program = compile(&folder, name)?;
        let reports = Reports::of("address")?;
        let status = Command::new(&program)
            .args(*arguments)
            .env("LD_LIBRARY_PATH", folder.join("lib"))
            .envs(reports.options())
            .stdout(Stdio::null())
            .status()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let found = reports.text()?;
        eprint!("{found}");
        if !found.is_empty() || !status.success() {
            return Err(format!(
                "{name} {arguments:?} under the address sanitizer: {status}"
            ));
        }
    }
    eprintln!("   {} runs of C programs, nothing found", PROGRAMS.len());
    Ok(())
}

fn compile(folder: &Path, name: &str) -> Result<std::path::PathBuf, String> {
    let program = folder.join(name);
    let mut cc = Command::new("cc");
    cc.args(["-std=gnu99", "-fsanitize=address", "-g", "-pthread"])
        .arg(format!("-I{}", folder.join("include").display()))
        .arg(format!("crates/ferrevent-capi/tests/c/{name}.c"))
        .arg("-o")
        .arg(&program)
        .arg(format!("-L{}", folder.join("lib").display()))
        .args(["-levent", "-levent_pthreads"]);
    let status = cc.status().map_err(|error| format!("cc: {error}"))?;
    if status.success() {
        Ok(program)
    } else {
        Err(format!("{name}.c could not be compiled: {status}"))
    }
}
