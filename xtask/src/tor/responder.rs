//! Both ends of a link: C tor's client, and our own, on our responder.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use super::demonstrations::{PATIENCE, PROGRAM};
use crate::running::{Running, free_port, read, until};
use crate::tornet::Network;

/// So many bytes our responder's page has at least.
const PAGE: f64 = 1e6;

pub(super) fn show(network: &Network, backend: &str) -> Result<(), String> {
    eprintln!("== {backend}: a real relay, step by step");
    let relay = network.relays().last().ok_or("there is no relay")?;
    let relay = format!("127.0.0.1:{}", relay.or_port);
    eprint!("{}", link(backend, &relay, &[])?);

    eprintln!("== {backend}: our responder, with our own initiator");
    let port = free_port()?;
    let address = format!("127.0.0.1:{port}");
    let log = network.folder().join("respond.log");
    let out = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    let child = Command::new(PROGRAM)
        .args(["respond", "--backend", backend, "--listen", &address])
        .args(["--relayed-rate", "2MB/s"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(out)
        .spawn();
    let _responder = Running(child.map_err(|error| format!("{PROGRAM}: {error}"))?);
    until("the responder", PATIENCE, || said(&log, "links on"))?;
    let fingerprint = read(&log)?;
    let fingerprint = fingerprint.split('$').nth(1).unwrap_or_default();
    let fingerprint = fingerprint.get(..40).ok_or("it tells no fingerprint")?;
    link(backend, &address, &["--fingerprint", fingerprint])?;
    // The links it accepted are those in the group inside.
    until("the bytes of the link", PATIENCE, || {
        read(&log).is_ok_and(|text| text.lines().any(|line| sent(line) > PAGE))
    })?;
    let wrong = "0".repeat(40);
    let refused = link(backend, &address, &["--fingerprint", &wrong]);
    match refused {
        Err(why) if why.contains("is not who it should be") => {}
        other => return Err(format!("a wrong fingerprint: {other:?}")),
    }

    eprintln!("== {backend}: our responder, with C tor's client");
    let links = lines(&log, ": a client, version")?;
    // Our responder is its only bridge.
    let client = network.client(
        "bridged",
        &format!(
            "SocksPort 0\nUseBridges 1\nClientRejectInternalAddresses 0\n\
             UpdateBridgesFromAuthority 0\nBridge {address} {fingerprint}\n"
        ),
    )?;
    until("C tor's client", PATIENCE, || {
        let log = client.log();
        log.contains("(conn_done)") && log.contains("(onehop_create)")
    })?;
    if lines(&log, ": a client, version")? == links {
        return Err("C tor's client has no link".into());
    }
    let log = client.log();
    for line in log.lines().filter(|it| it.contains("Bootstrapped")) {
        eprintln!(
            "   {}",
            line.split(' ').skip(3).collect::<Vec<_>>().join(" ")
        );
    }
    Ok(())
}

/// One link by the program; what it says, or why it failed.
fn link(backend: &str, to: &str, more: &[&str]) -> Result<String, String> {
    let output = Command::new(PROGRAM)
        .args(["link", "--backend", backend, "--log", "error", to])
        .args(more)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{PROGRAM}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        Ok(text)
    } else {
        Err(text)
    }
}

/// The bytes of "...: gone; links have received 1.2 kB and sent 1.1 MB".
fn sent(line: &str) -> f64 {
    let amount = line.rsplit(" and sent ").next().unwrap_or_default();
    let Some((number, unit)) = amount.split_once(' ') else {
        return 0.0;
    };
    let one = match unit.trim() {
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        _ => 1.0,
    };
    number.parse::<f64>().unwrap_or(0.0) * one
}

fn said(log: &Path, words: &str) -> bool {
    fs::read_to_string(log).is_ok_and(|text| text.contains(words))
}

fn lines(log: &Path, words: &str) -> Result<usize, String> {
    Ok(read(log)?
        .lines()
        .filter(|line| line.contains(words))
        .count())
}
