//! `--check` of certificates and keys, and of an upstream with TLS.

use std::process::Command;

use super::{files, pair, secure, text};
use crate::certificates::{Authority, authority};
use crate::rig::{echo, refusing, upstream};

/// The code and the words of a check with these options.
fn check(to: &str, options: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ferrevent"))
        .args(["relay", "--check", "127.0.0.1:0", to])
        .args(options)
        .output()
        .unwrap();
    (output.status.code().unwrap(), text(&output))
}

#[test]
fn what_would_work_is_explained() {
    let files = files("check-good");
    let (certificate, key) = pair(&files, "server");
    let (own, own_key) = pair(&files, "client");
    let ca = files.name("ca.pem");
    let server = secure(&files, "server", upstream(echo), &["--client-ca", &ca]);
    let (code, told) = check(
        &server.address,
        &[
            "--listen-tls",
            &certificate,
            &key,
            "--client-ca",
            &ca,
            "--verify-client",
            "optional",
            "--connect-tls",
            "localhost",
            "--connect-ca",
            &ca,
            "--connect-cert",
            &own,
            &own_key,
        ],
    );
    assert_eq!(code, 0, "{told}");
    for wanted in [
        "server.pem is CN=localhost for localhost, 127.0.0.1, until ",
        "client.pem is CN=me, until ",
        "its key belongs to it",
        "clients may show a certificate, from ",
        "the upstream's certificate must come from ",
        "its certificate holds for localhost: TLSv1.3 TLS_",
        "would relay 127.0.0.1:0 with TLS to ",
    ] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    assert!(!told.contains("\nwarning"), "{told}");
}

#[test]
fn every_problem_is_told_with_its_remedy() {
    let files = files("check-bad");
    files.add("expired", authority().expired_pem("localhost"));
    files.add("stranger", Authority::new().server_pem("localhost"));
    let (certificate, key) = pair(&files, "server");
    let (_, other) = pair(&files, "client");
    let (old, old_key) = pair(&files, "expired");
    let ca = files.name("ca.pem");
    let plain = upstream(|mut stream: std::net::TcpStream| {
        let _ = std::io::Write::write_all(&mut stream, b"220 plain speaking\r\n");
    });
    let plain = plain.to_string();
    let stranger = secure(&files, "stranger", upstream(echo), &[]);
    let wanting = secure(&files, "server", upstream(echo), &["--client-ca", &ca]);
    let trusting = ["--connect-tls", "localhost", "--connect-ca", &ca];
    for (to, options, wanted) in [
        (
            &plain,
            vec!["--listen-tls", &certificate, &other],
            "does not belong to the certificate",
        ),
        (
            &plain,
            vec!["--listen-tls", &old, &old_key],
            "expired on 2002-01-01T00:00:00Z",
        ),
        (
            &plain,
            vec!["--listen-tls", "/nowhere", &key],
            "/nowhere: No such file",
        ),
        (
            &plain,
            vec!["--listen-tls", &certificate, &key, "--client-ca", &key],
            "no certificate",
        ),
        (&plain, trusting.to_vec(), "leave out --connect-tls"),
        (
            &stranger.address,
            trusting.to_vec(),
            "name its root by --connect-ca",
        ),
        (
            &wanting.address,
            trusting.to_vec(),
            "--connect-cert CERT KEY",
        ),
    ] {
        let (code, told) = check(to, &options);
        assert_eq!(code, 1, "{told}");
        let line = told.lines().find(|line| line.contains(wanted));
        let line = line.unwrap_or_else(|| panic!("{wanted}: {told}"));
        assert!(line.starts_with("problem"), "{line}");
        assert!(told.contains("Not ready: there is a problem"), "{told}");
    }
}

#[test]
fn what_may_get_better_is_a_warning() {
    use std::os::unix::fs::PermissionsExt;

    let files = files("check-warn");
    files.add("soon", authority().server_pem_until_tomorrow("localhost"));
    files.add("nameless", authority().client_pem("localhost"));
    let (soon, soon_key) = pair(&files, "soon");
    let (same, same_key) = pair(&files, "server");
    let (nameless, nameless_key) = pair(&files, "nameless");
    let disorder = std::fs::read_to_string(&same).unwrap() + Authority::new().pem();
    std::fs::write(&same, disorder).unwrap();
    std::fs::set_permissions(&same_key, PermissionsExt::from_mode(0o644)).unwrap();
    let (_held, closed) = refusing();
    let (code, told) = check(
        &closed.to_string(),
        &[
            "--listen-tls",
            &soon,
            &soon_key,
            "--listen-tls",
            &same,
            &same_key,
            "--listen-tls",
            &nameless,
            &nameless_key,
            "--connect-tls",
            "localhost",
        ],
    );
    assert_eq!(code, 0, "{told}");
    for wanted in [
        "soon.pem expires on ",
        "no client will get it",
        "is to be followed by its issuer's",
        "names no host (subjectAltName)",
        &format!("chmod o= {same_key}"),
        "does not answer just now",
    ] {
        let line = told.lines().find(|line| line.contains(wanted));
        let line = line.unwrap_or_else(|| panic!("{wanted}: {told}"));
        assert!(line.starts_with("warning"), "{line}");
    }
}
