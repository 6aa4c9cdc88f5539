//! Debian's coturn, as it is, on our library and on Debian's: a server of
//! listeners, bufferevents, datagrams and threads, and its own client, which
//! drives as many allocations as it is told.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use common::service::{Service, free_port, wait};
use common::{Library, on, prefix, scratch, text};

const SERVER: &str = "/usr/bin/turnserver";
const CLIENT: &str = "turnutils_uclient";

#[test]
fn allocations_over_udp_and_tcp() {
    if !Path::new(SERVER).exists() {
        eprintln!("skipped: coturn is not installed");
        return;
    }
    // The client mostly waits.
    thread::scope(|scope| {
        for library in [Library::Ours, Library::System] {
            scope.spawn(move || {
                let port = free_port();
                let service = serve(library, port);
                wait("turnserver", || {
                    TcpStream::connect(("127.0.0.1", port)).is_ok()
                });
                service.demand(library, prefix());
                thread::scope(|scope| {
                    for transport in [&[][..], &["-t"], &["-t", "-T"]] {
                        scope.spawn(move || relay(library, port, transport));
                    }
                });
            });
        }
    });
}

fn serve(library: Library, port: u16) -> Service {
    let folder = scratch().join(format!("{library:?}"));
    std::fs::create_dir_all(&folder).unwrap();
    let mut command = Command::new(SERVER);
    command
        .args(["-n", "--no-tls", "--no-dtls", "--no-cli", "--no-rfc5780"])
        .args(["-L", "127.0.0.1", "-E", "127.0.0.1"])
        .args(["-p", &port.to_string()])
        .args(["-m", "2", "-a", "-u", "somebody:secret", "-r", "here"])
        .args(["--allow-loopback-peers", "--simple-log", "-l", "stdout"])
        .arg("-b")
        .arg(folder.join("users"))
        .arg("--pidfile")
        .arg(folder.join("pid"))
        .current_dir(&folder)
        .stdin(Stdio::null());
    match library {
        Library::Ours => command.env("LD_LIBRARY_PATH", prefix().join("lib")),
        Library::System => command.env_remove("LD_LIBRARY_PATH"),
    };
    let log = std::fs::File::create(folder.join("log")).unwrap();
    command.stdout(log.try_clone().unwrap()).stderr(log);
    Service::start(&mut command, "-TERM")
}

/// Clients in pairs send to each other by way of their allocations, and count.
fn relay(library: Library, port: u16, transport: &[&str]) {
    let mut client = on(library, CLIENT);
    client
        .args(["-y", "-u", "somebody", "-w", "secret"])
        .args(["-m", "10", "-n", "20", "-l", "400"])
        .args(["-p", &port.to_string()])
        .args(transport)
        .arg("127.0.0.1");
    let output = client.output().unwrap();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{library:?} {transport:?}: {said}");
    assert!(
        said.contains("Total lost packets 0 (0.000000%)"),
        "{library:?} {transport:?}: {said}"
    );
}
