//! The command on a kernel that really fails: calls that strace(1) has fail,
//! and packets that are lost in a network namespace of the test's own.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use ferrevent::BackendKind;

const PATIENCE: Duration = Duration::from_secs(60);
/// What moves bytes, and what waits, whatever the backend.
const MOVING: &str = "recvfrom,recvmsg,sendto,sendmsg";
const WAITING: &str = "epoll_wait,epoll_pwait2,poll";

/// Each kernel interface, on a loop and on a pool.
fn columns() -> Vec<(BackendKind, &'static str)> {
    let kinds = BackendKind::ALL.iter().copied();
    let real = kinds.filter(|kind| !matches!(kind, BackendKind::Simulated(_)));
    real.flat_map(|kind| [(kind, "0"), (kind, "2")]).collect()
}

#[test]
fn interrupted_calls_are_not_noticed() {
    on_columns("interrupted", |relay| {
        let sent = relay.clients(8, 60_000);
        assert_eq!(sent, vec![Ok(()); 8]);
        let injected = relay.injected();
        assert!(injected > 20, "{injected} calls were interrupted");
        format!("{injected} calls interrupted, 8 times 60000 bytes right")
    });
}

#[test]
fn a_send_that_fails_ends_its_own_connection() {
    on_columns("no buffers", |relay| {
        let sent = relay.clients(8, 60_000);
        let injected = relay.injected();
        let failed = sent.iter().filter(|one| one.is_err()).count();
        assert!((1..=2).contains(&injected), "{injected} calls failed");
        assert!(failed <= injected, "{failed} failed, {injected} calls did");
        let line = relay.line("No buffer space available");
        format!("{injected} calls failed, {failed} clients cut short: {line}")
    });
}

#[test]
fn a_listener_without_descriptors_rests_and_goes_on() {
    on_columns("no descriptors", |relay| {
        let start = Instant::now();
        let sent = relay.clients(4, 1000);
        assert_eq!(sent, vec![Ok(()); 4]);
        let injected = relay.injected();
        assert!(injected >= 3, "{injected} accepts failed");
        let line = relay.line("cannot accept connections: Too many open files");
        let took = start.elapsed().as_millis();
        format!("{injected} accepts failed, all served within {took} ms: {line}")
    });
}

/// What strace is told to have fail.
fn injection(name: &str) -> String {
    match name {
        "interrupted" => format!("{MOVING},accept4,{WAITING}:error=EINTR:when=2+3"),
        "no buffers" => "sendto,sendmsg:error=ENOBUFS:when=8".to_owned(),
        _ => "accept4:error=EMFILE:when=1..3".to_owned(),
    }
}

fn on_columns(name: &str, test: impl Fn(&Relay) -> String) {
    if let Err(why) = run(Command::new("strace").args(["-o", "/dev/null", "true"])) {
        return skip(&format!("no process may be traced here: {why}"));
    }
    // A ring's operations are no calls that can be traced.
    let calls =
        |(kind, _): &(BackendKind, &str)| matches!(kind, BackendKind::Epoll | BackendKind::Poll);
    for (backend, workers) in columns().into_iter().filter(calls) {
        let upstream = echo_server();
        let relay = Relay::traced(&injection(name), upstream, backend, workers);
        let text = test(&relay);
        say(&format!("{name}, {backend}, {workers} workers: {text}"));
    }
}

/// Bytes that come through packet loss are right, too.
#[test]
fn packet_loss_loses_no_byte() {
    // Who is not root may be so in a namespace of users.
    let ways = [&["--net"][..], &["--net", "--map-root-user"]];
    let makes = |way: &&[&str]| run(Command::new("unshare").args(*way).arg("true"));
    let Some(way) = ways.iter().find(|way| makes(way).is_ok()) else {
        let why = makes(&ways[1]).unwrap_err();
        return skip(&format!("no network namespace can be made here: {why}"));
    };
    let output = Command::new("unshare")
        .args(*way)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "inside_the_namespace", "--nocapture"])
        .env("FERREVENT_NAMESPACE", "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    say(text.trim_end());
    assert!(output.status.success(), "{}", output.status);
}

/// The part of the test above that runs where packets are lost.
#[test]
fn inside_the_namespace() {
    if std::env::var_os("FERREVENT_NAMESPACE").is_none() {
        return;
    }
    // Small packets, so that there are many to lose.
    run(Command::new("ip").args([
        "link",
        "set",
        "lo",
        "mtu",
        "1500",
        "gso_max_segs",
        "1",
        "up",
    ]))
    .unwrap();
    if let Err(why) = lose_packets() {
        return skip(&format!("this kernel can lose no packets: {why}"));
    }
    for (backend, workers) in columns() {
        let upstream = echo_server();
        let relay = Relay::start(&[], upstream, backend, workers);
        let start = Instant::now();
        let sent = relay.clients(6, 150_000);
        assert_eq!(sent, vec![Ok(()); 6]);
        say(&format!(
            "packet loss, {backend}, {workers} workers: 6 times 150000 bytes right in {:.1} s; \
             lost so far: {}",
            start.elapsed().as_secs_f64(),
            lost()
        ));
    }
    assert!(!lost().starts_with("packets 0"), "nothing was lost");
}

/// Three of a hundred packets are dropped on their way in.
fn lose_packets() -> Result<(), String> {
    const RULES: &str = "table inet loss {
        chain incoming {
            type filter hook input priority 0; policy accept;
            meta l4proto tcp numgen random mod 100 < 3 counter drop
        }
    }\n";
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("nft: {error}"))?;
    child
        .stdin
        .take()
        .unwrap()
        .write_all(RULES.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// What the rule has dropped, in its own words.
fn lost() -> String {
    let output = Command::new("nft")
        .args(["list", "ruleset"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rest = text.split("counter ").nth(1).unwrap_or_default();
    rest.split(" drop").next().unwrap_or_default().to_owned()
}

/// A relay that is ended with the test.
struct Relay {
    child: Child,
    lines: Receiver<String>,
    address: SocketAddr,
    trace: Option<PathBuf>,
}

impl Relay {
    /// One whose calls fail as strace is told.
    fn traced(inject: &str, upstream: SocketAddr, backend: BackendKind, workers: &str) -> Self {
        let calls = inject.split(':').next().unwrap();
        let name = format!(
            "ferrevent-trace-{}-{calls}-{backend}-{workers}",
            std::process::id()
        );
        let trace = std::env::temp_dir().join(name);
        let mut relay = Self::start(
            &[
                "strace",
                "-f",
                // LeakSanitizer does not work beside another tracer.
                "-E",
                "LSAN_OPTIONS=detect_leaks=0",
                "-o",
                trace.to_str().unwrap(),
                "-e",
                &format!("trace={calls}"),
                "-e",
                &format!("inject={inject}"),
            ],
            upstream,
            backend,
            workers,
        );
        relay.trace = Some(trace);
        relay
    }

    fn start(before: &[&str], upstream: SocketAddr, backend: BackendKind, workers: &str) -> Self {
        let (upstream, backend) = (upstream.to_string(), backend.to_string());
        let command = [env!("CARGO_BIN_EXE_ferrevent"), "relay"];
        let rest = [
            "127.0.0.1:0",
            &upstream,
            "--backend",
            &backend,
            "--workers",
            workers,
        ];
        let mut words = before.iter().copied().chain(command).chain(rest);
        let mut child = Command::new(words.next().unwrap())
            .args(words)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, lines) = channel();
        let stderr = child.stderr.take().unwrap();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        let first = lines.recv_timeout(PATIENCE).unwrap();
        let address = first
            .strip_prefix("relaying ")
            .and_then(|rest| rest.split(" to ").next()?.parse().ok())
            .unwrap_or_else(|| panic!("{first}"));
        Self {
            child,
            lines,
            address,
            trace: None,
        }
    }

    /// Clients at once that each check what comes back: why any was cut short.
    fn clients(&self, count: u8, len: usize) -> Vec<Result<(), String>> {
        let clients: Vec<_> = (0..count)
            .map(|id| {
                let address = self.address;
                thread::spawn(move || client(address, id, len))
            })
            .collect();
        clients.into_iter().map(|one| one.join().unwrap()).collect()
    }

    /// The next line of the log that contains this.
    fn line(&self, wanted: &str) -> String {
        let end = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(end - Instant::now()) {
            if line.contains(wanted) {
                return line;
            }
            seen.push(line);
        }
        panic!("no line with \"{wanted}\" in {seen:#?}");
    }

    /// How many calls strace had fail so far.
    fn injected(&self) -> usize {
        let trace = std::fs::read_to_string(self.trace.as_ref().unwrap()).unwrap();
        trace.matches("(INJECTED)").count()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // strace itself does not end by a signal while it traces.
        let own = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children"));
        let traced = children.ok().and_then(|text| text.trim().parse().ok());
        let relay: u32 = traced.unwrap_or(own);
        // The second one ends it at once.
        for _ in 0..2 {
            if std::fs::read_to_string(format!("/proc/{relay}/comm")).is_ok_and(is_ours) {
                let _ = run(Command::new("kill").args(["-TERM", &relay.to_string()]));
            }
        }
        let _ = self.child.wait();
        if let Some(trace) = &self.trace {
            let _ = std::fs::remove_file(trace);
        }
    }
}

fn is_ours(name: String) -> bool {
    matches!(name.trim(), "ferrevent" | "strace")
}

/// Sends bytes and checks that they come back, and the end after them. Wrong
/// ones are worse than an error.
fn client(address: SocketAddr, id: u8, len: usize) -> Result<(), String> {
    let sent: Vec<u8> = (0..len)
        .map(|at| (at / 7) as u8 ^ (at >> 9) as u8 ^ id)
        .collect();
    let stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut writing, bytes) = (stream.try_clone().unwrap(), sent.clone());
    let writer = thread::spawn(move || {
        writing.write_all(&bytes)?;
        writing.shutdown(Shutdown::Write)
    });
    let mut came = Vec::new();
    let read = (&stream).read_to_end(&mut came);
    assert!(sent.starts_with(&came), "a wrong byte came back");
    let wrote = writer.join().unwrap();
    read.map_err(|error| error.to_string())?;
    if came.len() < len {
        return Err(format!(
            "{} of {len} bytes came back, {wrote:?}",
            came.len()
        ));
    }
    Ok(())
}

/// An upstream that sends back what comes.
fn echo_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let _ = std::io::copy(&mut &stream, &mut &stream);
                let _ = stream.shutdown(Shutdown::Write);
            });
        }
    });
    address
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

fn skip(why: &str) {
    say(&format!("skipped: {why}"));
}

/// Says something whatever the harness captures.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
