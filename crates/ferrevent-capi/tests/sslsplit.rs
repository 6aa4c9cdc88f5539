//! Debian's sslsplit, as it is, on our library and on Debian's: listeners, and
//! bufferevents on the bases of several threads. It relays without TLS here.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use common::service::{Service, free_port, wait};
use common::{Library, prefix, scratch, text, traffic};

const CLIENTS: usize = 50;

#[test]
#[ignore = "with fifty clients at once sslsplit stalls one in most runs, on Debian's library as on ours"]
fn clients_by_way_of_several_threads() {
    if !Path::new("/usr/bin/sslsplit").exists() {
        eprintln!("skipped: sslsplit is not installed");
        return;
    }
    let upstream = traffic::serve(traffic::echo).to_string();
    for library in [Library::Ours, Library::System] {
        let port = free_port();
        let user = Command::new("id").arg("-un").output().unwrap();
        let mut command = Command::new("/usr/bin/sslsplit");
        command.args(["-D", "-u", text(&user.stdout).trim(), "tcp", "127.0.0.1"]);
        command.args([&port.to_string(), "127.0.0.1", &upstream]);
        command.stdin(Stdio::null());
        match library {
            Library::Ours => command.env("LD_LIBRARY_PATH", prefix().join("lib")),
            Library::System => command.env_remove("LD_LIBRARY_PATH"),
        };
        let log = std::fs::File::create(scratch().join(format!("{library:?}.log"))).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let service = Service::start(&mut command, "-TERM");
        wait("sslsplit", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        service.demand(library, prefix());
        traffic::exchange(port, CLIENTS, traffic::End::Both);
    }
}
