//! TLS with other implementations: OpenSSL's own commands, curl, socat and
//! stunnel, as servers and as clients.

#![cfg(all(feature = "tls", unix))]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "common/certificates.rs"]
mod certificates;
mod common;
#[path = "common/peers.rs"]
mod peers;

use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use certificates::authority;
use common::{Recorder, Shared, until};
use ferrevent::tls::{Client, ClientCertificates, Server};
use ferrevent::{Address, Builder, CloseReason, EventLoop, Handler, Stream, StreamConfig};
use peers::{Files, free_port, s_server, start, wait_for};

/// Runs a program to its end on another thread, while the loop turns.
fn run(events: &mut EventLoop, program: &str, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
        // Some programs end at the end of their input, before the answer.
        std::thread::sleep(Duration::from_millis(300));
    });
    let waiter = std::thread::spawn(move || child.wait_with_output().unwrap());
    until(events, program, || waiter.is_finished());
    writer.join().unwrap();
    waiter.join().unwrap()
}

fn server() -> ferrevent::tls::ServerBuilder {
    Server::builder().certificates(authority().server("localhost"))
}

fn listen<H: Handler + 'static>(
    events: &mut EventLoop,
    server: &Server,
    factory: impl FnMut() -> H + 'static,
) -> u16 {
    let any = "127.0.0.1:0".parse().unwrap();
    let listener = events.local().listen_tls(&any, server, factory).unwrap();
    events.context().listener_addr(listener).unwrap().port()
}

fn connect(events: &mut EventLoop, port: u16, client: &Client, handler: Recorder) {
    let to = Address::Socket(([127, 0, 0, 1], port).into());
    events
        .context()
        .connect_tls_with(
            &to,
            None,
            StreamConfig::DEFAULT,
            client,
            "localhost",
            handler,
        )
        .unwrap();
}

fn client() -> ferrevent::tls::ClientBuilder {
    Client::builder().roots(authority().roots())
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Answers one HTTP request with what was agreed on.
struct Hello;

impl Handler for Hello {
    fn readable(&mut self, stream: &mut Stream<'_>) {
        let len = stream.input().len();
        let request = stream.input().copy_out(&mut vec![0; len]).unwrap();
        assert!(request > 0);
        let tls = stream.tls().unwrap();
        let body = format!(
            "{tls} alpn={} certificates={} resumed={}\n",
            String::from_utf8_lossy(tls.alpn().unwrap_or(b"none")),
            tls.peer_certificates().len(),
            tls.is_resumed(),
        );
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write((head + &body).as_bytes()).unwrap();
        stream.finish();
    }
}

#[test]
fn openssl_s_client_talks_to_a_server() {
    let files = Files::new("s-client");
    let mut events = Builder::new().build().unwrap();
    let server = server().build().unwrap();
    let port = listen(&mut events, &server, || {
        |stream: &mut Stream<'_>| stream.echo()
    });
    for version in ["-tls1_2", "-tls1_3"] {
        let to = format!("127.0.0.1:{port}");
        let ca = files.name("ca.pem");
        let arguments = [
            "s_client",
            "-connect",
            &to,
            "-CAfile",
            &ca,
            "-servername",
            "localhost",
            "-verify_return_error",
            "-verify_hostname",
            "localhost",
            "-quiet",
            "-no_ign_eof",
            version,
        ];
        let output = run(&mut events, "openssl", &arguments, b"there and back\n");
        let text = text(&output);
        assert!(text.contains("there and back"), "{text}");
    }
    // What is too old, or renegotiates, is refused; the server goes on.
    let to = format!("127.0.0.1:{port}");
    let old = [
        "s_client",
        "-connect",
        &to,
        "-tls1_1",
        "-cipher",
        "ALL:@SECLEVEL=0",
    ];
    let output = run(&mut events, "openssl", &old, b"Q\n");
    assert!(!output.status.success(), "{}", text(&output));
    let renegotiating = ["s_client", "-connect", &to, "-tls1_2"];
    let output = run(&mut events, "openssl", &renegotiating, b"R\n");
    let text = text(&output);
    assert!(
        text.contains("RENEGOTIATING") && text.contains("no renegotiation"),
        "{text}"
    );
}

#[test]
fn openssl_s_server_talks_to_a_client() {
    let files = Files::new("s-server");
    let mut events = Builder::new().build().unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        let (_server, port) = s_server(&files, version);
        let own = authority().client("me");
        let client = client().certificates(own).alpn(["echo"]).build().unwrap();
        let (recorder, record) = Recorder::with(|stream, what| {
            if what == "opened" {
                let tls = stream.tls().unwrap();
                assert_eq!(tls.alpn(), Some(&b"echo"[..]));
                assert_eq!(tls.own_certificates().len(), 1);
                stream.write(b"drawer\n").unwrap();
            } else if what == "readable" {
                stream.finish();
            }
        });
        connect(&mut events, port, &client, recorder);
        until(&mut events, "the close", || record.see().reason.is_some());
        assert_eq!(record.see().bytes, b"reward\n", "{:?}", record.see());
    }
}

#[test]
fn curl_shows_its_certificate_agrees_on_a_protocol_and_resumes() {
    let files = Files::new("curl");
    let mut events = Builder::new().build().unwrap();
    let server = server()
        .clients(ClientCertificates::Required(authority().roots()))
        .alpn(["http/1.1"])
        .build()
        .unwrap();
    let port = listen(&mut events, &server, || Hello);
    let url = format!("https://localhost:{port}/");
    let resolve = format!("localhost:{port}:127.0.0.1");
    let (ca, own, key) = (
        files.name("ca.pem"),
        files.name("client.pem"),
        files.name("client.key"),
    );
    let known = [
        "-sS",
        "--resolve",
        &resolve,
        "--cacert",
        &ca,
        "--cert",
        &own,
        "--key",
        &key,
        &url,
        &url,
    ];
    let output = run(&mut events, "curl", &known, b"");
    let text_of = text(&output);
    let lines: Vec<&str> = text_of.lines().collect();
    assert_eq!(lines.len(), 2, "{text_of}");
    // curl sends the authority's certificate with its own.
    assert_eq!(
        lines[0].split(' ').skip(2).collect::<Vec<_>>(),
        ["alpn=http/1.1", "certificates=2", "resumed=false"]
    );
    assert!(lines[0].starts_with("TLSv1.3 "), "{text_of}");
    assert!(
        lines[1].ends_with("certificates=2 resumed=true"),
        "{text_of}"
    );
    let unknown = ["-sS", "--resolve", &resolve, "--cacert", &ca, &url];
    let output = run(&mut events, "curl", &unknown, b"");
    assert!(
        !output.status.success() && output.stdout.is_empty(),
        "{}",
        text(&output)
    );
}

#[test]
fn socat_ends_each_way() {
    let files = Files::new("socat");
    let mut events = Builder::new().build().unwrap();
    let server = server().build().unwrap();
    let port = listen(&mut events, &server, || {
        |stream: &mut Stream<'_>| stream.echo()
    });
    let to = format!(
        "OPENSSL:127.0.0.1:{port},cafile={},commonname=localhost",
        files.name("ca.pem")
    );
    let output = run(&mut events, "socat", &["-t5", "-", &to], b"by way of socat");
    assert_eq!(output.stdout, b"by way of socat", "{}", text(&output));

    let port = free_port();
    let from = format!(
        "OPENSSL-LISTEN:{port},reuseaddr,fork,cert={},verify=0",
        files.name("server.both")
    );
    let _server = start("socat", &[&from, "EXEC:cat"]);
    wait_for(port);
    let record = say(&mut events, port, &client().build().unwrap(), b"and back");
    assert_eq!(record.see().bytes, b"and back", "{:?}", record.see());
}

/// Says something, and finishes once all of it is back.
fn say(events: &mut EventLoop, port: u16, client: &Client, what: &'static [u8]) -> Shared {
    let (recorder, record) = Recorder::with(move |stream, told| {
        if told == "opened" {
            stream.write(what).unwrap();
        } else if told == "readable" && stream.received_bytes() >= what.len() as u64 {
            stream.finish();
        }
    });
    connect(events, port, client, recorder);
    until(events, "the close", || record.see().reason.is_some());
    let clean = record
        .see()
        .reason
        .as_ref()
        .is_some_and(CloseReason::is_clean);
    assert!(clean, "{:?}", record.see());
    record
}

#[test]
fn stunnel_stands_on_either_side() {
    let files = Files::new("stunnel");
    let mut events = Builder::new().build().unwrap();
    // Its client before our server.
    let server = server().build().unwrap();
    let ours = listen(&mut events, &server, || {
        |stream: &mut Stream<'_>| stream.echo()
    });
    let port = free_port();
    let config = format!(
        "foreground = yes\npid =\n[one]\nclient = yes\naccept = 127.0.0.1:{port}\n\
         connect = 127.0.0.1:{ours}\nCAfile = {}\nverifyChain = yes\ncheckHost = localhost\n",
        files.name("ca.pem")
    );
    fs::write(files.path("client.conf"), config).unwrap();
    let _client = start("stunnel", &[&files.name("client.conf")]);
    wait_for(port);
    let mut plain = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let talk = std::thread::spawn(move || {
        plain.write_all(b"through a tunnel").unwrap();
        plain.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        plain.read_to_end(&mut answer).unwrap();
        answer
    });
    until(&mut events, "the answer", || talk.is_finished());
    assert_eq!(talk.join().unwrap(), b"through a tunnel");

    // Our client before its server.
    let echo = events
        .listen("127.0.0.1:0".parse().unwrap(), || {
            |stream: &mut Stream<'_>| stream.echo()
        })
        .unwrap();
    let echo = events.context().listener_addr(echo).unwrap().port();
    let port = free_port();
    let config = format!(
        "foreground = yes\npid =\n[two]\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{echo}\n\
         cert = {}\nkey = {}\n",
        files.name("server.pem"),
        files.name("server.key"),
    );
    fs::write(files.path("server.conf"), config).unwrap();
    let _server = start("stunnel", &[&files.name("server.conf")]);
    wait_for(port);
    let record = say(
        &mut events,
        port,
        &client().build().unwrap(),
        b"and out again",
    );
    assert_eq!(record.see().bytes, b"and out again");
}

#[test]
fn openssl_exports_the_same_keying_material() {
    let files = Files::new("export");
    let mut events = Builder::new().build().unwrap();
    let server = server().build().unwrap();
    let port = listen(&mut events, &server, || {
        Recorder::with(|stream, what| {
            if what == "opened" {
                let mut key = [0; 40];
                let session = stream.tls().unwrap();
                session
                    .export_keying_material(b"EXPERIMENTAL test", None, &mut key)
                    .unwrap();
                let hex: String = key.iter().map(|byte| format!("{byte:02X}")).collect();
                stream.write(format!("ours: {hex}\n").as_bytes()).unwrap();
                stream.finish();
            }
        })
        .0
    });
    for version in ["-tls1_2", "-tls1_3"] {
        let to = format!("127.0.0.1:{port}");
        let ca = files.name("ca.pem");
        let arguments = [
            "s_client",
            "-connect",
            &to,
            "-CAfile",
            &ca,
            "-keymatexport",
            "EXPERIMENTAL test",
            "-keymatexportlen",
            "40",
            version,
        ];
        let output = run(&mut events, "openssl", &arguments, b"");
        let text = text(&output);
        let after = |what: &str| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix(what));
            line.unwrap_or_else(|| panic!("no `{what}`: {text}"))
                .trim()
                .to_owned()
        };
        assert_eq!(after("ours:"), after("Keying material:"));
        assert_eq!(after("ours:").len(), 80);
    }
}
