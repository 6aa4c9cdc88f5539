//! Bad input: each kind ends its own connection, with a line that says what
//! happened, to whom, and what to do. The others go on.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use serde_json::Value;

use super::{ended, files, http, pair, run, secure, text, towards};
use crate::certificates::{Authority, authority};
use crate::peers::Files;
use crate::rig::{PATIENCE, Relay, echo, on_loop_and_pool, peer, round_trip, upstream};

on_loop_and_pool! {
    garbage_is_no_handshake
    records_that_are_too_long_or_broken
    a_handshake_that_is_cut_short
    a_client_that_stops_in_the_handshake
    a_client_that_goes_without_goodbye
    a_record_that_is_cut_short
    renegotiation_is_refused
    clients_with_certificates_that_do_not_hold
    a_client_that_does_not_trust_the_relay
    nothing_in_common
    upstreams_with_certificates_that_do_not_hold
    an_upstream_that_speaks_no_tls
    an_upstream_that_stops_in_the_handshake
    an_upstream_that_wants_a_certificate
    an_upstream_that_goes_without_goodbye
}

const JSON: [&str; 2] = ["--log-format", "json"];

/// A relay before an echo with a connection over it, which must live on.
struct Scene {
    relay: Relay,
    calm: Calm,
}

type Calm =
    ferrevent::tls::rustls::StreamOwned<ferrevent::tls::rustls::ClientConnection, TcpStream>;

impl Scene {
    fn new(files: &Files, more: &[&str]) -> Self {
        let relay = secure(files, "server", upstream(echo), &[&JSON, more].concat());
        let mut calm = client(&relay);
        there_and_back(&mut calm);
        Self { relay, calm }
    }

    /// The next end is the client's of this address, for this reason, and its
    /// line says this; whoever else is there is not disturbed.
    fn expect(&mut self, from: &str, reason: &str, texts: &[&str]) -> Value {
        let line = ended(&self.relay);
        assert_eq!(line["peer"], from, "{line}");
        expect(&line, "client", reason, texts);
        there_and_back(&mut self.calm);
        line
    }
}

fn expect(line: &Value, side: &str, reason: &str, texts: &[&str]) {
    assert_eq!(
        (&line["side"], &line["reason"]),
        (&side.into(), &reason.into()),
        "{line}"
    );
    let detail = line["detail"].as_str().unwrap();
    for text in texts {
        assert!(detail.contains(text), "{text}: {detail}");
    }
    assert!(line["text"].as_str().unwrap().ends_with(detail));
}

/// rustls's own client.
fn client(relay: &Relay) -> Calm {
    authority().blocking_client(relay.connect())
}

fn there_and_back(stream: &mut Calm) {
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
}

/// Sends these bytes to a relay; its own address, and what came back.
fn send(relay: &Relay, bytes: &[u8]) -> (String, Vec<u8>) {
    let mut stream = relay.connect();
    let own = stream.local_addr().unwrap().to_string();
    stream.write_all(bytes).unwrap();
    let mut back = Vec::new();
    let _ = stream.read_to_end(&mut back);
    (own, back)
}

/// A fatal alert in the plain.
fn is_alert(bytes: &[u8]) -> bool {
    matches!(bytes, [21, 3, _, 0, 2, 2, _])
}

fn garbage_is_no_handshake() {
    let files = files("bad-garbage");
    let mut scene = Scene::new(&files, &[]);
    let (own, back) = send(&scene.relay, b"GET / HTTP/1.0\r\n\r\n");
    assert!(is_alert(&back), "{back:?}");
    scene.expect(&own, "not_tls", &["does not speak TLS", "must speak TLS"]);
}

fn records_that_are_too_long_or_broken() {
    let files = files("bad-records");
    let mut scene = Scene::new(&files, &[]);
    // A record of 65,535 bytes, of which only the header comes.
    let (own, back) = send(&scene.relay, &[22, 3, 1, 0xff, 0xff]);
    assert!(is_alert(&back), "{back:?}");
    scene.expect(&own, "bad_record", &["failed to shake hands"]);
    // An empty ClientHello.
    let (own, back) = send(&scene.relay, &[22, 3, 1, 0, 4, 1, 0, 0, 0]);
    assert!(is_alert(&back), "{back:?}");
    scene.expect(&own, "bad_record", &["failed to shake hands"]);
    // And after the handshake: too long, or not deciphered.
    for record in [
        &[23, 3, 3, 0xff, 0xff][..],
        &[
            23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
        ],
    ] {
        let mut stream = client(&scene.relay);
        there_and_back(&mut stream);
        let own = stream.sock.local_addr().unwrap().to_string();
        stream.sock.write_all(record).unwrap();
        assert!(stream.read(&mut [0]).is_err());
        drop(stream);
        scene.expect(&own, "bad_record", &["failed to decode what the peer sent"]);
    }
}

fn a_handshake_that_is_cut_short() {
    let files = files("bad-cut");
    let mut scene = Scene::new(&files, &[]);
    let mut stream = scene.relay.connect();
    let own = stream.local_addr().unwrap().to_string();
    stream.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    scene.expect(
        &own,
        "handshake_cut",
        &["ended the connection in the TLS handshake", "port scans"],
    );
}

fn a_client_that_stops_in_the_handshake() {
    let files = files("bad-stops");
    let mut scene = Scene::new(&files, &["--handshake-timeout", "300ms"]);
    for said in [&[][..], &[22, 3, 1, 2, 0, 1]] {
        let (own, _) = send(&scene.relay, said);
        let line = scene.expect(
            &own,
            "handshake_timeout",
            &["timed out", "--handshake-timeout"],
        );
        expect_soon(&line);
    }
}

fn a_client_that_goes_without_goodbye() {
    let files = files("bad-truncated");
    let mut scene = Scene::new(&files, &[]);
    let mut stream = client(&scene.relay);
    there_and_back(&mut stream);
    let own = stream.sock.local_addr().unwrap().to_string();
    stream.sock.shutdown(Shutdown::Write).unwrap();
    let _ = stream.sock.read_to_end(&mut Vec::new());
    scene.expect(
        &own,
        "truncated",
        &["without TLS's close_notify", "--allow-dirty-shutdown"],
    );

    // Where that is allowed it is an end, which the upstream answers.
    let relay = secure(
        &files,
        "server",
        upstream(echo),
        &["--allow-dirty-shutdown", "--log-format", "json"],
    );
    let mut stream = client(&relay);
    there_and_back(&mut stream);
    stream.sock.shutdown(Shutdown::Write).unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    assert_eq!(ended(&relay)["reason"], "finished");
}

fn a_record_that_is_cut_short() {
    let files = files("bad-half");
    let mut scene = Scene::new(&files, &[]);
    let mut stream = client(&scene.relay);
    there_and_back(&mut stream);
    let own = stream.sock.local_addr().unwrap().to_string();
    stream.sock.write_all(&[23, 3, 3, 1, 0, 1, 2, 3]).unwrap();
    stream.sock.shutdown(Shutdown::Write).unwrap();
    let _ = stream.sock.read_to_end(&mut Vec::new());
    scene.expect(&own, "truncated", &["may be incomplete"]);
}

/// OpenSSL's client asks for it by the letter R; it does not go on without.
fn renegotiation_is_refused() {
    let files = files("bad-renegotiation");
    let mut scene = Scene::new(&files, &[]);
    let mut openssl = peer("openssl", "openssl");
    openssl.args(["s_client", "-connect", &scene.relay.address, "-tls1_2"]);
    let output = run(&mut openssl, b"R\n");
    assert!(
        text(&output).contains("no renegotiation"),
        "{}",
        text(&output)
    );
    let line = ended(&scene.relay);
    assert_eq!(line["client_tls"]["version"], "TLSv1.2", "{line}");
    expect(&line, "client", "renegotiation", &["never done here"]);
    there_and_back(&mut scene.calm);
}

fn clients_with_certificates_that_do_not_hold() {
    let files = files("bad-clients");
    files.add("expired", authority().expired_pem("me"));
    files.add("stranger", Authority::new().client_pem("me"));
    let ca = files.name("ca.pem");
    let mut options = vec!["--client-ca", &ca];
    options.extend(JSON);
    let relay = secure(&files, "server", upstream(http), &options);
    for (own, reason, said) in [
        ("", "certificate_missing", "it showed no certificate"),
        (
            "expired",
            "certificate_expired",
            "expired on 2002-01-01T00:00:00Z",
        ),
        (
            "stranger",
            "certificate_unknown",
            "should --client-ca hold its root?",
        ),
    ] {
        let (certificate, key) = pair(&files, own);
        let shown = ["--cert", &certificate, "--key", &key];
        let shown = if own.is_empty() { &[][..] } else { &shown };
        let output = super::curl(&files, &relay, shown);
        assert!(
            !output.status.success() && output.stdout.is_empty(),
            "{}",
            text(&output)
        );
        expect(&ended(&relay), "client", reason, &[said]);
    }
    let (certificate, key) = pair(&files, "client");
    let output = super::curl(&files, &relay, &["--cert", &certificate, "--key", &key]);
    assert_eq!(output.stdout, b"hello\n", "{}", text(&output));
}

fn a_client_that_does_not_trust_the_relay() {
    let files = files("bad-trust");
    let mut scene = Scene::new(&files, &[]);
    let mut openssl = peer("openssl", "openssl");
    openssl.args([
        "s_client",
        "-connect",
        &scene.relay.address,
        "-verify_return_error",
    ]);
    let output = run(&mut openssl, b"Q\n");
    assert!(!output.status.success(), "{}", text(&output));
    let line = ended(&scene.relay);
    expect(
        &line,
        "client",
        "certificate_refused",
        &["UnknownCA", "--listen-tls"],
    );
    there_and_back(&mut scene.calm);
}

fn nothing_in_common() {
    let files = files("bad-common");
    let mut scene = Scene::new(&files, &["--min-tls", "1.3", "--alpn", "h2"]);
    for flags in [&["-tls1_2"][..], &["-alpn", "http/1.1"]] {
        let mut openssl = peer("openssl", "openssl");
        openssl
            .args(["s_client", "-connect", &scene.relay.address])
            .args(flags);
        let output = run(&mut openssl, b"Q\n");
        assert!(text(&output).contains("alert"), "{}", text(&output));
        let line = ended(&scene.relay);
        expect(
            &line,
            "client",
            "nothing_in_common",
            &["--min-tls and --alpn"],
        );
    }
    there_and_back(&mut scene.calm);
}

/// The client is let go when the upstream cannot be trusted, and sees nothing.
fn expect_upstream(relay: &Relay, reason: &str, texts: &[&str]) -> Value {
    let mut stream = relay.connect();
    let mut back = Vec::new();
    let _ = stream.read_to_end(&mut back);
    assert!(back.is_empty(), "{back:?}");
    let line = ended(relay);
    expect(&line, "upstream", reason, texts);
    line
}

/// Whether the time limit that was asked for counted, and not its default.
fn expect_soon(line: &Value) {
    assert!(line["seconds"].as_f64().unwrap() < 8.0, "{line}");
}

fn upstreams_with_certificates_that_do_not_hold() {
    let files = files("bad-upstreams");
    files.add("expired", authority().expired_pem("localhost"));
    files.add("other", authority().server_pem("other.test"));
    files.add("stranger", Authority::new().server_pem("localhost"));
    files.add("authority", authority().authority_pem("localhost"));
    for (own, reason, said) in [
        (
            "expired",
            "certificate_expired",
            "expired on 2002-01-01T00:00:00Z",
        ),
        (
            "other",
            "certificate_name",
            "not valid for name \"localhost\"",
        ),
        (
            "stranger",
            "certificate_unknown",
            "name its root by --connect-ca",
        ),
        ("authority", "certificate_invalid", "CA:FALSE"),
    ] {
        let server = secure(&files, own, upstream(echo), &JSON);
        let to = format!("localhost:{}", super::port(&server));
        let relay = towards(&files, &to, &["--connect-tls", JSON[0], JSON[1]]);
        expect_upstream(&relay, reason, &[said]);
        // The other side is told by an alert.
        expect(
            &ended(&server),
            "client",
            "certificate_refused",
            &["it ended the connection by"],
        );
    }
    let server = secure(&files, "other", upstream(echo), &[]);
    let relay = towards(&files, &server.address, &["--connect-tls", "other.test"]);
    round_trip(&mut relay.connect());
}

fn an_upstream_that_speaks_no_tls() {
    let files = files("bad-plain");
    let to = upstream(|mut stream: TcpStream| {
        let _ = stream.write_all(b"220 plain speaking\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let relay = towards(
        &files,
        &to.to_string(),
        &["--connect-tls", "localhost", JSON[0], JSON[1]],
    );
    expect_upstream(&relay, "not_tls", &["leave out --connect-tls"]);
}

fn an_upstream_that_stops_in_the_handshake() {
    let files = files("bad-silent");
    let to = upstream(|mut stream: TcpStream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let options = [
        "--connect-tls",
        "localhost",
        "--handshake-timeout",
        "300ms",
        JSON[0],
        JSON[1],
    ];
    let relay = towards(&files, &to.to_string(), &options);
    let line = expect_upstream(
        &relay,
        "handshake_timeout",
        &["does it speak TLS on that port?"],
    );
    expect_soon(&line);
}

fn an_upstream_that_wants_a_certificate() {
    let files = files("bad-wanting");
    let ca = files.name("ca.pem");
    let server = secure(
        &files,
        "server",
        upstream(echo),
        &["--client-ca", &ca, JSON[0], JSON[1]],
    );
    let to = server.address.clone();
    let relay = towards(
        &files,
        &to,
        &["--connect-tls", "localhost", JSON[0], JSON[1]],
    );
    expect_upstream(&relay, "certificate_wanted", &["--connect-cert CERT KEY"]);
}

fn an_upstream_that_goes_without_goodbye() {
    let files = files("bad-abrupt");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap().to_string();
    let answering = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut connection = authority().blocking_server("localhost");
        let mut stream = ferrevent::tls::rustls::Stream::new(&mut connection, &mut socket);
        // By way of both: they are joined.
        stream.read_exact(&mut [0]).unwrap();
        stream.write_all(b"all of it?").unwrap();
        stream.flush().unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        let _ = socket.read_to_end(&mut Vec::new());
    });
    // TLS in front as well: what was cut short there must not end well here.
    let (certificate, key) = pair(&files, "server");
    let options = [
        "--connect-tls",
        "localhost",
        "--listen-tls",
        &certificate,
        &key,
        JSON[0],
        JSON[1],
    ];
    let relay = towards(&files, &to, &options);
    let mut stream = client(&relay);
    stream.write_all(b"?").unwrap();
    let mut back = Vec::new();
    let error = stream.read_to_end(&mut back).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{error}");
    assert_eq!(back, b"all of it?");
    drop(stream);
    expect(
        &ended(&relay),
        "upstream",
        "truncated",
        &["without TLS's close_notify"],
    );
    answering.join().unwrap();
}
