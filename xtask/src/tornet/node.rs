//! An authority, or a relay: its ports and keys.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::daemon::{DEFAULTS, Daemon, Setup};
use super::{at, here, make};
use crate::running::free_port;

/// They take seconds to make, and are good for a year.
const KEYS: &str = "target/tor/keys";

pub(crate) struct Node {
    pub(crate) tor: Daemon,
    pub(crate) or_port: u16,
    pub(crate) dir_port: Option<u16>,
    /// Hexadecimal, of its RSA identity; and base64, of its Ed25519 identity.
    pub(crate) fingerprint: String,
    pub(crate) identity: String,
}

impl Node {
    pub(super) fn new(network: &Path, name: &str, setup: &Setup) -> Result<Self, String> {
        let tor = Daemon::new(network, name, setup)?;
        make(&tor.folder.join("keys"))?;
        Ok(Self {
            tor,
            or_port: free_port()?,
            dir_port: if name.starts_with("auth") {
                Some(free_port()?)
            } else {
                None
            },
            fingerprint: String::new(),
            identity: String::new(),
        })
    }

    pub(super) fn make_keys(&mut self) -> Result<(), String> {
        if let Some(dir_port) = self.dir_port {
            self.make_authority_keys(dir_port)?;
        }
        let mut command = self.tor.command();
        command
            .args(["--quiet", "--list-fingerprint", "--orport", "1"])
            .args(["--dirserver", NOBODY, "--datadirectory"])
            .arg(&self.tor.folder)
            .arg("-f")
            .arg(self.tor.folder.with_file_name(DEFAULTS));
        quietly(&mut command)?;
        let second = |file: &str| -> Result<String, String> {
            let path = self.tor.folder.join(file);
            let text = fs::read_to_string(&path).map_err(|error| at(&path, &error))?;
            let word = text.split_whitespace().nth(1);
            word.map(str::to_owned)
                .ok_or_else(|| format!("{}: {text:?}", path.display()))
        };
        self.fingerprint = second("fingerprint")?;
        self.identity = second("fingerprint-ed25519")?;
        Ok(())
    }

    /// From the time before, if there were any: a directory's certificate
    /// names its own port, which need not be true.
    fn make_authority_keys(&self, dir_port: u16) -> Result<(), String> {
        let kept = here()?.join(KEYS).join(&self.tor.name);
        if !kept.join(CERTIFICATE).exists() {
            make(&kept)?;
            let mut child = Command::new("tor-gencert")
                .args(["--create-identity-key", "--passphrase-fd", "0", "-m", "12"])
                .args(["-a", &format!("127.0.0.1:{dir_port}")])
                .args(["-i", IDENTITY_KEY, "-s", SIGNING_KEY, "-c", CERTIFICATE])
                .current_dir(&kept)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .map_err(|error| format!("tor-gencert: {error}"))?;
            if let Some(mut stdin) = child.stdin.take() {
                let _ = stdin.write_all(b"passphrase\n");
            }
            match child.wait() {
                Ok(status) if status.success() => {}
                other => return Err(format!("tor-gencert: {other:?}")),
            }
        }
        for file in [IDENTITY_KEY, SIGNING_KEY, CERTIFICATE] {
            let from = kept.join(file);
            fs::copy(&from, self.key(file)).map_err(|error| at(&from, &error))?;
        }
        Ok(())
    }

    /// That of an authority.
    pub(crate) fn authority_identity(&self) -> Result<String, String> {
        let path = self.key(CERTIFICATE);
        let text = fs::read_to_string(&path).map_err(|error| at(&path, &error))?;
        text.lines()
            .find_map(|line| line.strip_prefix("fingerprint "))
            .map(str::to_owned)
            .ok_or_else(|| format!("{}: no fingerprint", path.display()))
    }

    fn key(&self, file: &str) -> PathBuf {
        self.tor.folder.join("keys").join(file)
    }
}

const IDENTITY_KEY: &str = "authority_identity_key";
const SIGNING_KEY: &str = "authority_signing_key";
const CERTIFICATE: &str = "authority_certificate";
/// An authority that nobody asks.
const NOBODY: &str = "x 127.0.0.1:1 ffffffffffffffffffffffffffffffffffffffff";

fn quietly(command: &mut Command) -> Result<(), String> {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        other => Err(format!("{command:?}: {other:?}")),
    }
}
