//! Bytes through a relay and back, whole and in their order.

#![allow(dead_code, reason = "no test program uses all of it")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use super::service::PATIENCE;

/// Whether a client ends its direction while it still reads.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum End {
    HalfFirst,
    Both,
}

/// So many clients at once, each with bytes of its own.
pub(crate) fn exchange(port: u16, clients: usize, end: End) {
    let clients: Vec<_> = (0..clients)
        .map(|number| thread::spawn(move || client(port, number, end)))
        .collect();
    for client in clients {
        client.join().unwrap();
    }
}

fn client(port: u16, number: usize, end: End) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes: Vec<u8> = (0..number * 9001)
        .map(|it| (it * 7 + number) as u8)
        .collect();
    bytes.extend(b"and so on");
    let mut writer = stream.try_clone().unwrap();
    let sent = bytes.clone();
    let writer = thread::spawn(move || {
        let (most, last) = sent.split_at(sent.len() - 9);
        writer.write_all(most).unwrap();
        for byte in last {
            writer.write_all(&[*byte]).unwrap();
        }
        if end == End::HalfFirst {
            writer.shutdown(Shutdown::Write).unwrap();
        }
    });
    let mut received = vec![0; bytes.len()];
    stream.read_exact(&mut received).unwrap();
    writer.join().unwrap();
    assert!(received == bytes);
    stream.shutdown(Shutdown::Write).ok();
    received.clear();
    assert_eq!(stream.read_to_end(&mut received).unwrap(), 0);
}

/// Serves every connection by a thread; answers the port.
pub(crate) fn serve(serve: fn(TcpStream) -> std::io::Result<()>) -> u16 {
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

pub(crate) fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    std::io::copy(&mut stream.try_clone()?, &mut stream)?;
    stream.shutdown(Shutdown::Write)
}
