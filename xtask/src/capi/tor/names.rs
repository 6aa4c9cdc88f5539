//! The name server that exits ask, and what a client's DNSPort answers.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::running::{Running, free_port, read, wait_for};

/// What the exits' own address is called.
pub(super) const HERE: &str = "files.test";
/// Every name in here has the server's address of it; that of the new style is always this.
pub(super) const DOMAIN: &str = "shown.test";
pub(super) const SIX: &str = "2001:db8::7";
/// The name of that address, and of the server's address.
pub(super) const HOST: &str = "host.shown.test";

/// Debian's unbound on Debian's libevent. It knows these names alone, and
/// writes down what it is asked.
pub(super) struct NameServer {
    _running: Running,
    pub(super) port: u16,
    pub(super) address: Ipv4Addr,
    log: PathBuf,
}

impl NameServer {
    /// One for which every name in the domain has this address.
    pub(super) fn start(address: Ipv4Addr) -> Result<Self, String> {
        let at = |path: &Path, error| format!("{}: {error}", path.display());
        let folder = Path::new(FOLDER);
        std::fs::create_dir_all(folder).map_err(|error| at(folder, error))?;
        let port = free_port()?;
        let settings = folder.join(format!("unbound-{port}.conf"));
        let log = folder.join(format!("unbound-{port}.log"));
        let text = format!(
            "server:\n interface: 127.0.0.1\n port: {port}\n access-control: 127.0.0.0/8 allow\n \
             do-daemonize: no\n username: \"\"\n chroot: \"\"\n directory: \"\"\n pidfile: \"\"\n \
             use-syslog: no\n log-queries: yes\n do-ip6: no\n module-config: \"iterator\"\n \
             local-zone: \"test.\" static\n local-data: \"{HERE}. 60 A 127.0.0.1\"\n \
             local-zone: \"{DOMAIN}.\" redirect\n local-data: \"{DOMAIN}. 60 A {address}\"\n \
             local-data: \"{DOMAIN}. 60 AAAA {SIX}\"\n \
             local-data-ptr: \"{address} 60 {HOST}\"\n local-data-ptr: \"{SIX} 60 {HOST}\"\n\
             remote-control:\n control-enable: no\n"
        );
        std::fs::write(&settings, text).map_err(|error| at(&settings, error))?;
        let out = File::create(&log).map_err(|error| at(&log, error))?;
        let child = Command::new("/usr/sbin/unbound")
            .args(["-d", "-c"])
            .arg(&settings)
            .env_remove("LD_LIBRARY_PATH")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(out)
            .spawn();
        let running = Running(child.map_err(|error| format!("unbound: {error}"))?);
        wait_for(&format!("127.0.0.1:{port}"))?;
        Ok(Self {
            _running: running,
            port,
            address,
            log,
        })
    }

    /// An error unless it was asked for records of that type of that name.
    pub(super) fn demand(&self, name: &str, kind: &str) -> Result<(), String> {
        let question = format!(" {name}. {kind} IN").to_lowercase();
        let asked = read(&self.log)?.to_lowercase();
        if asked.contains(&question) {
            return Ok(());
        }
        let log = self.log.display();
        Err(format!("nobody asked the name server for{question}: {log}"))
    }
}

const FOLDER: &str = "target/tor/names";

/// What a server on this port says, by dig: the data of the answer, line by line, or its code.
pub(super) fn ask(port: u16, question: &[&str]) -> Result<String, String> {
    let output = Command::new("dig")
        .args([
            "@127.0.0.1",
            "-p",
            &port.to_string(),
            "+tries=1",
            "+timeout=20",
        ])
        .args(["+noall", "+comments", "+answer"])
        .args(question)
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .map_err(|error| format!("dig: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let answers = text.lines().filter(|line| !line.starts_with(';'));
    let data: Vec<&str> = answers
        .filter_map(|line| line.split_whitespace().nth(4))
        .collect();
    if !data.is_empty() {
        return Ok(data.join("\n"));
    }
    let code = text
        .split("status: ")
        .nth(1)
        .and_then(|rest| rest.split(',').next());
    code.map(str::to_owned)
        .ok_or_else(|| format!("dig {}: {}", question.join(" "), text.trim()))
}
