//! What is fetched through the network: files of random bytes, by HTTP.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::procfs;

/// A server in this process, for as long as that lives.
pub(crate) struct Files {
    pub(crate) port: u16,
    big: Arc<Vec<u8>>,
    last: Arc<Mutex<Option<u32>>>,
}

/// `/big` has so many bytes.
pub(crate) const BIG: usize = 64 << 20;
/// `/small` has so many: the beginning of the other.
pub(crate) const SMALL: usize = 1 << 20;

impl Files {
    pub(crate) fn serve() -> Result<Self, String> {
        let failed = |error: io::Error| format!("a server of files: {error}");
        let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
        let files = Self {
            port: listener.local_addr().map_err(failed)?.port(),
            big: Arc::new(random(BIG)),
            last: Arc::default(),
        };
        let (big, last) = (Arc::clone(&files.big), Arc::clone(&files.last));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let peer = stream.peer_addr().ok();
                let peer = peer.and_then(|address| procfs::connected_from(address.port()));
                *last.lock().unwrap_or_else(PoisonError::into_inner) = peer;
                let big = Arc::clone(&big);
                // Who goes before the end is nobody's trouble here.
                thread::spawn(move || answer(&stream, &big));
            }
        });
        Ok(files)
    }

    pub(crate) fn url(&self, name: &str) -> String {
        self.url_at("127.0.0.1", name)
    }

    /// The same, of this host by another name.
    pub(crate) fn url_at(&self, host: &str, name: &str) -> String {
        format!("http://{host}:{}/{name}", self.port)
    }

    pub(crate) fn bytes(&self, name: &str) -> &[u8] {
        part(&self.big, name)
    }

    /// The process that the last connection came from.
    pub(crate) fn asked_by(&self) -> Option<u32> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what was fetched is what was sent, byte for byte.
    pub(crate) fn same(&self, path: &Path, name: &str) -> Result<(), String> {
        let got = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let sent = self.bytes(name);
        if got == sent {
            return Ok(());
        }
        let right = got.iter().zip(sent).take_while(|(a, b)| a == b).count();
        Err(format!(
            "{}: {} bytes of {}, and the first {right} are right",
            path.display(),
            got.len(),
            sent.len()
        ))
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
