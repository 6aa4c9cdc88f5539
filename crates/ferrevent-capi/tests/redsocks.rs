//! Debian's redsocks, as it is, on our library and on Debian's: bufferevents
//! to clients and to a proxy, with watermarks between them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use common::service::{PATIENCE, Service, free_port, wait};
use common::{Library, prefix, scratch};

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
    let proxy = start_proxy();
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
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| thread::spawn(move || client(port, number)))
            .collect();
        for client in clients {
            client.join().unwrap();
        }
    }
}

fn client(port: u16, number: usize) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let bytes: Vec<u8> = (0..number * 9001)
        .map(|it| (it * 7 + number) as u8)
        .collect();
    let mut writer = stream.try_clone().unwrap();
    let sent = bytes.clone();
    let writer = thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        // A byte at a time, and the end.
        for byte in b"and so on" {
            writer.write_all(&[*byte]).unwrap();
        }
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    writer.join().unwrap();
    assert!(received == [&bytes[..], b"and so on"].concat());
}

/// A proxy by SOCKS 5 (RFC 1928) that leads to an echo, wherever it is asked
/// to lead.
fn start_proxy() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                // A client that only looks whether somebody is there ends early.
                let _ = serve(stream);
            });
        }
    });
    port
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut greeting = [0; 2];
    stream.read_exact(&mut greeting)?;
    stream.read_exact(&mut vec![0; greeting[1].into()])?;
    stream.write_all(&[5, 0])?;
    let mut request = [0; 10];
    stream.read_exact(&mut request)?;
    assert_eq!(request[..4], [5, 1, 0, 1]);
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    std::io::copy(&mut stream.try_clone()?, &mut stream)?;
    stream.shutdown(Shutdown::Write)
}
