//! `cargo xtask test --windows`: the suite, built for Windows by MinGW and run
//! under Wine. Whatever it needs it makes once, under `target/windows`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::running::free_address;
use crate::{cargo, echo, packages, windows_capi};

const TARGET: &str = "x86_64-pc-windows-gnu";
/// The compiler of the distribution: the one whose standard library can be
/// built here, from its own source.
const RUSTC: &str = "/usr/bin/rustc";

/// What does not run there, and why: printed, because silence looks like success.
const LEFT_OUT: &[&str] = &[
    "the core's tests: it makes no system call, and they run on the host",
    "the examples in the documentation: many join unix sockets; they run on the host",
    "the command's tests: their peers are Unix programs; `demo` and `relay` of ferrevent.exe run instead",
    "most C programs of the library for C: they join unix sockets, fork, and compare with Debian's",
    "unix sockets, passed descriptors, fork: there are none on Windows, and no Unix sockets in Wine",
    "the torture (every call fails once): it counts descriptors by way of /proc",
    "edge-triggered readiness: Windows has none, and a test asserts the refusal",
];

/// Runs the suite under Wine, with warnings denied; with so many cases of the
/// random tests.
pub(crate) fn test(cases: Option<&str>) -> Result<(), String> {
    let mut place = Place::prepare()?;
    place.cases = cases.map(str::to_owned);
    eprintln!("== Windows, under Wine and not on a real Windows; left out:");
    for reason in LEFT_OUT {
        eprintln!("   - {reason}");
    }
    place.cargo(
        "tests for Windows",
        &[
            "test",
            "-p",
            "ferrevent-os",
            "-p",
            "ferrevent",
            "--lib",
            "--tests",
            "--no-fail-fast",
            "--locked",
            "--ignore-rust-version",
        ],
    )?;
    place.cargo(
        "the command for Windows",
        &[
            "run",
            "-p",
            "ferrevent-cli",
            "--locked",
            "--ignore-rust-version",
            "--",
            "demo",
            "--seconds",
            "1",
        ],
    )?;
    eprintln!("== the relay for Windows");
    let outcome = relay(&place).and_then(|()| windows_capi::test(&place, cases.is_some()));
    place.end_wine("-k");
    outcome
}

/// Relays from this side of Wine to this side of it, on a loop and on a pool,
/// and demands plain words for what Windows does not have.
fn relay(place: &Place) -> Result<(), String> {
    let command = |args: &[&str]| {
        let mut command = place.wine(&place.program("debug/ferrevent.exe"));
        command.arg("relay").args(args);
        command
    };
    let upstream = echo::upstream()?.to_string();
    for workers in [&[][..], &["--workers", "2"]] {
        let address = free_address()?;
        let ends = [&address.to_string(), upstream.as_str()];
        let _relay = echo::serve(command(&[&ends, workers].concat()), address)?;
        echo::through(address, 50, 256 * 1024)?;
    }
    let mut refused = command(&["unix:/tmp/none", &upstream]);
    let refused = refused.output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&refused.stderr);
    if refused.status.success() || !said.contains("unix sockets are not supported on Windows") {
        return Err(format!(
            "a unix socket on Windows: {}: {said}",
            refused.status
        ));
    }
    Ok(())
}

/// Where everything is: a standard library for Windows, what Wine lacks, and
/// Wine's own files.
pub(crate) struct Place {
    root: PathBuf,
    sysroot: PathBuf,
    cases: Option<String>,
}

impl Place {
    pub(crate) fn prepare() -> Result<Self, String> {
        packages::ensure(packages::FOR_WINDOWS)?;
        let root = std::env::current_dir()
            .map_err(|error| error.to_string())?
            .join("target/windows");
        let version = output(Command::new(RUSTC).arg("-vV"))?;
        let release = line_after(&version, "release: ");
        let hash = line_after(&version, "commit-hash: ");
        let sysroot = root.join(format!("sysroot-2-{release}-{hash}"));
        let place = Self {
            root,
            sysroot,
            cases: None,
        };
        make_dir(&place.root)?;
        place.standard_library()?;
        place.shim()?;
        place.wrapper()?;
        place.prefix()?;
        Ok(place)
    }

    /// Builds the standard library once for each compiler.
    fn standard_library(&self) -> Result<(), String> {
        let rustlib = self.sysroot.join("lib/rustlib");
        let lib = rustlib.join(TARGET).join("lib");
        if lib.join("rsend.o").exists() {
            return Ok(());
        }
        let work = self.root.join("std");
        let _ = fs::remove_dir_all(&work);
        make_dir(&work.join("src"))?;
        write(
            &work.join("Cargo.toml"),
            "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n",
        )?;
        write(&work.join("src/lib.rs"), "")?;
        let mut build = cargo::command();
        build
            .args(["build", "--release", "--target", TARGET])
            .args(["-Zbuild-std=std,panic_unwind,panic_abort,test"])
            .args(["--target-dir", "out"])
            .current_dir(&work)
            .env("RUSTC", RUSTC)
            .env("RUSTC_BOOTSTRAP", "1")
            // What a release is optimised with, as a whole.
            .env("RUSTFLAGS", "-Cembed-bitcode=yes");
        run("the standard library for Windows", &mut build)?;
        make_dir(&lib)?;
        let built = work.join("out").join(TARGET).join("release/deps");
        for entry in fs::read_dir(&built).map_err(|error| error.to_string())? {
            let path = entry.map_err(|error| error.to_string())?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(".rlib") && !name.starts_with("libempty-") {
                fs::copy(&path, lib.join(&*name)).map_err(|error| error.to_string())?;
            }
        }
        let source = output(Command::new(RUSTC).args(["--print", "sysroot"]))?;
        let source = Path::new(source.trim()).join("lib/rustlib");
        // Build scripts and macros run on the host.
        let host = "x86_64-unknown-linux-gnu";
        let link = rustlib.join(host);
        if !link.exists() {
            std::os::unix::fs::symlink(source.join(host), link)
                .map_err(|error| error.to_string())?;
        }
        // What every program begins and ends with; the last is the sign that
        // all is there.
        for name in ["rsbegin", "rsend"] {
            let start = source.join(format!("src/rust/library/rtstartup/{name}.rs"));
            let mut compile = Command::new(RUSTC);
            compile
                .args(["--target", TARGET, "--emit=obj", "--crate-type", "lib"])
                .arg("-o")
                .arg(lib.join(format!("{name}.o")))
                .arg(start)
                .env("RUSTC_BOOTSTRAP", "1");
            run("the start of programs for Windows", &mut compile)?;
        }
        fs::remove_dir_all(&work).map_err(|error| error.to_string())
    }

    /// The library that the standard library takes its random numbers from:
    /// Wine 8 does not have it, and says so by exit code 53 alone.
    fn shim(&self) -> Result<(), String> {
        let dir = self.root.join("shim");
        let library = dir.join("bcryptprimitives.dll");
        if library.exists() {
            return Ok(());
        }
        make_dir(&dir)?;
        let source = dir.join("random.c");
        write(&source, SHIM)?;
        let mut compile = Command::new("x86_64-w64-mingw32-gcc");
        compile
            .args(["-O2", "-s", "-shared", "-o"])
            .arg(&library)
            .arg(&source)
            .arg("-ladvapi32");
        run("what Wine lacks", &mut compile)
    }

    /// The distribution's compiler is older than this project's: what has
    /// become stable since is turned on for the project's own crates, and for
    /// the one of others' that needs it.
    fn wrapper(&self) -> Result<(), String> {
        use std::os::unix::fs::PermissionsExt;
        for (path, text) in [
            (self.wrapper_path(), wrapper()),
            (self.foreign_wrapper_path(), foreign_wrapper()),
        ] {
            write(&path, &text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn prefix(&self) -> Result<(), String> {
        if self.root.join("prefix/system.reg").exists() {
            return Ok(());
        }
        let mut boot = Command::new("wineboot");
        boot.arg("-i");
        self.wine_env(&mut boot);
        run("Wine's own files", &mut boot)?;
        self.end_wine("-w");
        Ok(())
    }

    pub(crate) fn cargo(&self, name: &str, args: &[&str]) -> Result<(), String> {
        let mut command = cargo::command();
        command
            .args(args)
            .env("CARGO_TARGET_DIR", self.root.join("out"))
            .env("RUSTC", RUSTC)
            .env("RUSTC_WORKSPACE_WRAPPER", self.wrapper_path())
            .env("RUSTC_WRAPPER", self.foreign_wrapper_path())
            .env("CARGO_BUILD_TARGET", TARGET)
            // The standard library built here unwinds. A panic ends the process
            // all the same where it would leave a function of C's.
            .env("CARGO_PROFILE_SHARED_PANIC", "unwind")
            .env(
                "CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUSTFLAGS",
                format!("--sysroot={} -Dwarnings", self.sysroot.display()),
            )
            .env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER", "wine");
        if let Some(cases) = &self.cases {
            command.env("FERREVENT_CASES", cases);
        }
        self.wine_env(&mut command);
        let outcome = run(name, &mut command);
        self.end_wine("-k");
        outcome
    }

    /// A program for Windows that cargo has built, by its path below the target.
    pub(crate) fn program(&self, path: &str) -> PathBuf {
        self.root.join("out").join(TARGET).join(path)
    }

    /// Compiles a C program for Windows, optimised.
    pub(crate) fn compile_c(&self, source: &Path, name: &str) -> Result<PathBuf, String> {
        let program = self.root.join(name);
        let mut compile = Command::new("x86_64-w64-mingw32-gcc");
        compile
            .args(["-O2", "-Wall", "-Werror", "-D_WIN32_WINNT=0x0602", "-o"])
            .arg(&program)
            .arg(source)
            .arg("-lws2_32");
        run(name, &mut compile)?;
        Ok(program)
    }

    /// A program that is to run under Wine.
    pub(crate) fn wine(&self, program: &Path) -> Command {
        let mut command = Command::new("wine");
        command.arg(program);
        self.wine_env(&mut command);
        command
    }

    fn wine_env(&self, command: &mut Command) {
        let shim = self.root.join("shim").display().to_string();
        command
            .env("WINEPREFIX", self.root.join("prefix"))
            .env("WINEDEBUG", "-all")
            .env("WINEPATH", format!("Z:{}", shim.replace('/', "\\")))
            .env("WINEDLLOVERRIDES", "mscoree=d;mshtml=d");
    }

    /// Waits for the end of Wine's server, or ends it: only that of our own
    /// files.
    pub(crate) fn end_wine(&self, how: &str) {
        let mut server = Command::new("wineserver");
        server.arg(how);
        self.wine_env(&mut server);
        // None may be running any more.
        let _ = server.status();
    }

    fn wrapper_path(&self) -> PathBuf {
        self.root.join("rustc-wrapper")
    }

    fn foreign_wrapper_path(&self) -> PathBuf {
        self.root.join("rustc-foreign-wrapper")
    }
}

const SHIM: &str = r"#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE to, SIZE_T left) {
    while (left) {
        ULONG now = left > 0x10000000 ? 0x10000000 : (ULONG)left;
        if (!SystemFunction036(to, now)) return FALSE;
        to += now;
        left -= now;
    }
    return TRUE;
}
";

/// Compiles this project's own crates.
fn wrapper() -> String {
    let (features, in_c) = (cargo::NEWER, cargo::NEWER_IN_C);
    format!(
        "#!/bin/sh
rustc=$1
shift
case \" $* \" in
*' --crate-name ferrevent_capi '*) RUSTC_BOOTSTRAP=1 exec \"$rustc\" \"$@\" '-Zcrate-attr=feature({in_c})' -Astable_features ;;
esac
RUSTC_BOOTSTRAP=1 exec \"$rustc\" \"$@\" '-Zcrate-attr=feature({features})' -Astable_features
"
    )
}

/// Compiles all the others.
fn foreign_wrapper() -> String {
    let cases: String = cargo::NEWER_ABROAD
        .iter()
        .map(|(name, feature)| {
            format!(
                "*' --crate-name {name} '*) RUSTC_BOOTSTRAP=1 \
                 exec \"$@\" '-Zcrate-attr=feature({feature})' ;;\n"
            )
        })
        .collect();
    format!(
        "#!/bin/sh
case \" $* \" in
{cases}*) exec \"$@\" ;;
esac
"
    )
}

fn line_after(text: &str, start: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(start));
    line.unwrap_or("unknown").replace(['/', ' '], "-")
}

pub(crate) fn make_dir(path: &Path) -> Result<(), String> {
    fs::create_dir_all(path).map_err(|error| format!("{}: {error}", path.display()))
}

pub(crate) fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

pub(crate) fn run(name: &str, command: &mut Command) -> Result<(), String> {
    eprintln!("== {name}");
    let status = command
        .status()
        .map_err(|error| format!("{name}: {command:?}: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{name}: failed with {status}"))
    }
}
