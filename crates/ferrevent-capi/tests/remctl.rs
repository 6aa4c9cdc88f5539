//! Debian's remctl-shell, as it is, on our library and on Debian's:
//! bufferevents over the pipes of a command that it runs, what they read
//! moved from buffer to buffer, and loops within callbacks.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use common::{Library, on, scratch, text};

const PROGRAM: &str = "/usr/sbin/remctl-shell";

#[test]
fn commands_with_much_to_say() {
    if !Path::new(PROGRAM).exists() {
        eprintln!("skipped: remctl-server is not installed");
        return;
    }
    let script = scratch().join("say");
    std::fs::write(&script, SCRIPT).unwrap();
    std::fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    let settings = scratch().join("remctl.conf");
    let program = script.display();
    let commands = format!(
        "test pass {program} stdin=last ANYUSER\n\
         test ALL {program} ANYUSER\n"
    );
    std::fs::write(&settings, commands).unwrap();
    let run = |library, command: &str| -> Output {
        let mut shell = on(library, PROGRAM);
        shell.args(["-S", "-q", "-f"]).arg(&settings);
        shell.arg("somebody@here");
        shell.env("SSH_ORIGINAL_COMMAND", command);
        shell.env("SSH_CONNECTION", "127.0.0.1 1 127.0.0.1 2");
        shell.output().unwrap()
    };
    for (command, length, error, code) in [
        ("test count", 1_988_895, "", 0),
        ("test pass 'what is passed on'", 17, "", 0),
        ("test both", 577_788, "said so", 0),
        ("test fail", 0, "", 7),
    ] {
        for library in [Library::Ours, Library::System] {
            let output = run(library, command);
            let said = text(&output.stderr);
            let seen = (output.stdout.len(), output.status.code());
            assert_eq!(seen, (length, Some(code)), "{library:?} {command}: {said}");
            assert!(said.contains(error), "{library:?} {command}: {said}");
        }
    }
}

/// Its first argument is the name of the command.
const SCRIPT: &str = "#!/bin/sh
case $1 in
count) seq 1 300000 ;;
pass) cat ;;
both) seq 1 50000; echo said so >&2; seq 1 50000 ;;
*) exit 7 ;;
esac
";
