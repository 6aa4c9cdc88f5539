//! tokio as a peer: `tokio-peer echo|sink|pump ADDR [--chunk BYTES]` and `tokio-peer wakes`.
//!
//! One thread, one task a connection, one buffer a task.

mod wakes;

use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, UnixListener};
use tokio::runtime::Builder;

const BACKLOG: u32 = 4096;
const CHUNK: usize = 65536;

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["wakes"] => wakes::run(),
        [mode, address] => serve(mode, address, CHUNK),
        [mode, address, "--chunk", bytes] => {
            serve(mode, address, bytes.parse().map_err(io::Error::other)?)
        }
        _ => Err(io::Error::other(
            "usage: tokio-peer echo|sink|pump ADDR [--chunk BYTES]",
        )),
    }
}

fn serve(mode: &str, address: &str, chunk: usize) -> io::Result<()> {
    let mode = match mode {
        "echo" => Mode::Echo,
        "sink" => Mode::Sink,
        "pump" => Mode::Pump,
        other => return Err(io::Error::other(format!("no mode `{other}`"))),
    };
    let runtime = Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        match address.strip_prefix("unix:") {
            Some(path) => {
                let listener = UnixListener::bind(path)?;
                loop {
                    let (stream, _) = listener.accept().await?;
                    tokio::spawn(run(mode, stream, chunk));
                }
            }
            None => {
                let socket = TcpSocket::new_v4()?;
                socket.set_reuseaddr(true)?;
                // Accepted sockets inherit it, here as in the C peers.
                socket.set_nodelay(true)?;
                socket.bind(address.parse::<SocketAddr>().map_err(io::Error::other)?)?;
                let listener = socket.listen(BACKLOG)?;
                loop {
                    let (stream, _) = listener.accept().await?;
                    tokio::spawn(run(mode, stream, chunk));
                }
            }
        }
    })
}

#[derive(Clone, Copy)]
enum Mode {
    Echo,
    Sink,
    Pump,
}

/// Serves one connection; its end, whatever the reason, is the end of the task.
async fn run<S: AsyncRead + AsyncWrite + Unpin>(mode: Mode, stream: S, chunk: usize) {
    let _ = match mode {
        Mode::Echo => echo(stream, chunk).await,
        Mode::Sink => sink(stream, chunk).await,
        Mode::Pump => pump(stream, chunk).await,
    };
}

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, chunk: usize) -> io::Result<()> {
    let mut buffer = vec![0; chunk];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..length]).await?;
    }
}

async fn sink<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, chunk: usize) -> io::Result<()> {
    let mut buffer = vec![0; chunk];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

async fn pump<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, chunk: usize) -> io::Result<()> {
    let buffer = vec![0; chunk];
    loop {
        stream.write_all(&buffer).await?;
    }
}
