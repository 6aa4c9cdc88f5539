//! `ferrevent exec`: the program it becomes, and what it says when it cannot.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::PathBuf;
use std::process::{Command, Output};

fn exec(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ferrevent"))
        .arg("exec")
        .args(arguments)
        .env("LD_LIBRARY_PATH", "/others")
        .output()
        .unwrap()
}

/// A folder that has a file of the library's name.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("libevent-2.1.so.7"), "").unwrap();
    folder
}

#[test]
fn the_program_finds_the_library_first() {
    let folder = folder("exec-library");
    let folder = folder.to_str().unwrap();
    let print = "echo \"$LD_LIBRARY_PATH $EVENT_SHOW_METHOD $1\"; exit 7";
    let output = exec(&[
        "--show",
        "--library",
        folder,
        "--",
        "sh",
        "-c",
        print,
        "sh",
        "--flag",
    ]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said, format!("{folder}:/others 1 --flag\n"), "{output:?}");
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn what_is_not_there_is_named() {
    let folder = folder("exec-nothing");
    let folder = folder.to_str().unwrap();
    for (arguments, named) in [
        (
            &["--library", "/nowhere", "true"][..],
            "/nowhere has no libevent-2.1.so.7",
        ),
        (
            &["--library", folder, "no-such-program"],
            "no-such-program: ",
        ),
    ] {
        let output = exec(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(named), "{said}");
        assert_eq!(output.status.code(), Some(1));
    }
}
