//! Debian's redsocks, as it is, on our library and on Debian's: bufferevents
//! to clients and to a proxy, with watermarks between them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use common::service::{Service, free_port, wait};
use common::{Library, prefix, scratch, traffic};

const CLIENTS: usize = 50;

#[test]
fn clients_by_way_of_a_proxy() {
    let Some(redsocks) = ["/usr/sbin/redsocks", "/usr/bin/redsocks"]
        .into_iter()
        .find(|path| Path::new(path).exists())
    else {
        eprintln!("skipped: redsocks is not installed");
        return;
    };
    let proxy = traffic::serve(proxy);
    for library in [Library::Ours, Library::System] {
        let port = free_port();
        let settings = scratch().join(format!("{library:?}.conf"));
        let lines = format!(
            "base {{ log = \"stderr\"; daemon = off; redirector = generic; }}\n\
             redsocks {{ local_ip = 127.0.0.1; local_port = {port}; \
             ip = 127.0.0.1; port = {proxy}; type = socks5; }}\n"
        );
        std::fs::write(&settings, lines).unwrap();
        let mut command = Command::new(redsocks);
        command.arg("-c").arg(&settings).stdin(Stdio::null());
        if library == Library::Ours {
            command.env("LD_LIBRARY_PATH", prefix().join("lib"));
        }
        let log = std::fs::File::create(scratch().join(format!("{library:?}.log"))).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let service = Service::start(&mut command, "-TERM");
        wait("redsocks", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        service.demand(library, prefix());
        traffic::exchange(port, CLIENTS, traffic::End::HalfFirst);
    }
}

/// A proxy by SOCKS 5 (RFC 1928) that leads to an echo, wherever it is asked
/// to lead.
fn proxy(mut stream: TcpStream) -> std::io::Result<()> {
    let mut greeting = [0; 2];
    stream.read_exact(&mut greeting)?;
    stream.read_exact(&mut vec![0; greeting[1].into()])?;
    stream.write_all(&[5, 0])?;
    let mut request = [0; 10];
    stream.read_exact(&mut request)?;
    assert_eq!(request[..4], [5, 1, 0, 1]);
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    traffic::echo(stream)
}
