//! Programs that tests run on the other side of TLS, and the files they read.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::certificates::authority;

/// So long a program may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A directory with the PEM files that other programs read.
pub(crate) struct Files(PathBuf);

impl Files {
    pub(crate) fn new(name: &str) -> Self {
        Self::at(std::env::temp_dir().join(format!("ferrevent-{name}-{}", std::process::id())))
    }

    pub(crate) fn at(path: PathBuf) -> Self {
        fs::create_dir_all(&path).unwrap();
        let files = Self(path);
        let authority = authority();
        fs::write(files.path("ca.pem"), authority.pem()).unwrap();
        files.add("server", authority.server_pem("localhost"));
        files.add("client", authority.client_pem("me"));
        files
    }

    /// A certificate and its key, in a file each and in one; the key is for
    /// nobody else.
    pub(crate) fn add(&self, name: &str, (chain, key): (String, String)) {
        fs::write(self.path(&format!("{name}.pem")), &chain).unwrap();
        for (ending, text) in [("key", key.clone()), ("both", chain + &key)] {
            let path = self.path(&format!("{name}.{ending}"));
            fs::write(&path, text).unwrap();
            let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            fs::set_permissions(path, private).unwrap();
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn name(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A program that runs until this is dropped.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn start(program: &str, arguments: &[&str]) -> Running {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    Running(child.unwrap_or_else(|error| panic!("{program}: {error}")))
}

/// `openssl s_server`: it demands a certificate of our authority, speaks the
/// protocol `echo`, and answers each line the wrong way round.
pub(crate) fn s_server(files: &Files, version: &str) -> (Running, u16) {
    let port = free_port();
    let (accept, ca) = (port.to_string(), files.name("ca.pem"));
    let (own, key) = (files.name("server.pem"), files.name("server.key"));
    let arguments = [
        "s_server", "-accept", &accept, "-cert", &own, "-key", &key, "-CAfile", &ca,
    ];
    let more = [
        "-Verify",
        "1",
        "-verify_return_error",
        "-alpn",
        "echo",
        "-rev",
        "-quiet",
        version,
    ];
    let server = start("openssl", &[&arguments[..], &more].concat());
    wait_for(port);
    (server, port)
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Waits for a program to listen.
pub(crate) fn wait_for(port: u16) {
    let end = std::time::Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(std::time::Instant::now() < end, "nobody listens on {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
