//! Debian's tor, as it is, on our library and on Debian's: a relay for those
//! who know of it, and a client that knows of it. The link between them, a
//! circuit and what is fetched by it; DNSPort; SIGHUP; an orderly end. A whole
//! network is shown by `cargo xtask capi tor`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use common::service::{Service, free_port, wait};
use common::{Library, prefix, scratch, text};

#[test]
fn a_relay_and_a_client() {
    if !Path::new("/usr/sbin/tor").exists() {
        eprintln!("skipped: tor is not installed");
        return;
    }
    let columns = [
        (Library::Ours, "epoll"),
        (Library::Ours, "uring"),
        (Library::System, "epoll"),
    ];
    thread::scope(|scope| {
        for (library, method) in columns {
            scope.spawn(move || show(library, method));
        }
    });
}

fn show(library: Library, method: &str) {
    let folder = scratch().join(format!("{library:?}-{method}"));
    let _ = fs::remove_dir_all(&folder);
    let start = |name: &str, lines: &str| Tor::start(library, method, &folder.join(name), lines);
    let port = free_port();
    let relay = start(
        "relay",
        &format!(
            "SocksPort 0\nORPort 127.0.0.1:{port} IPv4Only\nBridgeRelay 1\nExitRelay 0\n\
             PublishServerDescriptor 0\nAssumeReachable 1\nAddress 127.0.0.1\n\
             OutboundBindAddress 127.0.0.1\nServerDNSDetectHijacking 0\n"
        ),
    );
    let named = relay.folder.join("data/fingerprint");
    let fingerprint = || {
        let text = fs::read_to_string(&named).ok()?;
        text.split_whitespace().nth(1).map(str::to_owned)
    };
    wait("the relay", || listens(port) && fingerprint().is_some());
    let fingerprint = fingerprint().unwrap();

    let (dns, socks) = (free_port(), free_port());
    let ports = |socks, dns| format!("SocksPort 127.0.0.1:{socks}\nDNSPort 127.0.0.1:{dns}\n");
    let lines = format!(
        "AutomapHostsOnResolve 1\nUseBridges 1\nUpdateBridgesFromAuthority 0\n\
         ClientRejectInternalAddresses 0\n\
         Bridge 127.0.0.1:{port} {fingerprint}\n"
    );
    let client = start("client", &(ports(socks, dns) + &lines));
    // The relay's descriptor is asked for by a circuit over the link.
    wait("a link", || client.says("(conn_done)"));
    wait("a circuit", || client.says("(onehop_create)"));
    wait("a descriptor", || {
        client.says("new bridge descriptor 'one'")
    });
    for tor in [&relay, &client] {
        tor.service.demand(library, prefix());
        let ring = fs::read_dir(format!("/proc/{}/fd", tor.service.id())).unwrap();
        let ring = ring.flatten().any(|file| {
            fs::read_link(file.path()).is_ok_and(|it| it.ends_with("anon_inode:[io_uring]"))
        });
        assert_eq!(ring, method == "uring");
    }
    // There are no exits to ask: the client itself has an address for such a name.
    let address = ask(dns, &["some.onion", "A"]);
    assert!(address.starts_with("127."), "{library:?}: {address}");

    let (other_dns, other_socks) = (free_port(), free_port());
    client.configure(&(ports(other_socks, other_dns) + &lines));
    for tor in [&relay, &client] {
        tor.service.signal("-HUP");
        wait("SIGHUP", || tor.says("Received reload signal"));
    }
    wait("another port", || listens(other_socks) && !listens(socks));
    assert_eq!(ask(other_dns, &["some.onion", "A"]), address);
    for tor in [client, relay] {
        let status = tor.service.end();
        assert!(status.success(), "{library:?}: {status}");
    }
}

fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// What a server on this port answers, by dig.
fn ask(port: u16, question: &[&str]) -> String {
    let output = Command::new("dig")
        .args(["@127.0.0.1", "-p", &port.to_string(), "+short"])
        .args(["+tries=6", "+timeout=20"])
        .args(question)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout).trim().to_owned()
}

struct Tor {
    service: Service,
    folder: PathBuf,
}

impl Tor {
    fn start(library: Library, method: &str, folder: &Path, lines: &str) -> Self {
        fs::create_dir_all(folder).unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(folder.join("defaults"), "").unwrap();
        configure(folder, lines);
        let log = fs::File::create(folder.join("log")).unwrap();
        let mut command = Command::new("/usr/sbin/tor");
        command
            .arg("--defaults-torrc")
            .arg(folder.join("defaults"))
            .arg("-f")
            .arg(folder.join("torrc"))
            .env("FERREVENT_BACKEND", method)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        match library {
            Library::Ours => command.env("LD_LIBRARY_PATH", prefix().join("lib")),
            Library::System => command.env_remove("LD_LIBRARY_PATH"),
        };
        Self {
            service: Service::start(&mut command, "-TERM"),
            folder: folder.to_owned(),
        }
    }

    fn configure(&self, lines: &str) {
        configure(&self.folder, lines);
    }

    fn says(&self, words: &str) -> bool {
        fs::read_to_string(self.folder.join("log")).is_ok_and(|text| text.contains(words))
    }
}

/// The network's only authority is nobody.
fn configure(folder: &Path, lines: &str) {
    let nobody = "127.0.0.1:9 FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFE";
    let text = format!(
        "TestingTorNetwork 1\nDataDirectory {}/data\nNickname one\nShutdownWaitLength 0\n\
         Log notice stdout\nSafeLogging 0\n\
         DirAuthority none orport=9 no-v2 v3ident=FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF \
         {nobody}\n{lines}",
        folder.display()
    );
    fs::write(folder.join("torrc"), text).unwrap();
}
