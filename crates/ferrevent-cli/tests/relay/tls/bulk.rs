//! Many bytes and many connections over TLS: nothing is lost, and nothing
//! grows.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::{files, secure, towards};
use crate::certificates::authority;
use crate::peers::Files;
use crate::rig::{Relay, echo, on_loop_and_pool, upstream};

on_loop_and_pool! {
    bytes_go_both_ways_through_two_relays
    a_slow_reader_holds_no_more_than_its_share
    nothing_is_refused_while_certificates_are_renewed
    a_client_in_its_handshake_is_waited_for_when_draining
}

/// Two relays with TLS between them; the second one has this upstream.
fn tunnel(files: &Files, to: SocketAddr) -> (Relay, Relay) {
    let far = secure(files, "server", to, &[]);
    let near = towards(files, &far.address, &["--connect-tls", "localhost"]);
    (near, far)
}

fn bytes_go_both_ways_through_two_relays() {
    const LEN: usize = 1_000_000;
    let files = files("bulk");
    let (near, far) = tunnel(&files, upstream(echo));
    let mut stream = near.connect();
    let sent: Vec<u8> = (0..LEN).map(|n| ((n * 7) >> 3) as u8).collect();
    let mut writing = stream.try_clone().unwrap();
    let bytes = sent.clone();
    let writer = thread::spawn(move || {
        writing.write_all(&bytes).unwrap();
        writing.shutdown(Shutdown::Write).unwrap();
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    writer.join().unwrap();
    assert!(back == sent, "{} of {LEN} bytes", back.len());
    for relay in [near, far] {
        let line = relay.line(&format!("in={LEN} out={LEN}"));
        assert!(line.ends_with(" finished"), "{line}");
    }
}

fn a_slow_reader_holds_no_more_than_its_share() {
    const LEN: usize = 8_000_000;
    let files = files("slow");
    let source = upstream(|mut stream| {
        let bytes: Vec<u8> = (0..LEN).map(|n| (n / 3) as u8).collect();
        let _ = stream.write_all(&bytes);
    });
    let (near, far) = tunnel(&files, source);
    let mut slow = near.connect();
    thread::sleep(Duration::from_millis(300));
    for relay in [&near, &far] {
        let held = memory(relay);
        assert!(held < 12 * 1024, "{held} KiB held for one slow reader");
    }
    let mut all = Vec::new();
    slow.read_to_end(&mut all).unwrap();
    let right = |(n, byte): (usize, &u8)| *byte == (n / 3) as u8;
    assert!(all.len() == LEN && all.iter().enumerate().all(right));
}

/// KiB of its own.
fn memory(relay: &Relay) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", relay.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon"));
    line.unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

fn nothing_is_refused_while_certificates_are_renewed() {
    let files = files("renewing");
    let relay = secure(&files, "server", upstream(echo), &[]);
    let over = AtomicBool::new(false);
    let served = AtomicUsize::new(0);
    let address = &relay.address;
    thread::scope(|scope| {
        // However this ends, the threads do too.
        let end = OnDrop(&over);
        for _ in 0..2 {
            scope.spawn(|| {
                let end = OnDrop(&over);
                while !over.load(Ordering::Relaxed) {
                    let socket = TcpStream::connect(address).unwrap();
                    let mut stream = authority().blocking_client(socket);
                    stream.write_all(b"x").unwrap();
                    stream.read_exact(&mut [0]).unwrap();
                    served.fetch_add(1, Ordering::Relaxed);
                }
                drop(end);
            });
        }
        for _ in 0..10 {
            let before = served.load(Ordering::Relaxed);
            files.add("server", authority().server_pem("localhost"));
            relay.signal("-HUP");
            relay.line("certificates and keys were read anew");
            while served.load(Ordering::Relaxed) < before + 4 {
                assert!(!over.load(Ordering::Relaxed), "a client was refused");
                thread::sleep(Duration::from_millis(1));
            }
        }
        drop(end);
    });
}

/// Sets it when it goes.
struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn a_client_in_its_handshake_is_waited_for_when_draining() {
    let files = files("draining");
    let mut relay = secure(&files, "server", upstream(echo), &[]);
    let slow = relay.connect();
    // The relay has it once another one behind it is served.
    let mut other = authority().blocking_client(relay.connect());
    other.write_all(b"x").unwrap();
    other.read_exact(&mut [0]).unwrap();
    relay.signal("-TERM");
    relay.line("draining 2 connections");
    drop(other);
    let mut slow = authority().blocking_client(slow);
    slow.write_all(b"late").unwrap();
    slow.read_exact(&mut [0; 4]).unwrap();
    slow.conn.send_close_notify();
    slow.flush().unwrap();
    drop(slow);
    assert_eq!(relay.ended(), 0);
}
