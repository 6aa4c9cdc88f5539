//! How much a relay takes: the cap, the limit of open files, shared ports.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::rig::{Relay, command, echo, on_loop_and_pool, round_trip, upstream};

on_loop_and_pool! {
    at_the_cap_others_wait_until_one_ends
    never_are_there_more_than_the_cap
    the_limit_of_open_files_suffices_as_said
    a_cap_that_cannot_be_reached_is_told
    a_relay_at_its_cap_drains
    two_relays_share_a_port
}

fn at_the_cap_others_wait_until_one_ends() {
    let relay = Relay::to(upstream(echo), &["--max-connections", "2"]);
    let mut first = relay.connect();
    let mut second = relay.connect();
    round_trip(&mut first);
    round_trip(&mut second);
    relay.line("at the cap of 2 connections");
    // The kernel takes it and its byte, the relay does not.
    let mut third = relay.connect();
    third.write_all(b"x").unwrap();
    third
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let waits = third.read(&mut [0]).unwrap_err();
    assert_eq!(waits.kind(), ErrorKind::WouldBlock);
    drop(first);
    third.set_read_timeout(Some(crate::rig::PATIENCE)).unwrap();
    third.read_exact(&mut [0]).unwrap();
    round_trip(&mut second);
    // Reached again, told again; then nobody else comes, and nothing is told.
    relay.line("at the cap of 2 connections");
    let rest = relay.end_at_once();
    assert!(!rest.iter().any(|line| line.contains("at the cap")));
}

fn never_are_there_more_than_the_cap() {
    const CAP: usize = 3;
    let relay = Relay::to(upstream(echo), &["--max-connections", &CAP.to_string()]);
    let served = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..40)
        .map(|_| {
            let (mut stream, served) = (relay.connect(), Arc::clone(&served));
            thread::spawn(move || {
                round_trip(&mut stream);
                let at_once = served.fetch_add(1, Ordering::SeqCst) + 1;
                thread::sleep(Duration::from_millis(2));
                // Counted out before the relay can hear of its end.
                served.fetch_sub(1, Ordering::SeqCst);
                drop(stream);
                at_once
            })
        })
        .collect();
    let most = clients
        .into_iter()
        .map(|client| client.join().unwrap())
        .max();
    assert!(most <= Some(CAP), "{most:?} at once");
}

/// Needs 2 * 50 + 32 descriptors by its own account.
const FIFTY: [&str; 2] = ["--max-connections", "50"];

fn limited(limits: &str) -> std::process::Command {
    command(&["sh", "-c", &format!("ulimit {limits}; exec \"$0\" \"$@\"")])
}

fn the_limit_of_open_files_suffices_as_said() {
    let to = upstream(echo).to_string();
    // The soft limit is raised, the hard one is just enough.
    for limits in ["-n 132", "-Sn 30; ulimit -Hn 132"] {
        let relay = Relay::spawn(limited(limits).args(["127.0.0.1:0", &to]).args(FIFTY));
        let mut all: Vec<TcpStream> = (0..50).map(|_| relay.connect()).collect();
        let _waits = relay.connect();
        all.iter_mut().for_each(round_trip);
        relay.line("at the cap of 50 connections");
        let rest = relay.end_at_once();
        assert!(!rest.iter().any(|line| line.contains("cannot")), "{rest:?}");
    }
}

fn a_cap_that_cannot_be_reached_is_told() {
    let to = upstream(echo).to_string();
    let relay = Relay::launch(limited("-n 131").args(["127.0.0.1:0", &to]).args(FIFTY));
    let told = relay.line("--max-connections 50");
    assert!(told.contains("needs 132 open files"), "{told}");
    assert!(told.contains("lower the cap to 49"), "{told}");
    // It relays all the same.
    relay.line("relaying ");
}

fn a_relay_at_its_cap_drains() {
    let mut relay = Relay::to(upstream(echo), &["--max-connections", "1"]);
    let mut only = relay.connect();
    round_trip(&mut only);
    let mut waits = relay.connect();
    relay.signal("-TERM");
    relay.line("draining 1 connections");
    round_trip(&mut only);
    // It was never taken: the kernel lets it go with the listener.
    let _ = waits.read(&mut [0]);
    drop(only);
    assert_eq!(relay.ended(), 0);
}

fn two_relays_share_a_port() {
    let to = upstream(echo).to_string();
    let one = Relay::start(&["127.0.0.1:0", &to, "--reuse-port"]);
    let other = Relay::start(&[&one.address, &to, "--reuse-port"]);
    assert_eq!(one.address, other.address);
    // The kernel deals them out: that all of 64 go to one is as likely as
    // 64 heads in a row.
    for _ in 0..64 {
        round_trip(&mut one.connect());
    }
    one.line("in=1 out=1");
    other.line("in=1 out=1");
    // Without the option a third one is refused, and told why.
    let refused = Relay::launch(command(&[]).args([&one.address, &to]));
    let message = refused.line("cannot listen");
    assert!(message.contains("--reuse-port"), "{message}");
}
