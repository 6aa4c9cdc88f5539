//! Debian's memcached, as it is, on our library and on Debian's: the same
//! answers to the same clients.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::paired::{Cost, compare, cpu_seconds};
use common::{Library, prefix, scratch, text};

const PATIENCE: Duration = Duration::from_secs(60);
const CLIENTS: usize = 200;

/// Requests of a round when libraries are compared.
const COMPARED: u32 = 200_000;

#[test]
fn over_tcp() {
    on_both(|library| {
        let server = Server::start(library, &[]);
        let address = server.address.clone();
        let connect = move || {
            let stream = TcpStream::connect(&address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream
        };
        many_clients(connect);
        load(&server.address);
    });
}

#[test]
fn over_a_unix_socket() {
    on_both(|library| {
        let socket = scratch().join(format!("{library:?}.sock"));
        let server = Server::start(library, &["-s", socket.to_str().unwrap()]);
        many_clients(move || {
            let stream = UnixStream::connect(&socket).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream
        });
        drop(server);
    });
}

/// `cargo xtask capi compare`.
#[test]
#[ignore = "it measures, which wants a quiet machine"]
fn compared() {
    compare("memcached", |library| {
        let server = Server::start(library, &[]);
        let before = cpu_seconds(server.child.id());
        let said = caslap(&server.address, "1", COMPARED).expect("memcaslap is not installed");
        let cpu = cpu_seconds(server.child.id()) - before;
        let rate = said.split("TPS: ").nth(1).unwrap();
        let rate = rate.split_whitespace().next().unwrap();
        Cost {
            cpu_us: cpu * 1e6 / f64::from(COMPARED),
            rate: rate.parse().unwrap(),
        }
    });
}

fn on_both(test: impl Fn(Library)) {
    if !Path::new("/usr/bin/memcached").exists() {
        eprintln!("skipped: memcached is not installed");
        return;
    }
    test(Library::Ours);
    test(Library::System);
}

/// Every client has keys of its own; all are connected at the same time.
fn many_clients<S: Read + Write>(connect: impl Fn() -> S + Send + Clone + 'static) {
    const THREADS: usize = 4;
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let connect = connect.clone();
            thread::spawn(move || {
                let mut clients: Vec<_> = (0..CLIENTS / THREADS)
                    .map(|_| BufReader::new(connect()))
                    .collect();
                for (number, client) in clients.iter_mut().enumerate() {
                    session(client, &format!("key{thread}.{number}"), number * 317);
                }
                for (number, client) in clients.iter_mut().enumerate() {
                    session(client, &format!("again{thread}.{number}"), 100_000);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

fn session<S: Read + Write>(client: &mut BufReader<S>, key: &str, length: usize) {
    let value: String = key.chars().cycle().take(length).collect();
    let set = format!("set {key} 7 0 {length}\r\n{value}\r\n");
    assert_eq!(ask(client, &set), "STORED\r\n");
    assert_eq!(
        ask(client, &format!("get {key}\r\n")),
        format!("VALUE {key} 7 {length}\r\n")
    );
    let mut rest = vec![0; length + "\r\nEND\r\n".len()];
    client.read_exact(&mut rest).unwrap();
    assert_eq!(text(&rest), format!("{value}\r\nEND\r\n"));
    assert_eq!(ask(client, &format!("delete {key}\r\n")), "DELETED\r\n");
    assert_eq!(ask(client, &format!("get {key}\r\n")), "END\r\n");
}

fn ask<S: Read + Write>(client: &mut BufReader<S>, question: &str) -> String {
    client.get_mut().write_all(question.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_line(&mut answer).unwrap();
    answer
}

/// memcached's own load, which checks nothing but that it is answered.
fn load(address: &str) {
    if caslap(address, "2", 20_000).is_none() {
        eprintln!("skipped: memcaslap is not installed");
    }
}

/// What memcaslap says of so many requests; nothing if it is not installed.
fn caslap(address: &str, threads: &str, requests: u32) -> Option<String> {
    let requests = requests.to_string();
    let mut command = Command::new("memcaslap");
    command.args(["-s", address, "-T", threads, "-c", "32", "-v", "0.5"]);
    let output = command.args(["-x", &requests]).output().ok()?;
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    assert!(
        said.contains("cmd_get: ") && said.contains("verify_failed: 0"),
        "{said}"
    );
    Some(said)
}

struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// With a socket's path it listens there, else on loopback.
    fn start(library: Library, arguments: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut command = Command::new("/usr/bin/memcached");
        command.args([
            "-u", "root", "-t", "4", "-c", "1024", "-m", "256", "-U", "0",
        ]);
        command.args(arguments).stdin(Stdio::null());
        if arguments.is_empty() {
            command.args(["-l", "127.0.0.1", "-p", &port.to_string()]);
        }
        if library == Library::Ours {
            command.env("LD_LIBRARY_PATH", prefix().join("lib"));
        }
        let server = Self {
            child: command.spawn().unwrap(),
            address: format!("127.0.0.1:{port}"),
        };
        let begun = Instant::now();
        let socket = arguments.last().map(PathBuf::from);
        loop {
            let there = match &socket {
                Some(socket) => UnixStream::connect(socket).is_ok(),
                None => TcpStream::connect(&server.address).is_ok(),
            };
            if there {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "memcached does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", server.child.id())).unwrap();
        let ours = maps.contains(&prefix().join("lib").display().to_string());
        assert_eq!(ours, library == Library::Ours, "{maps}");
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends by itself at SIGTERM: that is an event too.
        let _ = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        let begun = Instant::now();
        while let Ok(None) = self.child.try_wait() {
            if begun.elapsed() > PATIENCE {
                let _ = self.child.kill();
                panic!("memcached does not end at SIGTERM");
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}
