//! What the options of TLS agree on, and what they refuse.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::{curl, ended, files, http, pair, port, run, say, secure, text, towards};
use crate::certificates::authority;
use crate::peers::free_port;
use crate::rig::{Relay, command, echo, ferrevent, on_loop_and_pool, peer, upstream};

on_loop_and_pool! {
    the_certificate_is_chosen_by_name
    clients_may_show_a_certificate_where_it_is_optional
    both_sides_speak_the_protocol_that_was_agreed_on
    the_name_is_that_of_the_host
    unix_sockets_carry_tls
    sockets_of_systemd_carry_tls
}

const JSON: [&str; 2] = ["--log-format", "json"];

fn the_certificate_is_chosen_by_name() {
    let files = files("by-name");
    files.add("other", authority().server_pem("other.test"));
    let (certificate, key) = pair(&files, "other");
    let relay = secure(
        &files,
        "server",
        upstream(echo),
        &["--listen-tls", &certificate, &key],
    );
    for (asked, shown) in [
        (Some("localhost"), "localhost"),
        (Some("other.test"), "other.test"),
        (Some("unknown.test"), "localhost"),
        (None, "localhost"),
    ] {
        let mut openssl = peer("openssl", "openssl");
        openssl.args(["s_client", "-connect", &relay.address]);
        match asked {
            Some(name) => openssl.args(["-servername", name]),
            None => openssl.arg("-noservername"),
        };
        let output = text(&run(&mut openssl, b"Q\n"));
        assert!(
            output.contains(&format!("subject=CN = {shown}")),
            "{asked:?}: {output}"
        );
        let line = relay.line(" in=");
        assert_eq!(line.contains(" name="), asked.is_some(), "{line}");
        assert!(
            asked.is_none_or(|asked| line.contains(&format!(" name=\"{asked}\""))),
            "{line}"
        );
    }
}

fn clients_may_show_a_certificate_where_it_is_optional() {
    let files = files("optional");
    let ca = files.name("ca.pem");
    let options = [
        "--client-ca",
        &ca,
        "--verify-client",
        "optional",
        JSON[0],
        JSON[1],
    ];
    let relay = secure(&files, "server", upstream(http), &options);
    let (certificate, key) = pair(&files, "client");
    for (shown, subject) in [
        (&[][..], serde_json::Value::Null),
        (&["--cert", &certificate, "--key", &key], "CN=me".into()),
    ] {
        let output = curl(&files, &relay, shown);
        assert_eq!(output.stdout, b"hello\n", "{}", text(&output));
        let line = ended(&relay);
        assert_eq!(line["client_tls"]["subject"], subject, "{line}");
        assert_eq!(line["upstream_tls"], serde_json::Value::Null, "{line}");
    }
}

/// Two relays: plain, TLS, plain; and TLS on both sides of the first.
fn both_sides_speak_the_protocol_that_was_agreed_on() {
    let files = files("protocols");
    let inner = secure(
        &files,
        "server",
        upstream(http),
        &["--alpn", "h2,http/1.1", JSON[0], JSON[1]],
    );
    let to = inner.address.clone();
    let (certificate, key) = pair(&files, "server");
    let mut options = vec!["--connect-tls", "localhost", "--alpn", "h2,http/1.1"];
    options.extend(JSON);
    // A client that speaks no TLS: everything is offered, the best is taken.
    let plain = towards(&files, &to, &options);
    assert!(say(&mut plain.connect(), b"GET / HTTP/1.1\r\n\r\n").ends_with(b"hello\n"));
    let line = ended(&plain);
    assert_eq!(line["upstream_tls"]["alpn"], "h2", "{line}");
    assert_eq!(line["client_tls"], serde_json::Value::Null, "{line}");
    assert_eq!(ended(&inner)["client_tls"]["alpn"], "h2");
    // One that speaks it: nothing but what it agreed on.
    options.extend(["--listen-tls", &certificate, &key]);
    let both = towards(&files, &to, &options);
    for (flags, agreed) in [
        (&["--http1.1"][..], "http/1.1".into()),
        (&["--no-alpn"], serde_json::Value::Null),
    ] {
        let output = curl(&files, &both, flags);
        assert_eq!(output.stdout, b"hello\n", "{}", text(&output));
        let line = ended(&both);
        assert_eq!(line["client_tls"]["alpn"], agreed, "{line}");
        assert_eq!(line["upstream_tls"]["alpn"], agreed, "{line}");
        assert_eq!(line["upstream_tls"]["server_name"], "localhost", "{line}");
        assert_eq!(ended(&inner)["client_tls"]["alpn"], agreed);
    }
}

fn the_name_is_that_of_the_host() {
    let files = files("host");
    let server = secure(&files, "server", upstream(echo), &[]);
    for host in ["localhost", "127.0.0.1"] {
        let to = format!("{host}:{}", port(&server));
        let relay = towards(&files, &to, &["--connect-tls", JSON[0], JSON[1]]);
        assert_eq!(say(&mut relay.connect(), b"hello"), b"hello");
        let line = ended(&relay);
        assert_eq!(line["upstream_tls"]["server_name"], host, "{line}");
        let theirs = server.line(" in=5");
        // An address is not asked for: RFC 6066, section 3.
        assert_eq!(
            theirs.contains(" name=\"localhost\""),
            host == "localhost",
            "{theirs}"
        );
    }
}

fn unix_sockets_carry_tls() {
    let files = files("unix");
    let path = files.name("socket");
    let (certificate, key) = pair(&files, "server");
    let listen = format!("unix:{path}");
    let to = upstream(echo).to_string();
    let server = Relay::start(&[&listen, &to, "--listen-tls", &certificate, &key]);
    let relay = towards(&files, &listen, &["--connect-tls", "localhost"]);
    assert_eq!(say(&mut relay.connect(), b"hello"), b"hello");
    assert!(server.line(" in=5").contains(" client[TLSv1.3 "));
}

fn sockets_of_systemd_carry_tls() {
    let files = files("systemd");
    let (certificate, key) = pair(&files, "server");
    let address = format!("127.0.0.1:{}", free_port());
    let to = upstream(echo).to_string();
    let activate = peer("systemd-socket-activate", "systemd");
    let before = [activate.get_program().to_str().unwrap(), "-l", &address];
    let relay = Relay::launch(command(&before).args(["systemd:", &to]).args([
        "--listen-tls",
        &certificate,
        &key,
    ]));
    relay.line("Listening on");
    let mut stream = authority().blocking_client(TcpStream::connect(&address).unwrap());
    stream.write_all(b"hello").unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    stream.conn.send_close_notify();
    stream.flush().unwrap();
    drop(stream);
    assert!(relay.line(" in=5").contains(" client[TLSv1.3 "));
}

#[test]
fn mistakes_are_told_with_their_remedy() {
    let files = files("mistakes");
    let (certificate, key) = pair(&files, "server");
    let (_, other) = pair(&files, "client");
    let (own, ca) = (files.name("server.pem"), files.name("ca.pem"));
    let locked = files.name("locked.key");
    let openssl = peer("openssl", "openssl")
        .args([
            "pkcs8",
            "-topk8",
            "-in",
            &key,
            "-out",
            &locked,
            "-passout",
            "pass:secret",
        ])
        .status();
    assert!(openssl.unwrap().success());
    let usual = [":0", "127.0.0.1:1"];
    for (arguments, code, wanted) in [
        (
            vec!["--listen-tls", "/nowhere", &key],
            1,
            "/nowhere: No such file",
        ),
        (
            vec!["--listen-tls", &certificate, &other],
            1,
            "does not belong to the certificate",
        ),
        (
            vec!["--listen-tls", &key, &certificate],
            1,
            "holds no certificate in PEM",
        ),
        (
            vec!["--listen-tls", &certificate, &locked],
            1,
            "openssl pkey -in",
        ),
        (
            vec!["--listen-tls", &certificate, &key, "--client-ca", &key],
            1,
            "no certificate in PEM",
        ),
        (vec!["--listen-tls", &certificate], 2, "2 values required"),
        (vec!["--client-ca", &ca], 2, "--listen-tls <CERT> <KEY>"),
        (vec!["--connect-ca", &ca], 2, "--connect-tls"),
        (vec!["--connect-cert", &own, &key], 2, "--connect-tls"),
        (
            vec!["--connect-tls", "127.0.0.1:80"],
            2,
            "goes before --connect-tls",
        ),
        (
            vec!["--connect-tls", "--connect-ca", &key],
            1,
            "no certificate in PEM",
        ),
        (
            vec!["--connect-tls", "--connect-cert", &own, &other],
            1,
            "does not belong",
        ),
        (vec!["--alpn", "h2"], 2, "--listen-tls"),
        (
            vec!["--connect-tls", "--alpn", ""],
            2,
            "from 1 to 255 bytes",
        ),
        (vec!["--connect-tls", "--min-tls", "1.1"], 2, "1.2 or 1.3"),
    ] {
        let output = ferrevent(&[&["relay"], &usual[..], &arguments].concat());
        let told = text(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    let unix = ferrevent(&[
        "relay",
        ":0",
        "unix:/nowhere",
        "--connect-tls",
        "--connect-ca",
        &ca,
    ]);
    assert!(
        text(&unix).contains("say which, by --connect-tls NAME"),
        "{}",
        text(&unix)
    );
}

#[test]
fn an_old_certificate_is_told_of_at_the_start() {
    let files = files("old");
    files.add("expired", authority().expired_pem("localhost"));
    let relay = secure(&files, "expired", upstream(echo), &[]);
    let _ = relay;
    let mut command = command(&[]);
    let (certificate, key) = pair(&files, "expired");
    let relay = Relay::launch(command.args([":0", ":1", "--listen-tls", &certificate, &key]));
    let line = relay.line("expired on 2002-01-01T00:00:00Z");
    assert!(
        line.contains("expired.pem") && line.contains("SIGHUP"),
        "{line}"
    );
}
