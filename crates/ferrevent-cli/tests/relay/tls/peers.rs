//! The programs people use, on either side of a relay.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::Stdio;

use super::{curl, files, http, pair, port, run, say, secure, text, towards};
use crate::peers::{Files, Running, free_port, s_server, start, wait_for};
use crate::rig::{echo, on_loop_and_pool, peer, upstream};

on_loop_and_pool! {
    curl_speaks_tls_to_a_plain_server
    curl_shows_its_certificate_agrees_on_a_protocol_and_resumes
    openssl_s_client_is_served
    openssl_s_server_is_an_upstream
    socat_ends_each_way
    stunnel_stands_on_either_side
}

fn curl_speaks_tls_to_a_plain_server() {
    let files = files("relay-curl");
    let to = upstream(http);
    let relay = secure(&files, "server", to, &[]);
    let output = curl(&files, &relay, &[]);
    assert_eq!(output.stdout, b"hello\n", "{}", text(&output));
    let line = relay.line(&format!("-> {to} in="));
    assert!(
        line.contains(" client[TLSv1.3 TLS_") && line.contains(" name=\"localhost\""),
        "{line}"
    );
    assert!(line.ends_with(" finished"), "{line}");
}

fn curl_shows_its_certificate_agrees_on_a_protocol_and_resumes() {
    let files = files("relay-curl-client");
    let ca = files.name("ca.pem");
    let to = upstream(http);
    let options = ["--client-ca", &ca, "--alpn", "http/1.1"];
    let relay = secure(&files, "server", to, &options);
    let (own, key) = pair(&files, "client");
    let again = format!("https://localhost:{}/", port(&relay));
    let output = curl(&files, &relay, &["--cert", &own, "--key", &key, &again]);
    assert_eq!(output.stdout, b"hello\nhello\n", "{}", text(&output));
    let lines = [relay.line(" in="), relay.line(" in=")];
    for line in &lines {
        assert!(
            line.contains("alpn=\"http/1.1\" subject=\"CN=me\""),
            "{line}"
        );
        assert!(line.ends_with(" finished"), "{line}");
    }
    let resumed = lines.iter().filter(|line| line.contains(" resumed]"));
    assert_eq!(resumed.count(), 1, "{lines:?}");

    let output = curl(&files, &relay, &[]);
    assert!(!output.status.success(), "{}", text(&output));
    let line = relay.line("it showed no certificate");
    assert!(
        line.contains("client: ") && line.contains("--verify-client optional"),
        "{line}"
    );
}

fn openssl_s_client_is_served() {
    let files = files("relay-s-client");
    let relay = secure(&files, "server", upstream(echo), &[]);
    for (flag, version) in [("-tls1_2", "TLSv1.2 "), ("-tls1_3", "TLSv1.3 ")] {
        let mut openssl = peer("openssl", "openssl");
        openssl
            .args(["s_client", "-connect", &relay.address, "-quiet", flag])
            .args(["-CAfile", &files.name("ca.pem"), "-verify_return_error"])
            .args(["-servername", "localhost"])
            .args(["-verify_hostname", "localhost", "-no_ign_eof"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut openssl = Running(openssl.spawn().unwrap());
        let mut input = openssl.0.stdin.take().unwrap();
        input.write_all(b"there and back\n").unwrap();
        let mut back = [0; 15];
        let mut output = openssl.0.stdout.take().unwrap();
        output.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"there and back\n");
        // Its input ends, and so does it.
        drop(input);
        assert!(openssl.0.wait().unwrap().success());
        let line = relay.line("in=15 out=15");
        assert!(line.contains(&format!(" client[{version}")), "{line}");
    }
}

fn openssl_s_server_is_an_upstream() {
    let files = files("relay-s-server");
    peer("openssl", "openssl");
    for (flag, version) in [("-tls1_2", "TLSv1.2 "), ("-tls1_3", "TLSv1.3 ")] {
        let (_server, port) = s_server(&files, flag);
        let (own, key) = pair(&files, "client");
        let relay = towards(
            &files,
            &format!("localhost:{port}"),
            &[
                "--connect-tls",
                "--connect-cert",
                &own,
                &key,
                "--alpn",
                "echo",
            ],
        );
        let mut stream = relay.connect();
        stream.write_all(b"drawer\n").unwrap();
        let mut back = [0; 7];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"reward\n");
        drop(stream);
        let line = relay.line("in=7 out=7");
        assert!(line.contains(&format!(" upstream[{version}")), "{line}");
        assert!(
            line.contains("name=\"localhost\" alpn=\"echo\" subject=\"CN=localhost\""),
            "{line}"
        );
    }
}

fn socat_ends_each_way() {
    let files = files("relay-socat");
    let relay = secure(&files, "server", upstream(echo), &[]);
    let to = format!(
        "OPENSSL:{},cafile={},commonname=localhost",
        relay.address,
        files.name("ca.pem")
    );
    let output = run(
        peer("socat", "socat").args(["-t5", "-", &to]),
        b"by way of socat",
    );
    assert_eq!(output.stdout, b"by way of socat", "{}", text(&output));
    let line = relay.line("in=15 out=15");
    assert!(line.ends_with(" finished"), "{line}");

    let port = free_port();
    let from = format!(
        "OPENSSL-LISTEN:{port},reuseaddr,fork,cert={},cafile={},verify=1",
        files.name("server.both"),
        files.name("ca.pem")
    );
    let _server = start("socat", &[&from, "EXEC:cat"]);
    wait_for(port);
    let (own, key) = pair(&files, "client");
    let relay = towards(
        &files,
        &format!("127.0.0.1:{port}"),
        &["--connect-tls", "localhost", "--connect-cert", &own, &key],
    );
    assert_eq!(say(&mut relay.connect(), b"and back"), b"and back");
    let line = relay.line("in=8 out=8");
    assert!(line.ends_with(" finished"), "{line}");
}

fn stunnel_stands_on_either_side() {
    let files = files("relay-stunnel");
    peer("stunnel", "stunnel4");
    // Its client before the relay.
    let relay = secure(&files, "server", upstream(echo), &[]);
    let (port, _client) = stunnel(
        &files,
        "client",
        &format!(
            "client = yes\nconnect = {}\nCAfile = {}\nverifyChain = yes\ncheckHost = localhost\n",
            relay.address,
            files.name("ca.pem")
        ),
    );
    let mut plain = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    assert_eq!(say(&mut plain, b"through a tunnel"), b"through a tunnel");
    let line = relay.line("in=16 out=16");
    assert!(line.ends_with(" finished"), "{line}");

    // The relay before its server.
    let to: SocketAddr = upstream(echo);
    let (port, _server) = stunnel(
        &files,
        "server",
        &format!(
            "connect = {to}\ncert = {}\nkey = {}\nCAfile = {}\nverifyChain = yes\n",
            files.name("server.pem"),
            files.name("server.key"),
            files.name("ca.pem")
        ),
    );
    let (own, key) = pair(&files, "client");
    let relay = towards(
        &files,
        &format!("127.0.0.1:{port}"),
        &["--connect-tls=localhost", "--connect-cert", &own, &key],
    );
    assert_eq!(
        say(&mut relay.connect(), b"and out again"),
        b"and out again"
    );
    let line = relay.line("in=13 out=13");
    assert!(line.ends_with(" finished"), "{line}");
}

fn stunnel(files: &Files, name: &str, service: &str) -> (u16, Running) {
    let port = free_port();
    let config = format!("foreground = yes\npid =\n[{name}]\naccept = 127.0.0.1:{port}\n{service}");
    std::fs::write(files.path("stunnel.conf"), config).unwrap();
    let running = start("stunnel", &[&files.name("stunnel.conf")]);
    wait_for(port);
    (port, running)
}
