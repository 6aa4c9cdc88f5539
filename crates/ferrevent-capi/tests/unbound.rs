//! Debian's unbound, as it is, on our library and on Debian's: questions over
//! UDP and TCP that it answers itself, or asks another for.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use common::service::{PATIENCE, Service, free_port, wait};
use common::{Library, prefix, scratch};

#[test]
fn questions_and_answers() {
    if !Path::new("/usr/sbin/unbound").exists() {
        eprintln!("skipped: unbound is not installed");
        return;
    }
    let upstream = start_upstream();
    for library in [Library::Ours, Library::System] {
        let port = free_port();
        let settings = scratch().join(format!("{library:?}.conf"));
        let folder = scratch().display().to_string();
        let lines = format!(
            "server:\n interface: 127.0.0.1\n port: {port}\n do-daemonize: no\n \
             username: \"\"\n chroot: \"\"\n directory: \"{folder}\"\n pidfile: \"\"\n \
             use-syslog: no\n num-threads: 2\n module-config: \"iterator\"\n \
             do-not-query-localhost: no\n do-ip6: no\n \
             local-zone: \"test.\" nodefault\n local-zone: \"here.test.\" static\n local-data: \"a.here.test. A 192.0.2.7\"\n\
             remote-control:\n control-enable: no\n\
             forward-zone:\n name: \"there.test.\"\n forward-addr: 127.0.0.1@{upstream}\n"
        );
        std::fs::write(&settings, lines).unwrap();
        let mut command = Command::new("/usr/sbin/unbound");
        command
            .args(["-d", "-c"])
            .arg(&settings)
            .stdin(Stdio::null());
        if library == Library::Ours {
            command.env("LD_LIBRARY_PATH", prefix().join("lib"));
        }
        let log = std::fs::File::create(scratch().join(format!("{library:?}.log"))).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let service = Service::start(&mut command, "-TERM");
        wait("unbound", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        service.demand(library, prefix());
        let here = Ipv4Addr::new(192, 0, 2, 7);
        assert_eq!(ask_by_udp(port, "a.here.test"), here);
        assert_eq!(ask_by_tcp(port, "a.here.test"), here);
        let askers: Vec<_> = (0..8)
            .map(|asker| {
                thread::spawn(move || {
                    for number in 0..25 {
                        let name = format!("n{}.there.test", asker * 25 + number);
                        let answer = if number % 2 == 0 {
                            ask_by_udp(port, &name)
                        } else {
                            ask_by_tcp(port, &name)
                        };
                        assert_eq!(answer, address_of(&name));
                    }
                })
            })
            .collect();
        for asker in askers {
            asker.join().unwrap();
        }
    }
}

/// What another server says of a name that begins with `n` and a number.
fn address_of(name: &str) -> Ipv4Addr {
    let number = name[1..].split('.').next().unwrap();
    Ipv4Addr::new(192, 0, 2, number.parse().unwrap())
}

fn start_upstream() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut message = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut message) {
            let question = &message[..length];
            let _ = socket.send_to(&answer(question), from);
        }
    });
    port
}

/// An answer (RFC 1035) to a question for an address; of other questions and
/// names, that there is nothing.
fn answer(question: &[u8]) -> Vec<u8> {
    let mut end = 12;
    let mut labels = Vec::new();
    while question[end] != 0 {
        let length = usize::from(question[end]);
        let label = &question[end + 1..end + 1 + length];
        labels.push(String::from_utf8_lossy(label).to_lowercase());
        end += 1 + length;
    }
    end += 5;
    let is_address = question[end - 4..end] == [0, 1, 0, 1] && labels[0].starts_with('n');
    let mut answer = question[..end].to_vec();
    answer[2..12].copy_from_slice(&[0x84, 0x80, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0]);
    if is_address {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(address_of(&labels.join(".")).octets());
    }
    answer
}

fn question(name: &str) -> Vec<u8> {
    let mut question = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(label.len() as u8);
        question.extend(label.as_bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    question
}

fn address_in(answer: &[u8]) -> Ipv4Addr {
    assert_eq!(answer[..2], [0x12, 0x34]);
    assert_eq!(answer[3] & 15, 0, "{answer:?}");
    let address: [u8; 4] = answer[answer.len() - 4..].try_into().unwrap();
    address.into()
}

fn ask_by_udp(port: u16, name: &str) -> Ipv4Addr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(("127.0.0.1", port)).unwrap();
    socket.send(&question(name)).unwrap();
    let mut answer = [0; 1500];
    let length = socket.recv(&mut answer).unwrap();
    address_in(&answer[..length])
}

fn ask_by_tcp(port: u16, name: &str) -> Ipv4Addr {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let question = question(name);
    let length = u16::try_from(question.len()).unwrap().to_be_bytes();
    stream
        .write_all(&[&length[..], &question].concat())
        .unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut answer).unwrap();
    address_in(&answer)
}
