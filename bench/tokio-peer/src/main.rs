//! tokio as a peer: `tokio-peer echo|sink|pump ADDR [--chunk BYTES] [--cert PEM --key PEM]`,
//! `tokio-peer wakes`, `tokio-peer tasks` and `tokio-peer hyper [WORKERS]`.
//!
//! One thread, one task a connection, one buffer a task.

mod hyper;
mod tasks;
mod tls;
mod wakes;

use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, UnixListener};
use tokio::runtime::Builder;

const BACKLOG: u32 = 4096;
const USAGE: &str = "usage: tokio-peer echo|sink|pump ADDR [--chunk BYTES] [--cert PEM --key PEM]";

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["wakes"] => wakes::run(),
        ["tasks"] => tasks::run(),
        ["hyper"] => hyper::run(None),
        ["hyper", workers] => hyper::run(Some(workers)),
        [mode, address, options @ ..] => serve(mode, address, &Options::parse(options)?),
        _ => Err(io::Error::other(USAGE)),
    }
}

struct Options<'a> {
    chunk: usize,
    certificate: Option<&'a str>,
    key: Option<&'a str>,
}

impl<'a> Options<'a> {
    fn parse(given: &[&'a str]) -> io::Result<Self> {
        let mut options = Self {
            chunk: 65536,
            certificate: None,
            key: None,
        };
        for pair in given.chunks(2) {
            match pair {
                ["--chunk", bytes] => options.chunk = bytes.parse().map_err(io::Error::other)?,
                ["--cert", file] => options.certificate = Some(file),
                ["--key", file] => options.key = Some(file),
                _ => return Err(io::Error::other(USAGE)),
            }
        }
        Ok(options)
    }
}

fn serve(mode: &str, address: &str, options: &Options<'_>) -> io::Result<()> {
    let mode = match mode {
        "echo" => Mode::Echo,
        "sink" => Mode::Sink,
        "pump" => Mode::Pump,
        other => return Err(io::Error::other(format!("no mode `{other}`"))),
    };
    let chunk = options.chunk;
    let tls = match (options.certificate, options.key) {
        (Some(certificate), Some(key)) => Some(tls::acceptor(certificate, key)?),
        (None, None) => None,
        _ => return Err(io::Error::other(USAGE)),
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
                    match &tls {
                        Some(acceptor) => {
                            let handshake = acceptor.accept(stream);
                            tokio::spawn(async move {
                                if let Ok(stream) = handshake.await {
                                    run(mode, stream, chunk).await;
                                }
                            });
                        }
                        None => {
                            tokio::spawn(run(mode, stream, chunk));
                        }
                    }
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

/// The flush is nothing for a socket; over TLS it is what sends the last record.
async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, chunk: usize) -> io::Result<()> {
    let mut buffer = vec![0; chunk];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..length]).await?;
        stream.flush().await?;
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
