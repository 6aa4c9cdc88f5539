//! A Tor network on this machine alone: authorities and relays, all on
//! 127.0.0.1, of Debian's tor. It is ended, by process, when it is dropped.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::running::{Running, free_port};

const AUTHORITIES: usize = 3;
const RELAYS: usize = 2;

/// Where everything is, made anew each time but for the authorities' keys.
const FOLDER: &str = "target/tor/network";
/// They take seconds to make, and are good for a year.
const KEYS: &str = "target/tor/keys";

/// So long the authorities may take to agree, and the relays to be known.
const PATIENCE: Duration = Duration::from_secs(240);

pub(super) struct Network {
    folder: PathBuf,
    nodes: Vec<Node>,
}

/// An authority, or a relay.
struct Node {
    name: String,
    or_port: u16,
    dir_port: Option<u16>,
    folder: PathBuf,
    /// Hexadecimal, of its RSA identity; and base64, of its Ed25519 identity.
    fingerprint: String,
    identity: String,
    running: Option<Running>,
}

impl Network {
    /// Starts it, and waits until every node is known as an exit to this port
    /// of 127.0.0.1.
    pub(super) fn start(exit_to: u16) -> Result<Self, String> {
        let folder = here()?.join(FOLDER);
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|error| in_folder(&folder, &error))?;
        }
        make(&folder)?;
        write(&folder.join("resolv.conf"), "nameserver 127.0.0.1\n")?;
        write(&folder.join("defaults"), "")?;
        let names = (1..=AUTHORITIES)
            .map(|number| format!("auth{number}"))
            .chain((1..=RELAYS).map(|number| format!("relay{number}")));
        let nodes: Result<Vec<Node>, String> =
            names.map(|name| Node::new(&folder, &name)).collect();
        let mut network = Self {
            folder,
            nodes: nodes?,
        };
        network.make_keys()?;
        network.configure(exit_to)?;
        for node in &mut network.nodes {
            node.start(&network.folder)?;
        }
        network.wait()?;
        Ok(network)
    }

    fn make_keys(&mut self) -> Result<(), String> {
        let folder = &self.folder;
        let all: Vec<Result<(), String>> = thread::scope(|scope| {
            let running: Vec<_> = self
                .nodes
                .iter_mut()
                .map(|node| scope.spawn(move || node.make_keys(folder)))
                .collect();
            running
                .into_iter()
                .map(|one| one.join().unwrap_or_else(|_| Err("a key: panicked".into())))
                .collect()
        });
        all.into_iter().collect()
    }

    fn configure(&self, exit_to: u16) -> Result<(), String> {
        let authorities: Result<String, String> = self
            .nodes
            .iter()
            .filter_map(|node| Some((node, node.dir_port?)))
            .map(|(node, dir_port)| {
                let identity = node.authority_identity()?;
                Ok(format!(
                    "DirAuthority {} orport={} no-v2 v3ident={identity} 127.0.0.1:{dir_port} {}\n",
                    node.name, node.or_port, node.fingerprint
                ))
            })
            .collect();
        let authorities = authorities?;
        write(&self.folder.join("authorities"), &authorities)?;
        for node in &self.nodes {
            let mut text = self.common(&node.name) + &authorities;
            text.push_str(&format!(
                "SocksPort 0\n\
                 ORPort 127.0.0.1:{} IPv4Only\n\
                 ExitRelay 1\n\
                 ExitPolicyRejectPrivate 0\n\
                 ExitPolicy accept 127.0.0.0/8:*\n\
                 # What is summarised for clients knows no private addresses.\n\
                 ExitPolicy accept *:{exit_to}\n\
                 ExitPolicy reject *:*\n",
                node.or_port
            ));
            if let Some(dir_port) = node.dir_port {
                text.push_str(&format!("DirPort 127.0.0.1:{dir_port} IPv4Only\n"));
                text.push_str(AUTHORITY);
            }
            write(&node.folder.join("torrc"), &text)?;
        }
        Ok(())
    }

    /// What every node and every client of C tor's is told.
    pub(super) fn common(&self, name: &str) -> String {
        let folder = self.folder.display();
        format!(
            "TestingTorNetwork 1\n\
             DataDirectory {folder}/{name}\n\
             Nickname {name}\n\
             Address 127.0.0.1\n\
             OutboundBindAddress 127.0.0.1\n\
             Log notice file {folder}/{name}/notice.log\n\
             SafeLogging 0\n\
             ShutdownWaitLength 0\n\
             AssumeReachable 1\n\
             PathsNeededToBuildCircuits 0.25\n\
             V3AuthNIntervalsValid 2\n\
             ServerDNSResolvConfFile {folder}/resolv.conf\n\
             ServerDNSDetectHijacking 0\n"
        )
    }

    /// Waits until the consensus has all of them.
    fn wait(&mut self) -> Result<(), String> {
        let end = Instant::now() + PATIENCE;
        let port = self.nodes.iter().find_map(|node| node.dir_port);
        let port = port.ok_or("there is no authority")?;
        loop {
            let known = consensus(port).map_or(0, |text| {
                let flags = text.lines().filter(|line| line.starts_with("s "));
                flags
                    .filter(|line| line.contains(" Exit") && line.contains(" Running"))
                    .count()
            });
            if known >= self.nodes.len() {
                return Ok(());
            }
            if let Some(dead) = self.nodes.iter_mut().find_map(Node::dead) {
                return Err(format!(
                    "{} has ended; see {}/notice.log",
                    dead.name,
                    dead.folder.display()
                ));
            }
            if Instant::now() > end {
                return Err(format!(
                    "the network knows {known} of its {} nodes after {PATIENCE:?}; see {}",
                    self.nodes.len(),
                    self.folder.display()
                ));
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Writes Arti's configuration for a client, whose folder is made anew.
    pub(super) fn client(&self, name: &str) -> Result<PathBuf, String> {
        let folder = self.folder.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|error| in_folder(&folder, &error))?;
        }
        make(&folder)?;
        let (mut identities, mut ports, mut fallbacks) = (Vec::new(), Vec::new(), String::new());
        for node in &self.nodes {
            if let Some(dir_port) = node.dir_port {
                identities.push(format!("\"{}\"", node.authority_identity()?));
                ports.push(format!("[\"127.0.0.1:{dir_port}\"]"));
            }
            fallbacks.push_str(&format!(
                "[[tor_network.fallback_caches]]\n\
                 rsa_identity = \"{}\"\n\
                 ed_identity = \"{}\"\n\
                 orports = [\"127.0.0.1:{}\"]\n\n",
                node.fingerprint, node.identity, node.or_port
            ));
        }
        let (identities, ports) = (identities.join(", "), ports.join(", "));
        let folder_name = folder.display();
        let text = format!(
            "[storage]\n\
             cache_dir = \"{folder_name}/cache\"\n\
             state_dir = \"{folder_name}/state\"\n\n\
             [storage.permissions]\n\
             dangerously_trust_everyone = true\n\n\
             [address_filter]\n\
             allow_local_addrs = true\n\n\
             # All of them are in one network.\n\
             [path_rules]\n\
             ipv4_subnet_family_prefix = 33\n\n\
             [tor_network.authorities]\n\
             v3idents = [{identities}]\n\
             uploads = [{ports}]\n\
             downloads = [{ports}]\n\
             votes = [{ports}]\n\n\
             {fallbacks}"
        );
        let path = folder.join("client.toml");
        write(&path, &text)?;
        Ok(path)
    }

    /// The same, but at the end of every way in is a port that nobody listens on.
    pub(super) fn lost_client(&self, name: &str) -> Result<(PathBuf, u16), String> {
        let path = self.client(name)?;
        let nobody = free_port()?;
        let mut text = fs::read_to_string(&path).map_err(|error| in_folder(&path, &error))?;
        let ports = self
            .nodes
            .iter()
            .flat_map(|node| [Some(node.or_port), node.dir_port]);
        for port in ports.flatten() {
            let there = format!("127.0.0.1:{port}\"");
            text = text.replace(&there, &format!("127.0.0.1:{nobody}\""));
        }
        write(&path, &text)?;
        Ok((path, nobody))
    }

    /// Where one of its relays is.
    pub(super) fn address(&self) -> Option<String> {
        let node = self.nodes.last()?;
        Some(format!("127.0.0.1:{}", node.or_port))
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Kills the node that listens on this port, and says which it was.
    pub(super) fn kill(&mut self, or_port: u16) -> Option<String> {
        let node = self.nodes.iter_mut().find(|node| node.or_port == or_port)?;
        node.running = None;
        Some(node.name.clone())
    }

    /// Starts again what was killed.
    pub(super) fn restart(&mut self) -> Result<(), String> {
        for node in &mut self.nodes {
            if node.running.is_none() {
                node.start(&self.folder)?;
            }
        }
        self.wait()
    }
}

const AUTHORITY: &str = "AuthoritativeDirectory 1\n\
    V3AuthoritativeDirectory 1\n\
    ContactInfo nobody@test.invalid\n\
    TestingV3AuthInitialVotingInterval 5\n\
    TestingV3AuthInitialVoteDelay 2\n\
    TestingV3AuthInitialDistDelay 2\n\
    V3AuthVotingInterval 10\n\
    V3AuthVoteDelay 2\n\
    V3AuthDistDelay 2\n\
    TestingDirAuthVoteExit *\n\
    TestingDirAuthVoteGuard *\n\
    TestingDirAuthVoteHSDir *\n\
    TestingMinExitFlagThreshold 0\n\
    MinUptimeHidServDirectoryV2 0\n";

impl Node {
    fn new(network: &Path, name: &str) -> Result<Self, String> {
        let folder = network.join(name);
        make(&folder)?;
        make(&folder.join("keys"))?;
        Ok(Self {
            name: name.to_owned(),
            or_port: free_port()?,
            dir_port: if name.starts_with("auth") {
                Some(free_port()?)
            } else {
                None
            },
            folder,
            fingerprint: String::new(),
            identity: String::new(),
            running: None,
        })
    }

    fn make_keys(&mut self, network: &Path) -> Result<(), String> {
        if let Some(dir_port) = self.dir_port {
            self.make_authority_keys(dir_port)?;
        }
        let mut command = tor(network);
        command
            .args(["--quiet", "--list-fingerprint", "--orport", "1"])
            .args(["--dirserver", NOBODY, "--datadirectory"])
            .arg(&self.folder)
            .args([Path::new("-f"), &network.join("defaults")]);
        quietly(&mut command)?;
        let second = |file: &str| -> Result<String, String> {
            let path = self.folder.join(file);
            let text = fs::read_to_string(&path).map_err(|error| in_folder(&path, &error))?;
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
        let kept = here()?.join(KEYS).join(&self.name);
        let keys = self.folder.join("keys");
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
            fs::copy(&from, keys.join(file)).map_err(|error| in_folder(&from, &error))?;
        }
        Ok(())
    }

    fn authority_identity(&self) -> Result<String, String> {
        let path = self.folder.join("keys").join(CERTIFICATE);
        let text = fs::read_to_string(&path).map_err(|error| in_folder(&path, &error))?;
        text.lines()
            .find_map(|line| line.strip_prefix("fingerprint "))
            .map(str::to_owned)
            .ok_or_else(|| format!("{}: no fingerprint", path.display()))
    }

    fn start(&mut self, network: &Path) -> Result<(), String> {
        self.running = Some(start_tor(network, &self.folder)?);
        Ok(())
    }

    /// Itself, if it has ended without having been told to.
    fn dead(&mut self) -> Option<&Self> {
        let ended = !matches!(self.running.as_mut()?.0.try_wait(), Ok(None));
        ended.then_some(self)
    }
}

const IDENTITY_KEY: &str = "authority_identity_key";
const SIGNING_KEY: &str = "authority_signing_key";
const CERTIFICATE: &str = "authority_certificate";
/// An authority that nobody asks.
const NOBODY: &str = "x 127.0.0.1:1 ffffffffffffffffffffffffffffffffffffffff";

/// Starts a tor by the `torrc` of its folder.
pub(super) fn start_tor(network: &Path, folder: &Path) -> Result<Running, String> {
    let path = folder.join("stdout");
    let out = fs::File::create(&path).map_err(|error| in_folder(&path, &error))?;
    let child = tor(network)
        .args([Path::new("-f"), &folder.join("torrc")])
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(Stdio::null())
        .spawn();
    child.map(Running).map_err(|error| format!("tor: {error}"))
}

fn tor(network: &Path) -> Command {
    let mut command = Command::new("tor");
    command.args([Path::new("--defaults-torrc"), &network.join("defaults")]);
    command
}

/// The consensus, as an authority gives it out.
fn consensus(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let ask = "GET /tor/status-vote/current/consensus-microdesc HTTP/1.0\r\n\
               Accept-Encoding: identity\r\n\r\n";
    stream.write_all(ask.as_bytes()).ok()?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

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

fn here() -> Result<PathBuf, String> {
    std::env::current_dir().map_err(|error| format!("the project's folder: {error}"))
}

/// A folder that nobody else may read, as tor wants it.
pub(super) fn make(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| in_folder(folder, &error))?;
    private(folder)
}

#[cfg(unix)]
fn private(folder: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
        .map_err(|error| in_folder(folder, &error))
}

#[cfg(not(unix))]
fn private(_: &Path) -> Result<(), String> {
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| in_folder(path, &error))
}

fn in_folder(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}
