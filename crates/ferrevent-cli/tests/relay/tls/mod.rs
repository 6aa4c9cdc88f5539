//! TLS on either side of the relay.

mod bad;
mod bulk;
mod check;
mod options;
mod peers;
mod reload;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::peers::Files;
use crate::rig::{Relay, command, peer, temporary};

/// PEM files of one test, on these workers.
pub(crate) fn files(name: &str) -> Files {
    Files::at(temporary(name))
}

/// A relay before this upstream that speaks TLS with clients, by the
/// certificate of this name.
fn secure(files: &Files, own: &str, to: SocketAddr, more: &[&str]) -> Relay {
    let (certificate, key) = pair(files, own);
    let tls = ["--listen-tls", &certificate, &key];
    Relay::to(to, &[&tls, more].concat())
}

/// A relay that speaks TLS with this upstream, and knows the authority.
fn towards(files: &Files, to: &str, more: &[&str]) -> Relay {
    let ca = files.name("ca.pem");
    let tls = ["127.0.0.1:0", to, "--connect-ca", &ca];
    Relay::spawn(command(&[]).args(tls).args(more))
}

fn pair(files: &Files, name: &str) -> (String, String) {
    (
        files.name(&format!("{name}.pem")),
        files.name(&format!("{name}.key")),
    )
}

fn port(relay: &Relay) -> &str {
    relay.address.rsplit_once(':').unwrap().1
}

/// Says something over a plain connection, and ends: what comes back.
fn say(stream: &mut TcpStream, what: &[u8]) -> Vec<u8> {
    stream.write_all(what).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    back
}

/// Runs a program with this input to its end.
fn run(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Its end is the program's, if that ends by itself.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// curl, for a relay that is reached as localhost.
fn curl(files: &Files, relay: &Relay, more: &[&str]) -> Output {
    let port = port(relay);
    peer("curl", "curl")
        .args(["-sS", "--max-time", "30", "--cacert", &files.name("ca.pem")])
        .args(["--resolve", &format!("localhost:{port}:127.0.0.1")])
        .args(more)
        .arg(format!("https://localhost:{port}/"))
        .output()
        .unwrap()
}

/// Answers one HTTP request.
fn http(mut stream: TcpStream) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        if !matches!(stream.read(&mut byte), Ok(1)) {
            return;
        }
        request.extend(byte);
    }
    let _ = stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n");
}

/// The next connection that ended, of a relay with a JSON log.
fn ended(relay: &Relay) -> Value {
    let line = relay.line("\"connection\"");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
}
