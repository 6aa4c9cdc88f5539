//! Short loads, each checked.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const CLIENTS: u8 = 8;
const LEN: usize = 100_000;

/// Clients whose bytes come back, and one that goes away early.
pub(super) fn echo(to: &str) -> Result<(), String> {
    told("echo", || {
        connect(to)?.write_all(&[1; 50_000])?;
        all_at_once(|seed| {
            let mut stream = connect(to)?;
            let sent = bytes(seed);
            let mut writing = stream.try_clone()?;
            let copy = sent.clone();
            let writer = thread::spawn(move || {
                copy.chunks(7000)
                    .try_for_each(|piece| writing.write_all(piece))?;
                writing.shutdown(Shutdown::Write)
            });
            let mut got = Vec::new();
            stream.read_to_end(&mut got)?;
            writer
                .join()
                .map_err(|_| io::Error::other("the writer panicked"))??;
            if got == sent {
                Ok(())
            } else {
                Err(io::Error::other(format!(
                    "{} bytes came back, not the same",
                    got.len()
                )))
            }
        })
    })
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

/// The address of a server that echoes, until the process ends.
pub(super) fn echo_server() -> Result<String, String> {
    let listener = listen()?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let _ = io::copy(&mut &stream, &mut &stream);
                let _ = stream.shutdown(Shutdown::Write);
            });
        }
    });
    Ok(address.to_string())
}

fn listen() -> Result<TcpListener, String> {
    TcpListener::bind("127.0.0.1:0").map_err(|error| format!("no free port on 127.0.0.1: {error}"))
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
