//! Bytes through a program that sends them back, checked on their return.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::running::{Running, wait_for};

const BLOCK: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts a server and waits until it listens.
pub(crate) fn serve(mut command: Command, address: SocketAddr) -> Result<Running, String> {
    let server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let server = Running(server.map_err(|error| format!("{command:?}: {error}"))?);
    wait_for(&address.to_string()).map_err(|error| format!("{command:?}: {error}"))?;
    Ok(server)
}

/// Sends so many bytes through each of so many connections at once, demands
/// them back, and tells how long it took.
pub(crate) fn through(
    address: SocketAddr,
    connections: usize,
    bytes: usize,
) -> Result<Duration, String> {
    let start = Instant::now();
    let clients: Vec<_> = (0..connections)
        .map(|seed| thread::spawn(move || client(address, bytes, seed as u8)))
        .collect();
    for client in clients {
        client
            .join()
            .map_err(|_| "a client panicked".to_owned())?
            .map_err(|error| format!("{address}: {error}"))?;
    }
    Ok(start.elapsed())
}

fn client(address: SocketAddr, bytes: usize, seed: u8) -> io::Result<()> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let block: Vec<u8> = (0..BLOCK).map(|at| (at % 251) as u8 ^ seed).collect();
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for at in (0..bytes).step_by(BLOCK) {
                (&stream).write_all(&block[..BLOCK.min(bytes - at)])?;
            }
            stream.shutdown(Shutdown::Write)
        });
        let mut into = vec![0; BLOCK];
        for at in (0..bytes).step_by(BLOCK) {
            let piece = &mut into[..BLOCK.min(bytes - at)];
            (&stream).read_exact(piece)?;
            if *piece != block[..piece.len()] {
                return Err(io::Error::other(format!("byte {at} came back changed")));
            }
        }
        writer
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the writer panicked")))
    })
}

/// A server of our own that sends back what comes, until this program ends.
pub(crate) fn upstream() -> Result<SocketAddr, String> {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| {
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    let (listener, address) = bound.map_err(|error| error.to_string())?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                // Whoever sent it sees what is missing.
                let _ = io::copy(&mut &stream, &mut &stream);
                let _ = stream.shutdown(Shutdown::Write);
            });
        }
    });
    Ok(address)
}
