//! What is shown of tor on one library, step by step.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use super::library::Library;
use super::names::{self, DOMAIN, HERE, HOST, NameServer, SIX};
use super::{Client, ports, setup};
use crate::running::{Running, ends, free_port, until};
use crate::tornet::{BIG, Daemon, Files, Network, RESOLV_CONF, curl};

/// No step takes so long, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// A network as young as this one finds no way to a host at times, on Debian's libevent too.
const TRIES: u32 = 5;

/// The addresses that the first name server answers with, and the second.
const FIRST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
const SECOND: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 8);
/// The second's file, in place of the first's.
const OTHER_RESOLV_CONF: &str = "other-resolv.conf";

pub(super) struct Scene<'a> {
    library: &'a Library,
    files: &'a Files,
    network: Network,
    /// While it is there.
    names: Option<NameServer>,
    client: Option<Client>,
    began: Instant,
    /// The step that goes on.
    step: Instant,
}

/// Answers what it has shown.
type Step<'a> = fn(&mut Scene<'a>) -> Result<String, String>;

impl<'a> Scene<'a> {
    pub(super) fn new(library: &'a Library, files: &'a Files) -> Result<Self, String> {
        let began = Instant::now();
        let names = NameServer::start(FIRST)?;
        let name = format!("capi-{library}");
        let network = Network::begin(&name, files.port, &setup(library, Some(names.port)))?;
        Ok(Self {
            library,
            files,
            network,
            names: Some(names),
            client: None,
            began,
            step: began,
        })
    }

    /// All of it; an error ends with what the tors have said last.
    pub(super) fn show(mut self) -> Result<(), String> {
        let steps: [Step<'a>; 9] = [
            Self::gather,
            Self::prove,
            Self::join,
            Self::fetch,
            Self::ask,
            Self::crash,
            Self::recover,
            Self::reload,
            Self::end,
        ];
        for step in steps {
            self.step = Instant::now();
            let said = step(&mut self);
            let said = said.map_err(|error| {
                let words = self.words();
                format!("{}: {error}\n{words}", self.library)
            })?;
            eprintln!(
                "   {} {:5.1} s: {said} ({:.1} s)",
                self.library,
                self.began.elapsed().as_secs_f64(),
                self.step.elapsed().as_secs_f64()
            );
        }
        Ok(())
    }

    fn gather(&mut self) -> Result<String, String> {
        self.network.wait()?;
        let count = self.network.nodes.len();
        Ok(format!("{count} nodes are in the consensus, as exits"))
    }

    fn prove(&mut self) -> Result<String, String> {
        let mut pids = Vec::new();
        for node in &self.network.nodes {
            self.library.demand(&node.tor)?;
            pids.push(format!("{} {}", node.tor.name, node.tor.pid()?));
        }
        Ok(format!(
            "each has this libevent and no other, and its method: {}",
            pids.join(", ")
        ))
    }

    fn join(&mut self) -> Result<String, String> {
        let exits: Vec<&str> = self
            .network
            .relays()
            .map(|relay| relay.fingerprint.as_str())
            .collect();
        let client = self.client.insert(Client::start(&self.network, &exits)?);
        until("the client's circuits", PATIENCE, || client.is_there())?;
        self.library.demand(&client.tor)?;
        Ok(format!("a client has circuits: {}", client.tor.pid()?))
    }

    fn fetch(&mut self) -> Result<String, String> {
        let url = self.files.url_at(HERE, "big");
        let got = self.got("big");
        let log = self.network.folder().join("curl.log");
        let mut curl = curl(self.client()?.socks);
        curl.arg(url).arg("-o").arg(&got);
        let (mut tries, mut began) = (1, Instant::now());
        while let Err(error) = ends(&mut curl, &log, PATIENCE) {
            if tries == TRIES {
                return Err(error);
            }
            thread::sleep(Duration::from_secs(2));
            (tries, began) = (tries + 1, Instant::now());
        }
        self.files.same(&got, "big")?;
        self.names()?.demand(HERE, "A")?;
        let rate = BIG as f64 / 1e6 / began.elapsed().as_secs_f64();
        Ok(format!(
            "64 MiB from {HERE} by SOCKS, byte for byte, {rate:.1} MB/s, at try {tries}"
        ))
    }

    fn ask(&mut self) -> Result<String, String> {
        let (port, names) = (self.client()?.dns, self.names()?);
        let told = |question: &[&str], wanted: &str| {
            let said = names::ask(port, question)?;
            if said == wanted {
                return Ok(());
            }
            let question = question.join(" ");
            Err(format!("DNSPort says {said:?} of {question}, not {wanted}"))
        };
        let name = format!("one.{DOMAIN}");
        told(&[&name, "A"], &names.address.to_string())?;
        names.demand(&name, "A")?;
        let name = format!("six.{DOMAIN}");
        told(&[&name, "AAAA"], SIX)?;
        names.demand(&name, "AAAA")?;
        told(&["-x", &names.address.to_string()], &format!("{HOST}."))?;
        names.demand("7.2.0.192.in-addr.arpa", "PTR")?;
        told(&["-x", SIX], &format!("{HOST}."))?;
        told(&["nowhere.test", "A"], "NXDOMAIN")?;
        names.demand("nowhere.test", "A")?;
        Ok("DNSPort answers A, AAAA, PTR and NXDOMAIN, by the exit's name server".into())
    }

    /// The relay that a transfer leaves by is killed.
    fn crash(&mut self) -> Result<String, String> {
        let got = self.got("cut");
        let mut command = curl(self.client()?.socks);
        command.args(["--limit-rate", "2M", "-o"]).arg(&got);
        command.arg(self.files.url("big")).stderr(Stdio::null());
        let child = command.spawn();
        let mut transfer = Running(child.map_err(|error| format!("curl: {error}"))?);
        until("the transfer to be under way", PATIENCE, || {
            fs::metadata(&got).is_ok_and(|file| file.len() > 3 << 20)
        })?;
        let relay = self.exit()?;
        relay.kill();
        let killed = relay.name.clone();
        if transfer.ended(PATIENCE)?.success() {
            return Err(format!("the transfer outlived {killed}"));
        }
        let began = Instant::now();
        self.fetch_by(|name| name != killed)?;
        Ok(format!(
            "{killed} killed in mid-transfer; another fetch was done {:.1} s later, by {}",
            began.elapsed().as_secs_f64(),
            self.exit()?.name
        ))
    }

    /// It is started again, and the client told to leave by it (SIGHUP).
    fn recover(&mut self) -> Result<String, String> {
        let relays = self.network.relays();
        let killed = relays.filter(|relay| !relay.tor.is_started()).last();
        let killed = killed.ok_or("no relay was killed")?;
        let (name, fingerprint) = (killed.tor.name.clone(), killed.fingerprint.clone());
        self.network.restart()?;
        let client = self.client()?;
        let all = client
            .lines
            .lines()
            .filter(|line| !line.starts_with("ExitNodes"));
        let lines = all.map(|line| format!("{line}\n")).collect::<String>();
        let lines = lines + &format!("ExitNodes {fingerprint}\n");
        let text = client.tor.configuration()?.replace(&client.lines, &lines);
        client.tor.configure(&text)?;
        client.tor.reload()?;
        client.lines = lines;
        self.fetch_by(|exit| exit == name)?;
        for node in &self.network.nodes {
            self.library.demand(&node.tor)?;
        }
        Ok(format!("{name} started again, and fetched by"))
    }

    /// Each hears SIGHUP: exits of another name server, the client of other ports.
    fn reload(&mut self) -> Result<String, String> {
        // The first does not answer any more.
        self.names = None;
        let second = NameServer::start(SECOND)?;
        let file = self
            .network
            .write_name_server(OTHER_RESOLV_CONF, Some(second.port))?;
        for node in &self.network.nodes {
            let text = node.tor.configuration()?;
            let old = self.network.folder().join(RESOLV_CONF);
            let text = text.replace(&old.display().to_string(), &file.display().to_string());
            node.tor.configure(&text)?;
            node.tor.reload()?;
        }
        let (socks, dns) = (free_port()?, free_port()?);
        let client = self.client()?;
        let before = client.socks;
        let text = client.tor.configuration()?;
        let text = text.replace(&ports(before, client.dns), &ports(socks, dns));
        client.tor.configure(&text)?;
        client.tor.reload()?;
        (client.socks, client.dns) = (socks, dns);
        until("the old SocksPort to close", PATIENCE, || {
            TcpStream::connect(("127.0.0.1", before)).is_err()
        })?;
        let name = format!("two.{DOMAIN}");
        let said = names::ask(dns, &[&name, "A"])?;
        if said != SECOND.to_string() {
            return Err(format!("DNSPort says {said:?} of {name}, not {SECOND}"));
        }
        second.demand(&name, "A")?;
        self.names = Some(second);
        self.fetch_by(|_| true)?;
        Ok("SIGHUP: other name server, SocksPort and DNSPort".into())
    }

    /// Each is ended as people do, and says that all was well.
    fn end(&mut self) -> Result<String, String> {
        self.client()?.tor.end()?;
        for node in &mut self.network.nodes {
            node.tor.end()?;
        }
        Ok("SIGTERM: each has ended with status 0".into())
    }

    /// Fetches, again and again, until it has come by such an exit.
    fn fetch_by(&mut self, wanted: impl Fn(&str) -> bool) -> Result<(), String> {
        let (got, socks) = (self.got("small"), self.client()?.socks);
        let log = self.network.folder().join("curl.log");
        let out = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        until("a fetch by another circuit", PATIENCE, || {
            let mut command = curl(socks);
            command.args(["--max-time", "60", "-o"]).arg(&got);
            command.arg(self.files.url("small"));
            let log = out.try_clone().map_or_else(|_| Stdio::null(), Stdio::from);
            let status = command.stderr(log).status();
            let came = status.is_ok_and(|status| status.success())
                && self.exit().is_ok_and(|exit| wanted(&exit.name));
            came || !self.network.ended().is_empty()
        })?;
        if let Some(dead) = self.network.ended().first() {
            return Err(format!("{} has ended", dead.name));
        }
        self.files.same(&got, "small")
    }

    /// The node that the last connection left by.
    fn exit(&mut self) -> Result<&mut Daemon, String> {
        let by = self.files.asked_by();
        let node = by.and_then(|pid| self.network.with_pid(pid));
        node.map(|node| &mut node.tor)
            .ok_or_else(|| format!("the process {by:?} asks for files, and is no exit"))
    }

    fn client(&mut self) -> Result<&mut Client, String> {
        self.client
            .as_mut()
            .ok_or_else(|| "there is no client".into())
    }

    fn names(&self) -> Result<&NameServer, String> {
        self.names
            .as_ref()
            .ok_or_else(|| "there is no name server".into())
    }

    fn got(&self, name: &str) -> PathBuf {
        let path = self.network.folder().join(name);
        // One of before would be taken for this one.
        let _ = fs::remove_file(&path);
        path
    }

    /// The last words of those that have ended; of the client, or of all, if none has.
    fn words(&mut self) -> String {
        let mut ended: Vec<String> = Vec::new();
        let nodes = self.network.nodes.iter_mut().map(|node| &mut node.tor);
        for tor in nodes.chain(self.client.as_mut().map(|client| &mut client.tor)) {
            if tor.has_ended() {
                ended.push(format!("{} has ended; {}", tor.name, tor.last_words()));
            }
        }
        match &self.client {
            _ if !ended.is_empty() => ended.concat(),
            Some(client) => client.tor.last_words(),
            None => self
                .network
                .nodes
                .iter()
                .map(|node| node.tor.last_words())
                .collect(),
        }
    }
}
