//! Short loads, each checked.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use crate::echo;

const PATIENCE: Duration = Duration::from_secs(60);
const CLIENTS: u8 = 8;
const LEN: usize = 100_000;

/// Clients whose bytes come back, and one that goes away early.
pub(super) fn echo(to: &str) -> Result<(), String> {
    told("echo", || connect(to)?.write_all(&[1; 50_000]))?;
    let address = to.parse().map_err(|error| format!("{to}: {error}"))?;
    echo::through(address, CLIENTS.into(), LEN).map(drop)
}

/// Clients that send and wait until the server has closed.
pub(super) fn send(to: &str) -> Result<(), String> {
    told("send", || {
        all_at_once(|seed| {
            let mut stream = connect(to)?;
            stream.write_all(&bytes(seed))?;
            stream.shutdown(Shutdown::Write)?;
            stream.read_to_end(&mut Vec::new()).map(drop)
        })
    })
}

/// Clients that read for a while and go away in the middle.
pub(super) fn receive(to: &str) -> Result<(), String> {
    told("receive", || {
        all_at_once(|_| connect(to)?.read_exact(&mut vec![0; 5 * LEN]))
    })
}

/// Three that talk, one of them too much.
pub(super) fn chat(to: &str) -> Result<(), String> {
    told("chat", || {
        let (mut one, mut other) = (connect(to)?, connect(to)?);
        one.write_all(b"Ann\n")?;
        expect(&mut one, "your name?\n")?;
        other.write_all(b"Bob\r\n")?;
        expect(&mut one, "* Bob comes in\n")?;
        one.write_all(b"hello\n")?;
        expect(&mut other, "your name?\nAnn: hello\n")?;
        let mut third = connect(to)?;
        third.write_all(&[b'x'; 2000])?;
        expect(
            &mut third,
            "your name?\n* that line is too long, good bye\n",
        )?;
        drop(other);
        expect(&mut one, "* Bob leaves\n")
    })
}

fn connect(to: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn all_at_once(client: impl Fn(u8) -> io::Result<()> + Sync) -> io::Result<()> {
    let client = &client;
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| scope.spawn(move || client(n)))
            .collect();
        clients.into_iter().try_for_each(|client| {
            client
                .join()
                .map_err(|_| io::Error::other("a client panicked"))?
        })
    })
}

fn bytes(seed: u8) -> Vec<u8> {
    (0..LEN).map(|n| (n / 3 * 7) as u8 ^ seed).collect()
}

fn expect(stream: &mut TcpStream, text: &str) -> io::Result<()> {
    let mut got = vec![0; text.len()];
    stream.read_exact(&mut got)?;
    if got == text.as_bytes() {
        Ok(())
    } else {
        Err(io::Error::other(format!(
            "{:?} instead of {text:?}",
            String::from_utf8_lossy(&got)
        )))
    }
}

fn told(what: &str, load: impl FnOnce() -> io::Result<()>) -> Result<(), String> {
    load().map_err(|error| format!("{what}: {error}"))
}
