//! Compression with other programs: gzip, zstd and lz4 read what the filters
//! wrote and the other way round; Python's zlib talks with them.

#![cfg(all(feature = "compress", unix))]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;
#[path = "common/compressed.rs"]
mod compressed;

use std::io::Write;
use std::net::Shutdown;
use std::process::{Command, Stdio};
use std::thread;

use common::{Recorder, until};
use compressed::{listen, mixed, once, over, tcp, writer};
use ferrevent::compress::{CompressError, Compression, Format};
use ferrevent::{CloseReason, EventLoop, Stream};

/// Python's zlib as a filter: the format by its window bits, and a direction.
const PYTHON: &str = "
import sys, zlib
bits, what = int(sys.argv[1]), sys.argv[2]
data = sys.stdin.buffer.read()
if what == 'pack':
    packer = zlib.compressobj(9, zlib.DEFLATED, bits)
    out = packer.compress(data) + packer.flush()
else:
    unpacker = zlib.decompressobj(bits)
    out = unpacker.decompress(data)
    assert unpacker.eof and not unpacker.unused_data
sys.stdout.buffer.write(out)
";

/// A program, how it decompresses, and several ways in which it compresses.
type Peer = (
    Format,
    &'static str,
    &'static [&'static str],
    &'static [&'static [&'static str]],
);

const PEERS: &[Peer] = &[
    (
        Format::Gzip,
        "gzip",
        &["-dc"],
        &[&["-c1"], &["-c9"], &["-c", "--no-name"]],
    ),
    (
        Format::Zstd,
        "zstd",
        &["-dcq"],
        &[
            &["-cq"],
            &["-cq", "-19"],
            &["-cq", "--fast=5"],
            &["-cq", "--no-check"],
            &["-cq", "-T2", "-5"],
        ],
    ),
    (
        Format::Lz4,
        "lz4",
        &["-dcq"],
        &[
            &["-cq"],
            &["-cq", "-9", "-B4", "-BD"],
            &["-cq", "-BX", "--no-frame-crc"],
            &["-cq", "-B5", "-BD", "-BX"],
        ],
    ),
    (
        Format::Zlib,
        "python3",
        &["-c", PYTHON, "15", "unpack"],
        &[&["-c", PYTHON, "15", "pack"], &["-c", PYTHON, "9", "pack"]],
    ),
    (
        Format::RawDeflate,
        "python3",
        &["-c", PYTHON, "-15", "unpack"],
        &[&["-c", PYTHON, "-15", "pack"]],
    ),
];

/// What a program makes of these bytes.
fn through(program: &str, arguments: &[&str], bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let output = thread::scope(|scope| {
        scope.spawn(move || {
            // What refuses its input ends early.
            let _ = stdin.write_all(bytes);
        });
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{program} {arguments:?}");
    output.stdout
}

fn samples() -> [Vec<u8>; 4] {
    [
        Vec::new(),
        b"x".to_vec(),
        mixed(200_003, 4),
        vec![0; 1_500_000],
    ]
}

#[test]
fn programs_read_what_the_filters_wrote() {
    let mut events = EventLoop::new().unwrap();
    for (format, program, decompress, _) in PEERS {
        let levels = format.levels();
        for level in [*levels.start(), format.default_level(), *levels.end()] {
            let how = Compression::new(*format).level(level).unwrap();
            for sample in samples() {
                let wire = sent(&mut events, how, &sample);
                let back = through(program, decompress, &wire);
                assert!(back == sample, "{how}, {} bytes", sample.len());
            }
        }
    }
}

/// What goes over the wire when a server writes this and finishes.
fn sent(events: &mut EventLoop, how: Compression, bytes: &[u8]) -> Vec<u8> {
    let (server, _) = writer(bytes.to_vec(), 100_000);
    let to = listen(events, how, once(server));
    let (client, record) = Recorder::new();
    common::Works::connect(events, to, client).unwrap();
    until(events, "the file", || over(&record));
    assert!(record.finished(), "{}", record.reason());
    record.bytes()
}

#[test]
fn the_filters_read_what_programs_wrote() {
    let mut events = EventLoop::new().unwrap();
    for (format, program, _, ways) in PEERS {
        for compress in *ways {
            for sample in samples() {
                let wire = through(program, compress, &sample);
                let (bytes, reason) = received(&mut events, *format, &wire);
                assert!(reason.is_clean(), "{program} {compress:?}: {reason}");
                assert!(bytes == sample, "{program} {compress:?}");
            }
        }
        // Frames one after another, as these programs allow.
        let one = through(program, ways[0], b"one, ");
        let two = through(program, ways[0], b"two");
        let (bytes, reason) = received(&mut events, *format, &[one, two].concat());
        assert_eq!(bytes, b"one, two", "{program}: {reason}");
    }
}

/// What a server makes of these bytes.
fn received(events: &mut EventLoop, format: Format, wire: &[u8]) -> (Vec<u8>, CloseReason) {
    let (server, record) = Recorder::new();
    let to = listen(events, Compression::receiving(format), once(server));
    let mut peer = tcp(&to);
    let wire = wire.to_vec();
    let writer = thread::spawn(move || {
        let _ = peer.write_all(&wire);
        let _ = peer.shutdown(Shutdown::Write);
        peer
    });
    until(events, "the end", || over(&record));
    let bytes = record.bytes();
    let reason = record.see().reason.take().unwrap();
    writer.join().unwrap();
    (bytes, reason)
}

#[test]
fn what_zstd_makes_for_much_memory_is_refused() {
    let mut events = EventLoop::new().unwrap();
    let wire = through("zstd", &["-cq", "--long=27"], &mixed(100_000, 1));
    let (bytes, reason) = received(&mut events, Format::Zstd, &wire);
    let error = CompressError::of(&reason);
    assert!(
        matches!(error, Some(CompressError::Window { .. })),
        "{reason}"
    );
    assert!(
        reason
            .to_string()
            .contains("8388608 bytes that are allowed"),
        "{reason}"
    );
    assert_eq!(bytes, b"");
}

/// A conversation: neither side says more before it has understood what the
/// other one said.
#[test]
fn python_understands_each_answer_before_it_asks_more() {
    const CLIENT: &str = "
import socket, sys, zlib
bits = int(sys.argv[2])
peer = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
packer, unpacker = zlib.compressobj(6, zlib.DEFLATED, bits), zlib.decompressobj(bits)
for i in range(20):
    said = (b'line %d ' % i) * (i + 1)
    peer.sendall(packer.compress(said) + packer.flush(zlib.Z_SYNC_FLUSH))
    heard = b''
    while len(heard) < len(said):
        came = peer.recv(65536)
        assert came, 'it ended'
        heard += unpacker.decompress(came)
    assert heard == said
peer.sendall(packer.flush())
peer.shutdown(socket.SHUT_WR)
while not unpacker.eof:
    came = peer.recv(65536)
    assert came, 'the end of the frame is missing'
    assert unpacker.decompress(came) == b''
assert peer.recv(1) == b''
print('understood')
";
    let mut events = EventLoop::new().unwrap();
    for (format, bits) in [
        (Format::Zlib, "15"),
        (Format::Gzip, "31"),
        (Format::RawDeflate, "-15"),
    ] {
        let how = Compression::new(format);
        let to = listen(&mut events, how, || |stream: &mut Stream<'_>| stream.echo());
        let ferrevent::Address::Socket(to) = to else {
            panic!("{to}")
        };
        let client = thread::spawn(move || {
            let port = to.port().to_string();
            through("python3", &["-c", CLIENT, &port, bits], b"")
        });
        until(&mut events, "the talk", || client.is_finished());
        assert_eq!(client.join().unwrap(), b"understood\n", "{format}");
    }
}
