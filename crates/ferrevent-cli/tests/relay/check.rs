//! `--check`: everything is looked at, and nothing is left behind.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use crate::rig::{echo, refusing, temporary, upstream};

/// Runs a check; its exit code and what it says.
fn check(command: &mut Command) -> (i32, String) {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), text)
}

fn relay(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferrevent"));
    command.args(["relay", "--check"]).args(arguments);
    command
}

#[test]
fn what_would_work_is_explained_and_nothing_is_left() {
    let to = upstream(echo).to_string();
    let directory = temporary("check");
    fs::create_dir_all(&directory).unwrap();
    let (log, socket) = (directory.join("log"), directory.join("socket"));
    let listen = format!("unix:{}", socket.display());
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = free.local_addr().unwrap().to_string();
    drop(free);
    for listen in [&tcp, &listen] {
        for (workers, backend) in [("0", "uring works"), ("2", "epoll works")] {
            let (code, text) = check(&mut relay(&[
                listen,
                &to,
                "--max-connections",
                "100",
                "--idle-timeout",
                "90s",
                "--workers",
                workers,
                "--log",
                log.to_str().unwrap(),
            ]));
            assert_eq!(code, 0, "{text}");
            for wanted in [
                "can be bound",
                "it answers",
                "232 open files suffice for 100 connections",
                "can be written",
                backend,
                &format!("would relay {listen} to {to}, 100 connections at a time"),
                "closed after 1m 30s",
            ] {
                assert!(text.contains(wanted), "{wanted}: {text}");
            }
            let left = fs::read_dir(&directory).unwrap().count();
            assert_eq!(left, 0, "something is left in {}", directory.display());
        }
    }
    assert!(TcpStream::connect(&tcp).is_err());
    fs::remove_dir(&directory).unwrap();
}

#[test]
fn every_problem_is_told_with_its_remedy() {
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = busy.local_addr().map(|at| (busy, at.to_string())).unwrap();
    let to = upstream(echo).to_string();
    let file = temporary("check-file");
    fs::write(&file, "no socket").unwrap();
    let file_address = format!("unix:{}", file.display());
    for (arguments, wanted) in [
        (
            vec![busy.1.as_str(), &to],
            "listens there already: end that",
        ),
        (vec!["192.0.2.1:80", &to], "does not have that address"),
        (vec![&file_address, &to], "no socket; remove it"),
        (
            vec!["unix:/nowhere/at/all", &to],
            "directory or the name does not exist",
        ),
        (vec![":0", "no-such-host.invalid:80"], "is the name right"),
        (vec!["no-such-host.invalid:80", &to], "is the name right"),
        (
            vec![":0", &to, "--log", "/nowhere/log"],
            "give another --log",
        ),
        (
            vec![":0", &to, "--max-connections", "4000000000"],
            "LimitNOFILE=8000000032",
        ),
        (vec!["systemd:", &to], "systemd-socket-activate"),
        (vec!["systemd:", &to, "--reuse-port"], "ReusePort=yes"),
        (vec!["unix:/tmp/x", &to, "--reuse-port"], "leave it out"),
    ] {
        let (code, text) = check(&mut relay(&arguments));
        assert_eq!(code, 1, "{text}");
        let told = text.lines().find(|line| line.contains(wanted));
        let told = told.unwrap_or_else(|| panic!("{wanted}: {text}"));
        assert!(told.starts_with("problem"), "{told}");
        assert!(text.contains("Not ready: there is a problem"), "{text}");
    }
    fs::remove_file(&file).unwrap();
}

#[test]
fn a_relay_to_itself_is_a_problem() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let listen = format!(":{port}");
    let (code, text) = check(&mut relay(&[&listen, &format!("localhost:{port}")]));
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("it would call itself"), "{text}");
}

#[test]
fn what_may_get_better_is_a_warning() {
    let (_held, closed) = refusing();
    let closed = closed.to_string();
    let (code, text) = check(&mut relay(&[":0", &closed, "--workers", "1000"]));
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("does not answer just now: Connection refused"),
        "{text}"
    );
    assert!(
        text.contains("more than there are cores gain nothing"),
        "{text}"
    );
}

#[test]
fn an_unknown_backend_is_a_problem() {
    let to = upstream(echo).to_string();
    let (code, text) = check(relay(&[":0", &to]).env("FERREVENT_BACKEND", "steam"));
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("steam") && text.contains("epoll"), "{text}");
}
