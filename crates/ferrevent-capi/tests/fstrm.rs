//! Debian's fstrm_capture, as it is, on our library and on Debian's: a listener
//! that rests while there are too many clients, bufferevents with watermarks,
//! and buffers that are looked into where they are.
//!
//! The clients speak Frame Streams: control frames before and after those that
//! the program writes to a file.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use common::service::{PATIENCE, Service, wait};
use common::{Library, prefix, scratch};

const CLIENTS: usize = 50;
/// So many of them at a time.
const AT_A_TIME: &str = "20";
const FRAMES: usize = 40;
const CONTENT: &[u8] = b"test:frames";

/// What a control frame is.
const ACCEPT: u32 = 1;
const START: u32 = 2;
const STOP: u32 = 3;
const READY: u32 = 4;
const FINISH: u32 = 5;

#[test]
fn frames_of_many_clients() {
    if !Path::new("/usr/bin/fstrm_capture").exists() {
        eprintln!("skipped: fstrm-bin is not installed");
        return;
    }
    for library in [Library::Ours, Library::System] {
        let socket = scratch().join(format!("{library:?}.socket"));
        let file = scratch().join(format!("{library:?}.frames"));
        let _ = std::fs::remove_file(&socket);
        let mut command = Command::new("/usr/bin/fstrm_capture");
        command.arg("-t").arg(std::str::from_utf8(CONTENT).unwrap());
        command.args(["-c", AT_A_TIME, "-u"]).arg(&socket);
        command.arg("-w").arg(&file).stdin(Stdio::null());
        match library {
            Library::Ours => command.env("LD_LIBRARY_PATH", prefix().join("lib")),
            Library::System => command.env_remove("LD_LIBRARY_PATH"),
        };
        let log = std::fs::File::create(scratch().join(format!("{library:?}.log"))).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let service = Service::start(&mut command, "-INT");
        wait("fstrm_capture", || UnixStream::connect(&socket).is_ok());
        service.demand(library, prefix());
        thread::scope(|scope| {
            for number in 0..CLIENTS {
                let socket = &socket;
                scope.spawn(move || client(socket, number));
            }
        });
        drop(service);
        assert!(written(&std::fs::read(&file).unwrap()), "{library:?}");
    }
}

fn client(socket: &Path, number: usize) {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&control(READY, CONTENT)).unwrap();
    assert_eq!(answer(&mut stream), ACCEPT);
    stream.write_all(&control(START, CONTENT)).unwrap();
    for index in 0..FRAMES {
        let frame = frame(number, index);
        stream.write_all(&length_of(&frame)).unwrap();
        stream.write_all(&frame).unwrap();
    }
    stream.write_all(&control(STOP, b"")).unwrap();
    assert_eq!(answer(&mut stream), FINISH);
}

/// It tells whose it is.
fn frame(number: usize, index: usize) -> Vec<u8> {
    let mut frame = vec![number as u8, index as u8];
    frame.resize(2 + index * number * 7 % 20_000, number as u8);
    frame
}

fn length_of(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap().to_be_bytes()
}

/// The length 0 says that a control frame follows.
fn control(kind: u32, content: &[u8]) -> Vec<u8> {
    let mut body = kind.to_be_bytes().to_vec();
    if !content.is_empty() {
        body.extend(1_u32.to_be_bytes());
        body.extend(length_of(content));
        body.extend(content);
    }
    [&[0; 4][..], &length_of(&body), &body].concat()
}

fn answer(stream: &mut UnixStream) -> u32 {
    let mut head = [0; 8];
    stream.read_exact(&mut head).unwrap();
    let (escape, length) = head.split_at(4);
    assert_eq!(escape, [0; 4]);
    let mut body = vec![0; u32::from_be_bytes(length.try_into().unwrap()) as usize];
    stream.read_exact(&mut body).unwrap();
    u32::from_be_bytes(body[..4].try_into().unwrap())
}

/// Whether a file has all frames, those of a client in their order, between the
/// two control frames.
fn written(mut bytes: &[u8]) -> bool {
    let mut controls = Vec::new();
    let mut next = BTreeMap::new();
    while !bytes.is_empty() {
        let piece = piece(&mut bytes);
        if piece.is_empty() {
            controls.push(u32::from_be_bytes(
                self::piece(&mut bytes)[..4].try_into().unwrap(),
            ));
            continue;
        }
        let index: &mut usize = next.entry(piece[0]).or_default();
        if piece != frame(piece[0].into(), *index) {
            return false;
        }
        *index += 1;
    }
    controls == [START, STOP] && next.len() == CLIENTS && next.values().all(|it| *it == FRAMES)
}

/// So many bytes as a length says that comes before them.
fn piece<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let (length, rest) = bytes.split_at(4);
    let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
    let (piece, rest) = rest.split_at(length);
    *bytes = rest;
    piece
}
