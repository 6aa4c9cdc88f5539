//! What is fetched through the network: files of random bytes, by HTTP.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// A server in this process, for as long as that lives.
pub(super) struct Files {
    pub(super) port: u16,
    big: Arc<Vec<u8>>,
}

/// `/big` has so many bytes.
pub(super) const BIG: usize = 64 << 20;
/// `/small` has so many: the beginning of the other.
pub(super) const SMALL: usize = 1 << 20;

impl Files {
    pub(super) fn serve() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let files = Self {
            port: listener.local_addr()?.port(),
            big: Arc::new(random(BIG)),
        };
        let big = Arc::clone(&files.big);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let big = Arc::clone(&big);
                // Who goes before the end is nobody's trouble here.
                thread::spawn(move || answer(&stream, &big));
            }
        });
        Ok(files)
    }

    pub(super) fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.port)
    }

    pub(super) fn bytes(&self, name: &str) -> &[u8] {
        part(&self.big, name)
    }
}

fn part<'a>(big: &'a [u8], name: &str) -> &'a [u8] {
    match name {
        "big" => big,
        _ => &big[..SMALL.min(big.len())],
    }
}

fn answer(stream: &TcpStream, big: &[u8]) -> io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    for line in lines.by_ref() {
        if line?.is_empty() {
            break;
        }
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    let body = part(big, path.trim_start_matches('/'));
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(body)
}

/// Bytes that no compression makes fewer (xorshift64*, Vigna 2016).
fn random(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend(state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
