//! Certificates are renewed while the relay runs.

use std::fs;
use std::io::{Read, Write};

use super::{files, pair, run, secure, text, towards};
use crate::certificates::{Authority, authority};
use crate::peers::Files;
use crate::rig::{Relay, echo, on_loop_and_pool, peer, round_trip, upstream};

on_loop_and_pool! {
    sighup_reads_certificates_anew_and_drops_nothing
    what_cannot_be_used_is_logged_and_the_old_stays
    the_side_towards_the_upstream_is_renewed_too
}

/// The certificate that a new connection is shown.
fn shown(files: &Files, relay: &Relay) -> String {
    let mut openssl = peer("openssl", "openssl");
    openssl.args(["s_client", "-connect", &relay.address]);
    let output = text(&run(&mut openssl, b"Q\n"));
    let _ = files;
    let subject = output.lines().find(|line| line.starts_with("subject="));
    subject.unwrap_or_else(|| panic!("{output}")).to_owned()
}

fn sighup_reads_certificates_anew_and_drops_nothing() {
    let files = files("renewed");
    let log = files.name("log");
    for more in [&[][..], &["--log", &log]] {
        files.add("server", authority().server_pem("localhost"));
        let relay = secure(&files, "server", upstream(echo), more);
        let mut before = authority().blocking_client(relay.connect());
        before.write_all(b"x").unwrap();
        before.read_exact(&mut [0]).unwrap();
        assert_eq!(shown(&files, &relay), "subject=CN = localhost");
        files.add("server", authority().server_pem("renewed.test"));
        assert_eq!(shown(&files, &relay), "subject=CN = localhost");
        relay.signal("-HUP");
        said(&relay, more, "certificates and keys were read anew");
        assert_eq!(shown(&files, &relay), "subject=CN = renewed.test");
        before.write_all(b"y").unwrap();
        before.read_exact(&mut [0]).unwrap();
    }
}

/// Waits for a line, be it in the file.
fn said(relay: &Relay, more: &[&str], wanted: &str) {
    let [_, log] = more else {
        relay.line(wanted);
        return;
    };
    let end = std::time::Instant::now() + crate::rig::PATIENCE;
    while !fs::read_to_string(log).unwrap().contains(wanted) {
        assert!(std::time::Instant::now() < end, "no line with \"{wanted}\"");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn what_cannot_be_used_is_logged_and_the_old_stays() {
    let files = files("broken");
    let (certificate, key) = pair(&files, "server");
    let good = fs::read(&key).unwrap();
    let relay = secure(&files, "server", upstream(echo), &[]);
    // Half a file, another's key, no file at all.
    for step in 0..3 {
        let wanted = match step {
            0 => {
                fs::write(&key, &good[..good.len() / 2]).unwrap();
                "holds no usable private key"
            }
            1 => {
                fs::copy(files.name("client.key"), &key).unwrap();
                "does not belong to the certificate"
            }
            _ => {
                fs::remove_file(&certificate).unwrap();
                "No such file"
            }
        };
        relay.signal("-HUP");
        let line = relay.line("the certificates stay as they were");
        assert!(line.contains(wanted), "{line}");
        assert!(line.ends_with("mend that and send SIGHUP again"), "{line}");
        assert_eq!(shown(&files, &relay), "subject=CN = localhost");
    }
    files.add("server", authority().server_pem("mended.test"));
    relay.signal("-HUP");
    relay.line("were read anew");
    assert_eq!(shown(&files, &relay), "subject=CN = mended.test");
}

fn the_side_towards_the_upstream_is_renewed_too() {
    let files = files("renewed-roots");
    let new = Authority::new();
    files.add("new", new.server_pem("localhost"));
    let old_server = secure(&files, "server", upstream(echo), &[]);
    let relay = towards(&files, &old_server.address, &["--connect-tls", "localhost"]);
    let mut before = relay.connect();
    round_trip(&mut before);
    fs::write(files.path("ca.pem"), new.pem()).unwrap();
    relay.signal("-HUP");
    relay.line("were read anew");
    // The old root is trusted no more; the connection that stands goes on.
    drop(relay.connect());
    relay.line("from no root that is trusted here");
    round_trip(&mut before);
}
