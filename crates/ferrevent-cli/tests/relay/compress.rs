//! Compression between two relays, and with what speaks it too.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use crate::peers::Files;
use crate::rig::{Relay, echo, ferrevent, on_loop_and_pool, peer, temporary, upstream};

on_loop_and_pool! {
    two_relays_compress_between_them
    compression_and_tls_go_together
    other_programs_speak_it_too
    what_is_no_compression_is_told_with_a_remedy
    a_bomb_is_cut_off
}

/// Text that compresses, and differs everywhere.
fn text(len: usize) -> Vec<u8> {
    let mut text: Vec<u8> = (0..)
        .flat_map(|n: u32| format!("line {n} of it\n").into_bytes())
        .take(len)
        .collect();
    text.truncate(len);
    text
}

fn there_and_back(mut stream: TcpStream, sent: &[u8]) {
    let mut writing = stream.try_clone().unwrap();
    let mut back = Vec::new();
    thread::scope(|scope| {
        scope.spawn(move || {
            writing.write_all(sent).unwrap();
            writing.shutdown(Shutdown::Write).unwrap();
        });
        stream.read_to_end(&mut back).unwrap();
    });
    assert!(back == sent, "{} bytes came back", back.len());
}

fn address(relay: &Relay) -> SocketAddr {
    relay.address.parse().unwrap()
}

fn two_relays_compress_between_them() {
    for how in ["zstd", "lz4", "deflate:9", "gzip:1"] {
        let (format, _) = how.split_once(':').unwrap_or((how, ""));
        let far = Relay::to(upstream(echo), &["--listen-compress", format]);
        let near = Relay::to(address(&far), &["--compress", how]);
        // A question and an answer: nothing waits for more.
        let mut talk = near.connect();
        for _ in 0..3 {
            crate::rig::round_trip(&mut talk);
        }
        drop(talk);
        near.line("finished");
        far.line("finished");
        there_and_back(near.connect(), &text(600_000));
        let line = near.line("in=600000 out=600000");
        let (_, told) = line
            .split_once(&format!("upstream[{how} sent=600000/"))
            .unwrap();
        let packed: u64 = told.split_once(' ').unwrap().0.parse().unwrap();
        assert!(packed < 250_000, "{line}");
        assert!(line.contains(":1) received=600000/"), "{line}");
        assert!(line.ends_with("finished"), "{line}");
        let line = far.line("in=600000 out=600000");
        assert!(
            line.contains(&format!("client[{format} sent=600000/")),
            "{line}"
        );
        assert!(
            line.contains(&format!(" received=600000/{packed} ")),
            "{line}"
        );
    }
}

fn compression_and_tls_go_together() {
    let files = Files::at(temporary("compress-tls"));
    let (own, key, ca) = (
        files.name("server.pem"),
        files.name("server.key"),
        files.name("ca.pem"),
    );
    let far = [
        "--listen-tls",
        &own,
        &key,
        "--listen-compress",
        "zstd",
        "--log-format",
        "json",
    ];
    let far = {
        let to = upstream(echo).to_string();
        let mut relay = Relay::launch(
            crate::rig::command(&["env"])
                .args(["127.0.0.1:0", &to])
                .args(far),
        );
        let said = relay.line("\"started\"");
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["listen_compression"], "zstd");
        assert_eq!(said["upstream_compression"], serde_json::Value::Null);
        said["listen"][0]
            .as_str()
            .unwrap()
            .clone_into(&mut relay.address);
        relay
    };
    let near = [
        "--compress",
        "zstd:19",
        "--connect-tls",
        "localhost",
        "--connect-ca",
        &ca,
    ];
    let near = Relay::to(address(&far), &near);
    there_and_back(near.connect(), &text(300_000));
    let line = near.line("in=300000 out=300000");
    assert!(line.contains("upstream[TLSv1.3 "), "{line}");
    assert!(line.contains("upstream[zstd:19 sent=300000/"), "{line}");
    let line = far.line("\"connection\"");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["reason"], "finished");
    assert_eq!(line["client_compression"]["method"], "zstd");
    assert_eq!(line["client_compression"]["received"], 300_000);
    assert!(line["client_compression"]["sent_packed"].as_u64().unwrap() < 100_000);
    assert_eq!(line["upstream_compression"], serde_json::Value::Null);
    assert_eq!(line["client_tls"]["version"], "TLSv1.3");
}

/// An upstream that tells what it got, and answers with it.
fn collecting() -> (SocketAddr, Receiver<Vec<u8>>) {
    let (send, got) = channel();
    let address = upstream(move |mut stream| {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(Shutdown::Both);
        let _ = send.send(bytes);
    });
    (address, got)
}

fn other_programs_speak_it_too() {
    for (format, program) in [("zstd", "zstd"), ("lz4", "lz4"), ("gzip", "gzip")] {
        let (to, got) = collecting();
        let relay = Relay::to(to, &["--listen-compress", format]);
        let sent = text(200_000);
        let packed = through(program, "-c", &sent);
        let mut stream = relay.connect();
        let mut back = Vec::new();
        stream.write_all(&packed).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        stream.read_to_end(&mut back).unwrap();
        assert!(got.recv().unwrap() == sent, "{program}");
        assert!(through(program, "-dc", &back) == sent, "{program}");
    }
}

fn through(program: &str, how: &str, bytes: &[u8]) -> Vec<u8> {
    let mut child = peer(program, program)
        .arg(how)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(bytes).unwrap());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{program}");
        output.stdout
    })
}

fn what_is_no_compression_is_told_with_a_remedy() {
    let relay = Relay::to(upstream(echo), &["--listen-compress", "zstd"]);
    let send = |bytes: &[u8]| {
        let mut stream = relay.connect();
        let own = stream.local_addr().unwrap();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
        relay.line(&format!("{own} -> "))
    };
    let line = send(b"GET / HTTP/1.0\r\n\r\n");
    assert!(line.contains("client: failed to decode what the peer sent: this is no zstd; clients of this address must compress"), "{line}");
    let mut damaged = through("zstd", "-c", &text(100_000));
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xFF;
    let line = send(&damaged);
    assert!(
        line.contains("client: failed to decode what the peer sent: the zstd data is damaged"),
        "{line}"
    );
    assert!(line.contains("TLS tells of that first"), "{line}");
    let whole = through("zstd", "-c", &text(100_000));
    let line = send(&whole[..whole.len() - 1]);
    assert!(
        line.contains("ended the connection within zstd data"),
        "{line}"
    );
    // It is not passed on as if it were all.
    let refused = through("zstd", "-c", b"good");
    let line = send(&refused);
    assert!(line.ends_with("finished"), "{line}");
    // An upstream that does not compress.
    let near = Relay::to(upstream(echo_plain), &["--compress", "lz4"]);
    let mut stream = near.connect();
    stream.write_all(b"x").unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    let line = near.line("upstream: ");
    assert!(line.contains("this is no lz4; does it compress?"), "{line}");
}

fn echo_plain(mut stream: TcpStream) {
    let _ = stream.write_all(b"220 hello\r\n");
    let _ = stream.read_to_end(&mut Vec::new());
}

/// A gigabyte out of 32 KiB: blocks of 128 KiB of one byte, RFC 8878 section
/// 3.1.1.2. The upstream gets what is allowed, and the connection ends.
fn a_bomb_is_cut_off() {
    let mut bomb = vec![0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x38];
    bomb.extend([0x02, 0x00, 0x10, b'0'].repeat(9_000));
    let upstream = upstream(|mut stream| {
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let relay = Relay::to(upstream, &["--listen-compress", "zstd"]);
    let mut stream = relay.connect();
    stream.write_all(&bomb).unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    let line = relay.line("a decompression bomb");
    assert!(
        line.contains("client: failed to decode what the peer sent: a decompression bomb: "),
        "{line}"
    );
    assert!(line.contains("--max-expansion allows more"), "{line}");
}

#[test]
fn compression_is_refused_and_explained_in_words() {
    for (more, words) in [
        (
            &["--compress", "rar"][..],
            "there is no compression \"rar\" here: zstd, lz4, deflate",
        ),
        (
            &["--listen-compress", "zstd:23"],
            "zstd has no level 23: they go from -7 to 22",
        ),
        (
            &["--compress", "lz4", "--max-expansion", "0"],
            "write a number from 1 on",
        ),
        (&["--max-expansion", "10"], "--compress"),
    ] {
        let output = ferrevent(&[&["relay", "127.0.0.1:0", "127.0.0.1:9"][..], more].concat());
        assert_eq!(output.status.code(), Some(2), "{more:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(words), "{more:?}: {said}");
    }
    let to = upstream(echo).to_string();
    let arguments = [
        "relay",
        "--check",
        "127.0.0.1:0",
        &to,
        "--compress",
        "zstd:9",
        "--listen-compress",
        "gzip",
    ];
    let output = ferrevent(&arguments);
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stdout).unwrap();
    for words in [
        "clients must compress by gzip, as a relay with --compress gzip does",
        "compressed by zstd:9, and it must compress by zstd, as a relay with --listen-compress zstd does",
        &format!("with gzip to {to} with zstd:9"),
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}
