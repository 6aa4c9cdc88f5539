//! A Tor network on this machine alone: authorities and relays, all on
//! 127.0.0.1, of Debian's tor. It is ended, by process, when it is dropped.

mod daemon;
mod files;
mod node;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::packages;
use crate::running::until;

pub(crate) use daemon::{Daemon, Setup};
pub(crate) use files::{BIG, Files, SMALL};
pub(crate) use node::Node;

use daemon::{DEFAULTS, LOG};

pub(crate) const PACKAGES: &[packages::Wanted] = &[
    ("command -v tor", "tor"),
    ("command -v tor-gencert", "tor"),
    ("command -v curl", "curl"),
];

const AUTHORITIES: usize = 3;
const RELAYS: usize = 2;

/// Where everything is, made anew each time but for the authorities' keys.
const FOLDER: &str = "target/tor";

/// So long the authorities may take to agree, and the relays to be known.
const PATIENCE: Duration = Duration::from_secs(240);

pub(crate) struct Network {
    folder: PathBuf,
    setup: Setup,
    pub(crate) nodes: Vec<Node>,
}

impl Network {
    /// Starts it, and waits until every node is known as an exit to this port
    /// of 127.0.0.1.
    pub(crate) fn start(name: &str, exit_to: u16, setup: &Setup) -> Result<Self, String> {
        let mut network = Self::begin(name, exit_to, setup)?;
        network.wait()?;
        Ok(network)
    }

    /// Starts it.
    pub(crate) fn begin(name: &str, exit_to: u16, setup: &Setup) -> Result<Self, String> {
        let folder = here()?.join(FOLDER).join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|error| at(&folder, &error))?;
        }
        make(&folder)?;
        write(&folder.join(DEFAULTS), "")?;
        let names = (1..=AUTHORITIES)
            .map(|number| format!("auth{number}"))
            .chain((1..=RELAYS).map(|number| format!("relay{number}")));
        let nodes: Result<Vec<Node>, String> =
            names.map(|name| Node::new(&folder, &name, setup)).collect();
        let mut network = Self {
            folder,
            setup: setup.clone(),
            nodes: nodes?,
        };
        network.write_name_server(RESOLV_CONF, setup.names)?;
        network.make_keys()?;
        network.configure(exit_to)?;
        for node in &mut network.nodes {
            node.tor.start()?;
        }
        Ok(network)
    }

    /// Writes a resolv.conf of the network, and answers where it is.
    pub(crate) fn write_name_server(
        &self,
        file: &str,
        port: Option<u16>,
    ) -> Result<PathBuf, String> {
        let path = self.folder.join(file);
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        write(&path, &format!("nameserver 127.0.0.1{port}\n"))?;
        Ok(path)
    }

    fn make_keys(&mut self) -> Result<(), String> {
        let all: Vec<Result<(), String>> = thread::scope(|scope| {
            let nodes = self.nodes.iter_mut();
            let running: Vec<_> = nodes
                .map(|node| scope.spawn(move || node.make_keys()))
                .collect();
            running
                .into_iter()
                .map(|one| one.join().unwrap_or_else(|_| Err("a key: panicked".into())))
                .collect()
        });
        all.into_iter().collect()
    }

    fn configure(&self, exit_to: u16) -> Result<(), String> {
        let authorities = self.authorities()?;
        for node in &self.nodes {
            let mut text = self.common(&node.tor.name) + &authorities;
            text.push_str(&format!(
                "SocksPort 0\n\
                 ORPort 127.0.0.1:{} IPv4Only\n\
                 ExitRelay 1\n\
                 IPv6Exit 1\n\
                 ExitPolicyRejectPrivate 0\n\
                 ExitPolicy accept 127.0.0.0/8:*\n\
                 # What is summarised for clients knows no private addresses.\n\
                 ExitPolicy accept *:{exit_to}\n\
                 ExitPolicy reject *:*\n\
                 # An exit that has not heard of all yet takes streams from them too.\n\
                 RefuseUnknownExits 0\n",
                node.or_port
            ));
            if let Some(dir_port) = node.dir_port {
                text.push_str(&format!("DirPort 127.0.0.1:{dir_port} IPv4Only\n"));
                text.push_str(AUTHORITY);
            }
            node.tor.configure(&text)?;
        }
        Ok(())
    }

    fn authorities(&self) -> Result<String, String> {
        let nodes = self.nodes.iter();
        nodes
            .filter_map(|node| Some((node, node.dir_port?)))
            .map(|(node, dir_port)| {
                let identity = node.authority_identity()?;
                Ok(format!(
                    "DirAuthority {} orport={} no-v2 v3ident={identity} 127.0.0.1:{dir_port} {}\n",
                    node.tor.name, node.or_port, node.fingerprint
                ))
            })
            .collect()
    }

    /// What every node and every client of C tor's is told.
    fn common(&self, name: &str) -> String {
        let folder = self.folder.display();
        format!(
            "TestingTorNetwork 1\n\
             DataDirectory {folder}/{name}\n\
             Nickname {name}\n\
             Address 127.0.0.1\n\
             OutboundBindAddress 127.0.0.1\n\
             Log notice file {folder}/{name}/{LOG}\n\
             SafeLogging 0\n\
             ShutdownWaitLength 0\n\
             AssumeReachable 1\n\
             PathsNeededToBuildCircuits 0.25\n\
             V3AuthNIntervalsValid 2\n\
             ServerDNSResolvConfFile {folder}/{RESOLV_CONF}\n\
             ServerDNSDetectHijacking 0\n"
        )
    }

    /// Waits until the consensus has all of them.
    pub(crate) fn wait(&mut self) -> Result<(), String> {
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
            if let Some(dead) = self.ended().first() {
                return Err(format!("{} has ended; {}", dead.name, dead.last_words()));
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

    /// Starts a client that is C tor, by these lines; its folder is made anew.
    pub(crate) fn client(&self, name: &str, lines: &str) -> Result<Daemon, String> {
        let mut client = Daemon::new(&self.folder, name, &self.setup)?;
        client.configure(&(self.common(name) + &self.authorities()? + lines))?;
        client.start()?;
        Ok(client)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The node that listens on this port.
    pub(crate) fn at(&mut self, or_port: u16) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| node.or_port == or_port)
    }

    /// The node that is this process.
    pub(crate) fn with_pid(&mut self, pid: u32) -> Option<&mut Node> {
        let mut nodes = self.nodes.iter_mut();
        nodes.find(|node| node.tor.pid() == Ok(pid))
    }

    pub(crate) fn relays(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.dir_port.is_none())
    }

    /// Those that have ended without having been told to.
    pub(crate) fn ended(&mut self) -> Vec<&Daemon> {
        let nodes = self.nodes.iter_mut();
        nodes
            .filter_map(|node| node.tor.has_ended().then_some(&node.tor))
            .collect()
    }

    /// Starts again what was killed.
    pub(crate) fn restart(&mut self) -> Result<(), String> {
        for node in &mut self.nodes {
            if !node.tor.is_started() {
                // The kernel ends an io_uring, and lets go of what it waits for, some time
                // after the process has ended.
                let port = node.or_port;
                until("the port of one that was killed", PATIENCE, || {
                    TcpListener::bind(("127.0.0.1", port)).is_ok()
                })?;
                node.tor.start()?;
            }
        }
        self.wait()
    }
}

/// The name servers that exits ask at first.
pub(crate) const RESOLV_CONF: &str = "resolv.conf";

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

/// curl by way of SOCKS at this port of 127.0.0.1.
pub(crate) fn curl(socks: u16) -> Command {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--fail", "--noproxy", "", "--socks5-hostname"])
        .arg(format!("127.0.0.1:{socks}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    curl
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

fn here() -> Result<PathBuf, String> {
    std::env::current_dir().map_err(|error| format!("the project's folder: {error}"))
}

/// A folder that nobody else may read, as tor wants it.
pub(crate) fn make(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| at(folder, &error))?;
    private(folder)
}

#[cfg(unix)]
fn private(folder: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
        .map_err(|error| at(folder, &error))
}

#[cfg(not(unix))]
fn private(_: &Path) -> Result<(), String> {
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| at(path, &error))
}

fn at(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}
