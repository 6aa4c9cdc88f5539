//! Debian's gearmand, as it is, on our library and on Debian's: threads with
//! bases of their own that give each other connections, and events of before
//! libevent 2.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use common::service::{Service, free_port, wait};
use common::{Library, prefix, scratch, text};

const PROGRAM: &str = "/usr/sbin/gearmand";
const CLIENTS: usize = 20;
const WORKERS: usize = 4;

#[test]
fn jobs_of_many_clients() {
    if !Path::new(PROGRAM).exists() {
        eprintln!("skipped: gearman-job-server is not installed");
        return;
    }
    for library in [Library::Ours, Library::System] {
        let port = free_port();
        let log = scratch().join(format!("{library:?}.log"));
        let mut command = Command::new(PROGRAM);
        command
            .args(["-L", "127.0.0.1", "-p", &port.to_string(), "-t", "4", "-l"])
            .arg(&log)
            .args(["-P"])
            .arg(scratch().join(format!("{library:?}.pid")))
            .stdin(Stdio::null());
        match library {
            Library::Ours => command.env("LD_LIBRARY_PATH", prefix().join("lib")),
            Library::System => command.env_remove("LD_LIBRARY_PATH"),
        };
        let service = Service::start(&mut command, "-TERM");
        wait("gearmand", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        service.demand(library, prefix());
        let workers: Vec<Worker> = (0..WORKERS).map(|_| Worker::start(port)).collect();
        thread::scope(|scope| {
            for number in 0..CLIENTS {
                scope.spawn(move || ask(port, number));
            }
        });
        drop(workers);
        drop(service);
    }
}

/// Counts lines for whoever asks.
struct Worker(Child);

impl Worker {
    fn start(port: u16) -> Self {
        let mut worker = gearman(port);
        worker.args(["-w", "-f", "count", "--", "wc", "-l"]);
        worker.stdin(Stdio::null()).stderr(Stdio::null());
        Self(worker.spawn().unwrap())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It passes that on to what it runs.
        let id = self.0.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status();
        let _ = self.0.wait();
    }
}

fn ask(port: u16, number: usize) {
    let mut client = gearman(port);
    client.args(["-f", "count"]);
    client.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut client = client.spawn().unwrap();
    let lines = number * 3000;
    let mut to = client.stdin.take().unwrap();
    to.write_all("a line of it\n".repeat(lines).as_bytes())
        .unwrap();
    drop(to);
    let output = client.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(text(&output.stdout).trim(), lines.to_string());
}

fn gearman(port: u16) -> Command {
    let mut command = Command::new("timeout");
    command.args(["120", "gearman", "-h", "127.0.0.1"]);
    command.args(["-p", &port.to_string()]);
    command
}
