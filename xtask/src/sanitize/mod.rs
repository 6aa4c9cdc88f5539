//! `cargo xtask sanitize address|leak|thread`: the tests under a sanitizer of
//! the compiler's; `programs [thread]`: those in C alone, under the first or the
//! last of them. What one reports is a bug of ours until shown otherwise;
//! nothing is suppressed.

mod programs;
mod reports;
mod thread;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cargo;
use reports::Reports;

/// What looks on while the tests run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Sanitizer {
    /// Memory used wrongly, or lost.
    Address,
    /// Memory lost, at nearly the usual speed.
    Leak,
    /// Memory used by two threads at once without order.
    Thread,
}

pub(crate) const ALL: [Sanitizer; 3] = [Sanitizer::Address, Sanitizer::Leak, Sanitizer::Thread];

pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let named = |name: &str| ALL.into_iter().find(|it| it.name() == name);
    match args {
        [programs] if programs == "programs" => in_c(Sanitizer::Address),
        [programs, thread] if programs == "programs" && thread == "thread" => {
            in_c(Sanitizer::Thread)
        }
        [name] => everything(named(name).ok_or(USAGE)?),
        _ => Err(USAGE.into()),
    }
}

const USAGE: &str = "usage: cargo xtask sanitize address|leak|thread|programs [thread]";

/// The programs in C, which have to be run by themselves.
fn in_c(sanitizer: Sanitizer) -> Result<(), String> {
    let setup = sanitizer.setup()?;
    if sanitizer == Sanitizer::Thread {
        let build = thread::programs(&setup)?;
        return programs::run(&build, &setup.host, programs::OF_THREADS);
    }
    let build = programs::Build {
        name: "address",
        rustc: setup.rustc,
        flags: setup.flags,
        cargo: setup.cargo,
        environment: Vec::new(),
        with_error: None,
        compile: &["-fsanitize=address"],
        link: vec!["-fsanitize=address".to_owned()],
    };
    programs::run(&build, &setup.host, programs::ALL)
}

/// All tests that the sanitizer can look at.
pub(crate) fn everything(sanitizer: Sanitizer) -> Result<(), String> {
    let setup = sanitizer.setup()?;
    setup.find_error_of(sanitizer)?;
    let mut args = match sanitizer {
        // The core has no threads. Documentation's examples are built without the flags.
        Sanitizer::Thread => vec!["-p", "ferrevent", "-p", "ferrevent-os", "--lib", "--tests"],
        // C programs load its library: they are run by themselves.
        _ => vec!["--workspace", "--exclude", "ferrevent-capi"],
    };
    args.push("--");
    for (test, _) in NOT_UNDER_SANITIZERS {
        args.extend(["--skip", test]);
    }
    setup.test(sanitizer, &args)?;
    match sanitizer {
        Sanitizer::Address | Sanitizer::Thread => in_c(sanitizer),
        Sanitizer::Leak => Ok(()),
    }
}

/// AddressSanitizer on the crates that have `unsafe` code and on the streams
/// above it: what fits into every test run.
pub(crate) fn briefly() -> Result<(), String> {
    let sanitizer = Sanitizer::Address;
    let setup = sanitizer.setup()?;
    setup.find_error_of(sanitizer)?;
    setup.test(
        sanitizer,
        &["-p", "ferrevent-os", "-p", "ferrevent", "--lib", "--tests"],
    )
}

/// Tests that a sanitizer makes pointless, and why.
const NOT_UNDER_SANITIZERS: &[(&str, &str)] = &[
    ("a_slow_reader_slows_the_upstream_and_loses_nothing", MEMORY),
    ("a_slow_reader_holds_no_more_than_its_share", MEMORY),
];

const MEMORY: &str = "it bounds the memory of a process, in which a sanitizer keeps what was freed";

/// How tests are built for a sanitizer.
struct Setup {
    rustc: &'static str,
    host: String,
    flags: Vec<String>,
    cargo: Vec<String>,
}

impl Sanitizer {
    fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Leak => "leak",
            Self::Thread => "thread",
        }
    }

    fn setup(self) -> Result<Setup, String> {
        if self == Self::Thread {
            return thread::setup();
        }
        // The toolchain's own, whose runtime comes with it.
        Ok(Setup {
            rustc: "rustc",
            host: cargo::host()?,
            flags: vec![format!("-Zsanitizer={}", self.name())],
            cargo: Vec::new(),
        })
    }
}

impl Setup {
    /// A sanitizer that misses a plain error would find nothing else either.
    fn find_error_of(&self, sanitizer: Sanitizer) -> Result<(), String> {
        let name = sanitizer.name();
        let program = probe(name, self.rustc, &self.flags)?;
        let reports = Reports::of(name)?;
        let status = Command::new(&program)
            .envs(reports.options())
            .stdout(Stdio::null())
            .status()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        if reports.text()?.contains("Sanitizer: ") && !status.success() {
            return Ok(());
        }
        Err(format!(
            "the {name} sanitizer does not find the error of xtask/probes/{name}.rs; it ended \
             with {status}"
        ))
    }

    fn test(&self, sanitizer: Sanitizer, args: &[&str]) -> Result<(), String> {
        let name = sanitizer.name();
        let folder = format!("target/sanitize/{name}");
        let mut all = vec!["test", "--locked", "--target", &self.host];
        all.extend(["--target-dir", &folder]);
        all.extend(self.cargo.iter().map(String::as_str));
        all.extend(args);
        let flags = self.flags.join("\x1f");
        let mut env = vec![
            ("RUSTC_BOOTSTRAP", "1"),
            ("RUSTC", self.rustc),
            ("CARGO_ENCODED_RUSTFLAGS", &flags),
            ("CARGO_ENCODED_RUSTDOCFLAGS", &flags),
        ];
        let reports = Reports::of(name)?;
        let options = reports.options();
        env.extend(options.iter().map(|(name, value)| (*name, value.as_str())));
        let outcome = cargo::run(&format!("tests, {name} sanitizer"), &all, &env);
        let found = reports.text()?;
        eprint!("{found}");
        if found.is_empty() {
            return outcome;
        }
        Err(format!(
            "the {name} sanitizer has found something: {}",
            reports.folder.display()
        ))
    }
}

/// Builds the program with the error that a tool must find.
pub(crate) fn probe(name: &str, rustc: &str, flags: &[String]) -> Result<PathBuf, String> {
    let folder = Path::new("target/probes");
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let program = folder.join(name);
    let built = Command::new(rustc)
        .env("RUSTC_BOOTSTRAP", "1")
        .args(["--edition", "2024", "-g", "-o"])
        .arg(&program)
        .args(flags)
        .arg(format!("xtask/probes/{name}.rs"))
        .status()
        .map_err(|error| format!("{rustc}: {error}"))?;
    if built.success() {
        Ok(program)
    } else {
        Err(format!("xtask/probes/{name}.rs could not be built"))
    }
}
