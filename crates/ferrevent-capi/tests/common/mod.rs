//! The library as programs find it, and C programs that run on it or on the
//! system's own libevent.

#![allow(dead_code, reason = "no test program uses all of it")]

#[path = "../../assemble.rs"]
mod assemble;
pub(crate) mod paired;
pub(crate) mod service;
pub(crate) mod traffic;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{LazyLock, Mutex};

/// Whose libevent a program runs on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Library {
    Ours,
    System,
}

/// A folder with `lib` and `include`, made once in a test program.
pub(crate) fn prefix() -> &'static Path {
    static PREFIX: LazyLock<PathBuf> = LazyLock::new(|| {
        let prefix = scratch().join("prefix");
        let headers = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
        assemble::assemble(&built(), &headers, &prefix).unwrap();
        prefix
    });
    &PREFIX
}

/// A folder for what one test program makes.
pub(crate) fn scratch() -> PathBuf {
    let name = std::env::current_exe().unwrap();
    let name = name.file_name().unwrap().to_owned();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The shared library that cargo has built beside this test, or another that
/// `FERREVENT_CAPI_LIBRARY` names.
pub(crate) fn built() -> PathBuf {
    if let Some(library) = std::env::var_os("FERREVENT_CAPI_LIBRARY") {
        return library.into();
    }
    let test = std::env::current_exe().unwrap();
    let deps = test.parent().unwrap();
    [deps, deps.parent().unwrap()]
        .map(|folder| folder.join("libferrevent_capi.so"))
        .into_iter()
        .find(|library| library.exists())
        .expect("cargo builds the shared library with its tests")
}

/// Compiles a C program of `tests/c` against our headers, once.
pub(crate) fn compile(name: &str) -> PathBuf {
    static COMPILED: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let program = scratch().join(name);
    // One that runs cannot be written.
    let mut compiled = COMPILED.lock().unwrap();
    if compiled.iter().any(|it| it == name) {
        return program;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/c/{name}.c"));
    let mut cc = Command::new("cc");
    cc.args([
        "-std=gnu99",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-g",
        "-pthread",
    ])
    .arg(format!("-I{}", prefix().join("include").display()))
    .arg(source)
    .arg("-o")
    .arg(&program)
    .arg(format!("-L{}", prefix().join("lib").display()))
    .args(["-Wl,--no-as-needed", "-levent", "-levent_pthreads"]);
    let output = cc.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    compiled.push(name.to_owned());
    program
}

/// A program, to be run on one library.
pub(crate) fn on(library: Library, program: impl AsRef<std::ffi::OsStr>) -> Command {
    // A program that stands still is ended, and says so by its status.
    let mut command = Command::new("timeout");
    command.arg("120").arg(program);
    match library {
        Library::Ours => command.env("LD_LIBRARY_PATH", prefix().join("lib")),
        Library::System => command.env_remove("LD_LIBRARY_PATH"),
    };
    command
}

/// Runs a program of `tests/c` on both libraries, and demands the same output.
pub(crate) fn same_on_both(name: &str, arguments: &[&str], variables: &[(&str, &str)]) {
    let program = compile(name);
    let [ours, theirs] = [Library::Ours, Library::System].map(|library| {
        let mut command = on(library, &program);
        command.args(arguments).envs(variables.iter().copied());
        let output = command.output().unwrap();
        let said = said(&output);
        assert!(output.status.success(), "{name} on {library:?}: {said}");
        said
    });
    assert!(!theirs.is_empty(), "{name} says nothing");
    if ours != theirs {
        let lines = ours.lines().zip(theirs.lines());
        let first = lines.enumerate().find(|(_, (ours, theirs))| ours != theirs);
        panic!(
            "{name} {arguments:?}: the first difference is {first:?}\n-- ours\n{ours}\n-- theirs\n{theirs}"
        );
    }
}

fn said(output: &Output) -> String {
    format!(
        "{}{}{}",
        text(&output.stdout),
        text(&output.stderr),
        status(output)
    )
}

fn status(output: &Output) -> String {
    if output.status.success() {
        String::new()
    } else {
        format!("{}\n", output.status)
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
