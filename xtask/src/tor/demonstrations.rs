//! What is shown in the network, on one backend.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::arti;
use super::wire::Wire;
use crate::running::{Running, ends, free_port, read, until};
use crate::tornet::{Files, Network, SMALL, curl};

/// No step takes so long, on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(1200);

/// An idle proxy wakes no oftener, in a second.
const MOST_WAKES: f64 = 20.0;

/// So long, in seconds, a SOCKS client has to say what it wants.
const STALLS: f64 = 30.0;

pub(super) const PROGRAM: &str = "tor/target/debug/ferrevent-tor";

pub(super) struct Place<'a> {
    network: &'a mut Network,
    files: &'a Files,
    backend: &'a str,
}

impl<'a> Place<'a> {
    pub(super) fn new(network: &'a mut Network, files: &'a Files, backend: &'a str) -> Self {
        Self {
            network,
            files,
            backend,
        }
    }

    pub(super) fn show_all(&mut self) -> Result<(), String> {
        self.fetch()?;
        self.nobody()?;
        self.proxy()?;
        self.limit()
    }

    /// Bootstrap, and a file through three hops.
    fn fetch(&self) -> Result<(), String> {
        self.say("64 MiB through three hops");
        let config = arti::client(self.network, "client")?;
        let got = self.got("fetched");
        let began = Instant::now();
        let mut child = self.program("fetch", &config, &[])?;
        child.args(["--timeout", &PATIENCE.as_secs().to_string()]);
        child.args(["-o", &got.display().to_string(), &self.files.url("big")]);
        let log = self.network.folder().join("fetch.log");
        ends(&mut child, &log, PATIENCE)?;
        self.files.same(&got, "big")?;
        let said = read(&log)?;
        eprintln!(
            "   {} ({:.1} s in all)",
            said.trim_end(),
            began.elapsed().as_secs_f64()
        );
        Ok(())
    }

    /// Neither authority nor relay answers.
    fn nobody(&self) -> Result<(), String> {
        self.say("authorities that nobody answers for");
        let (config, port) = arti::lost_client(self.network, "lost")?;
        let mut child = self.program("fetch", &config, &[])?;
        child.args(["--timeout", "15", &self.files.url("small")]);
        child.stdout(Stdio::null());
        let log = self.network.folder().join("lost.log");
        let Err(said) = ends(&mut child, &log, PATIENCE) else {
            return Err("it was fetched".into());
        };
        eprintln!("   {said}");
        let names = format!("127.0.0.1:{port}: ");
        if said.contains("no way into the Tor network within 15 s") && said.contains(&names) {
            return Ok(());
        }
        Err(format!(
            "it does not say that {names} is in the way: {said}"
        ))
    }

    /// curl by way of SOCKS: one big file, many small ones at once, a client
    /// that stalls, and a relay that dies.
    fn proxy(&mut self) -> Result<(), String> {
        let proxy = self.start_proxy(&[])?;
        self.say("64 MiB by curl through SOCKS");
        let got = self.got("curled");
        let mut curl = proxy.curl();
        curl.args([&self.files.url("big"), "-o", &got.display().to_string()]);
        ends(&mut curl, &self.network.folder().join("curl.log"), PATIENCE)?;
        self.files.same(&got, "big")?;

        self.say("50 fetches at once");
        let mut curl = proxy.curl();
        curl.args(["-Z", "--parallel-max", "50", "--parallel-immediate"]);
        let all: Vec<PathBuf> = (0..50).map(|n| self.got(&format!("many-{n}"))).collect();
        for path in &all {
            curl.args([&self.files.url("small"), "-o", &path.display().to_string()]);
        }
        ends(&mut curl, &self.network.folder().join("curl.log"), PATIENCE)?;
        for path in &all {
            self.files.same(path, "small")?;
        }

        self.stalled(&proxy)?;
        self.say("a relay killed in mid-transfer");
        self.kill(&proxy)?;
        self.idle(&proxy)
    }

    /// Who begins to speak SOCKS and goes no further is let go.
    fn stalled(&self, proxy: &Proxy) -> Result<(), String> {
        self.say("a SOCKS client that stalls");
        let began = Instant::now();
        let stalls = || {
            let mut stream = TcpStream::connect(("127.0.0.1", proxy.port))?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(&[5])?;
            Ok(stream)
        };
        let mut stream = stalls().map_err(|error: io::Error| format!("SOCKS: {error}"))?;
        let got = self.got("beside");
        let mut curl = proxy.curl();
        curl.args([&self.files.url("small"), "-o", &got.display().to_string()]);
        ends(&mut curl, &self.network.folder().join("curl.log"), PATIENCE)?;
        self.files.same(&got, "small")?;
        match stream.read(&mut [0; 16]) {
            // A reset is as good.
            Ok(0) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            other => return Err(format!("the proxy answers it {other:?}")),
        }
        let seconds = began.elapsed().as_secs_f64();
        eprintln!("   let go after {seconds:.1} s; another was served meanwhile");
        if seconds < STALLS {
            return Err(format!("it had {STALLS} s"));
        }
        Ok(())
    }

    fn kill(&mut self, proxy: &Proxy) -> Result<(), String> {
        let got = self.got("cut");
        let mut curl = proxy.curl();
        curl.args(["--limit-rate", "2M"]);
        curl.args([&self.files.url("big"), "-o", &got.display().to_string()]);
        let log = File::create(self.network.folder().join("cut.log"));
        let log = log.map_err(|error| error.to_string())?;
        let child = curl.stderr(log).spawn();
        let mut curl = Running(child.map_err(|error| format!("curl: {error}"))?);
        until("the transfer to be under way", PATIENCE, || {
            fs::metadata(&got).is_ok_and(|file| file.len() > 3 << 20)
        })?;
        // The link that carries the most is the one to the circuit's guard.
        let wire = Wire::of(proxy.running.0.id(), proxy.port)?;
        let guard = wire.busiest().ok_or("the proxy has no link")?;
        let guard = self.network.at(guard).ok_or("its peer is no node")?;
        guard.tor.kill();
        let killed = guard.tor.name.clone();
        let status = curl.ended(PATIENCE)?;
        if status.success() {
            return Err(format!("the transfer outlived {killed}"));
        }
        let began = Instant::now();
        let got = self.got("after");
        until("another circuit", PATIENCE, || {
            let mut curl = proxy.curl();
            curl.args(["--max-time", "60", &self.files.url("small"), "-o"]);
            curl.arg(&got).stderr(Stdio::null());
            curl.status().is_ok_and(|status| status.success())
        })?;
        self.files.same(&got, "small")?;
        eprintln!(
            "   {killed} killed; the next fetch was done {:.1} s later",
            began.elapsed().as_secs_f64()
        );
        self.network.restart()
    }

    /// Nothing goes on. Arti has timers, and asks for a fresh directory now and
    /// then; a tick of 100 Hz, or workers that look after one another, would be
    /// more than the bound.
    fn idle(&self, proxy: &Proxy) -> Result<(), String> {
        self.say("idle");
        let pid = proxy.running.0.id();
        thread::sleep(Duration::from_secs(5));
        let (before, began) = (switches(pid)?, Instant::now());
        thread::sleep(Duration::from_secs(20));
        let wakes = switches(pid)?.saturating_sub(before);
        let rate = wakes as f64 / began.elapsed().as_secs_f64();
        eprintln!("   {rate:.1} wake-ups a second");
        if rate > MOST_WAKES {
            return Err(format!("an idle proxy wakes {rate:.1} times a second"));
        }
        Ok(())
    }

    /// The limit of all links, counted by the kernel.
    fn limit(&self) -> Result<(), String> {
        // As much as a busy machine can do with, through three hops.
        const RATE: f64 = 100_000.0;
        const FETCHES: usize = 10;
        self.say("100 kB/s, counted on the wire");
        let proxy = self.start_proxy(&["--rate", "100KB/s", "--burst", "100KB"])?;
        // One circuit alone may be slower: its congestion control takes the
        // limit for a queue. Other users are on other circuits.
        let mut fetching = Vec::new();
        for number in 0..FETCHES {
            let mut curl = proxy.curl();
            curl.args(["--proxy-user", &format!("user{number}:x")]);
            curl.args([&self.files.url("big"), "-o", "/dev/null"]);
            let child = curl.stderr(Stdio::null()).spawn();
            fetching.push(Running(child.map_err(|error| format!("curl: {error}"))?));
        }
        let pid = proxy.running.0.id();
        let began = Wire::of(pid, proxy.port)?;
        until("the burst to be over", PATIENCE, || {
            Wire::of(pid, proxy.port).is_ok_and(|wire| wire.more_than(&began) > 400_000)
        })?;
        let before = Wire::of(pid, proxy.port)?;
        thread::sleep(Duration::from_secs(60));
        let after = Wire::of(pid, proxy.port)?;
        let rate = after.taken_since(&before);
        let off = (rate / RATE - 1.0) * 100.0;
        eprintln!("   {:.1} kB/s, {off:+.2} %", rate / 1e3);
        if off.abs() > 3.0 {
            return Err(format!("the limit is missed by {off:.2} %"));
        }
        Ok(())
    }

    fn start_proxy(&self, more: &[&str]) -> Result<Proxy, String> {
        let port = free_port()?;
        let config = arti::client(self.network, "client")?;
        let log = self.network.folder().join("proxy.log");
        let out = File::create(&log).map_err(|error| error.to_string())?;
        let mut command = self.program("proxy", &config, more)?;
        let child = command
            .args(["--socks", &format!("127.0.0.1:{port}")])
            .stderr(out)
            .spawn();
        let mut running = Running(child.map_err(|error| format!("{PROGRAM}: {error}"))?);
        until("the proxy", PATIENCE, || {
            fs::read_to_string(&log).is_ok_and(|said| said.contains("SOCKS on"))
                || !matches!(running.0.try_wait(), Ok(None))
        })?;
        if let Ok(Some(status)) = running.0.try_wait() {
            return Err(format!("the proxy ended, {status}: {}", read(&log)?));
        }
        Ok(Proxy { running, port })
    }

    fn program(&self, command: &str, config: &Path, more: &[&str]) -> Result<Command, String> {
        let mut program = Command::new(PROGRAM);
        program
            .args([
                command,
                "--backend",
                self.backend,
                "--log",
                "error",
                "--config",
            ])
            .arg(config)
            .args(more)
            .stdin(Stdio::null());
        Ok(program)
    }

    fn say(&self, what: &str) {
        eprintln!("== {}: {what}", self.backend);
    }

    fn got(&self, name: &str) -> PathBuf {
        let path = self.network.folder().join("client").join(name);
        // One of before would be taken for this one.
        let _ = fs::remove_file(&path);
        path
    }
}

/// A proxy that runs.
struct Proxy {
    running: Running,
    port: u16,
}

impl Proxy {
    fn curl(&self) -> Command {
        curl(self.port)
    }
}

/// How often its threads have gone to sleep (proc_pid_status(5)).
fn switches(pid: u32) -> Result<u64, String> {
    let path = format!("/proc/{pid}/task");
    let threads = fs::read_dir(&path).map_err(|error| format!("{path}: {error}"))?;
    let mut all = 0;
    for thread in threads.flatten() {
        // One may have ended meanwhile.
        let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        let count = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        all += count
            .and_then(|count| count.trim().parse::<u64>().ok())
            .unwrap_or(0);
    }
    Ok(all)
}

/// What 50 fetches bring together is no more than one big one.
const _: () = assert!(50 * SMALL <= crate::tornet::BIG);
