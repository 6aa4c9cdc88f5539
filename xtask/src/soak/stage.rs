//! The programs under test, and the load on them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use super::options::Options;
use crate::running::Running;

/// Programs are given so long to begin and to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// One backend, with so many workers.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) backend: String,
    pub(crate) workers: usize,
}

impl Setting {
    /// As its report's file is called.
    pub(crate) fn name(&self) -> String {
        format!("{}-{}", self.backend, self.workers)
    }
}

/// Where the programs were built, and where they run.
pub(crate) struct Place {
    pub(crate) binaries: PathBuf,
    pub(crate) folder: PathBuf,
}

/// A program under test.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) running: Running,
}

impl Subject {
    pub(crate) fn pid(&self) -> u32 {
        self.running.0.id()
    }
}

/// A server, and two relays in front of it: all of them Ferrevent.
pub(crate) struct Stage {
    /// The server first.
    pub(crate) subjects: Vec<Subject>,
    /// What the server says, after its addresses.
    said: BufReader<ChildStdout>,
    tcp: String,
    relay_tcp: String,
    folder: PathBuf,
}

const SERVER_SOCKET: &str = "server.sock";
const RELAY_SOCKET: &str = "relay.sock";
const LOGS: [&str; 2] = ["tcp.log", "unix.log"];

impl Stage {
    pub(crate) fn set(place: &Place, setting: &Setting) -> Result<Self, String> {
        let folder = &place.folder;
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let (server, mut said) = server(place, setting)?;
        let tcp = line_after(&mut said, "serving ")?;
        line_after(&mut said, "serving unix:")?;
        let (over_tcp, relay_tcp) = relay(place, setting, ["127.0.0.1:0", &tcp], LOGS[0])?;
        let unix = [
            &format!("unix:{RELAY_SOCKET}"),
            &format!("unix:{SERVER_SOCKET}"),
        ];
        let (over_unix, _) = relay(place, setting, unix.map(String::as_str), LOGS[1])?;
        let subject = |name, running| Subject { name, running };
        Ok(Self {
            subjects: vec![
                subject("server", server),
                subject("relay, TCP", over_tcp),
                subject("relay, unix", over_unix),
            ],
            said,
            tcp,
            relay_tcp,
            folder: folder.clone(),
        })
    }

    /// Starts the load.
    pub(crate) fn load(&self, place: &Place, options: &Options) -> Result<Load, String> {
        let mut child = Command::new(place.binaries.join("soak-load"))
            .args(["--seed", &options.seed.to_string()])
            .args(["--seconds", &options.time().as_secs_f64().to_string()])
            .args(["--wave", &WAVE.as_secs_f64().to_string()])
            .args(["--connections", &options.connections.to_string()])
            .args(["--rate", &(options.rate_mb * 1_000_000).to_string()])
            .args(["--patience", &STUCK.as_secs().to_string()])
            .args(["--relay-tcp", &self.relay_tcp])
            .args(["--relay-unix", RELAY_SOCKET])
            .args(["--tcp", &self.tcp])
            .args(["--unix", SERVER_SOCKET])
            .args(options.only.iter().flat_map(|name| ["--only", name]))
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("soak-load: {error}"))?;
        let (Some(answers), Some(said)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("soak-load has no pipes".into());
        };
        Ok(Load {
            running: Running(child),
            answers,
            said: BufReader::new(said),
        })
    }

    /// Ends everything; what the server has counted.
    pub(crate) fn end(&mut self) -> Result<String, String> {
        for subject in &mut self.subjects {
            subject.running.signal("TERM")?;
            let status = subject
                .running
                .ended(PATIENCE)
                .map_err(|error| format!("{}: {error}", subject.name))?;
            if !status.success() {
                return Err(format!("{} ended: {status}", subject.name));
            }
        }
        line_after(&mut self.said, "tally ")
    }

    /// What the relays have logged.
    pub(crate) fn logs(&self) -> Result<String, String> {
        LOGS.iter()
            .map(|name| {
                let path = self.folder.join(name);
                fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
            })
            .collect()
    }

    /// Writes out what everybody holds, while a connection is stuck.
    pub(crate) fn dump(&self) {
        eprintln!("== what the server holds (SIGUSR1)");
        if let Some(server) = self.subjects.first() {
            let _ = server.running.signal("USR1");
        }
        thread::sleep(Duration::from_secs(1));
        for subject in &self.subjects {
            let pid = subject.pid();
            eprintln!("== {}, process {pid}: its threads wait in", subject.name);
            for task in fs::read_dir(format!("/proc/{pid}/task"))
                .into_iter()
                .flatten()
                .flatten()
            {
                let path = task.path();
                let call = fs::read_to_string(path.join("syscall")).unwrap_or_default();
                eprintln!("{}: system call {}", path.display(), call.trim());
            }
        }
        eprintln!("== sockets on which bytes wait (ss)");
        for family in ["-t", "-x"] {
            let sockets = Command::new("ss").args(["-anp", family]).output();
            let text = sockets.map(|output| output.stdout).unwrap_or_default();
            for line in String::from_utf8_lossy(&text).lines() {
                let waits = line
                    .split_whitespace()
                    .skip_while(|word| word.parse::<u64>().is_err());
                if waits.take(2).any(|word| word != "0") {
                    eprintln!("{line}");
                }
            }
        }
    }
}

/// glibc's malloc keeps up to seven freed pieces of every size in each thread,
/// wherever they lie, and the top of every thread's arena; each keeps its pages
/// from being given back. Without that, what a program is seen to hold is what
/// it holds.
const TUNABLES: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1",
);
/// Length of a wave of load; its last connections end some seconds later.
pub(crate) const WAVE: Duration = Duration::from_secs(15);
/// A connection on which nothing has moved for so long is stuck.
pub(crate) const STUCK: Duration = Duration::from_secs(30);

/// The load, which says what it does and waits for answers.
pub(crate) struct Load {
    running: Running,
    answers: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl Load {
    pub(crate) fn pid(&self) -> u32 {
        self.running.0.id()
    }

    /// What it says next; `None` once it has ended.
    pub(crate) fn hear(&mut self) -> Result<Option<String>, String> {
        let mut line = String::new();
        match self.said.read_line(&mut line) {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(line.trim_end().to_owned())),
            Err(error) => Err(format!("soak-load: {error}")),
        }
    }

    pub(crate) fn go_on(&mut self) -> Result<(), String> {
        writeln!(self.answers, "go on").map_err(|error| format!("soak-load: {error}"))
    }

    /// Whether it found everything well.
    pub(crate) fn end(mut self) -> Result<bool, String> {
        Ok(self.running.ended(PATIENCE)?.success())
    }
}

fn server(place: &Place, setting: &Setting) -> Result<(Running, BufReader<ChildStdout>), String> {
    let mut child = Command::new(place.binaries.join("soak-server"))
        .args(["127.0.0.1:0", &format!("unix:{SERVER_SOCKET}")])
        .args(["--backend", &setting.backend])
        .args(["--workers", &setting.workers.to_string()])
        .current_dir(&place.folder)
        .env(TUNABLES.0, TUNABLES.1)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("soak-server: {error}"))?;
    let said = child.stdout.take().ok_or("soak-server has no output")?;
    Ok((Running(child), BufReader::new(said)))
}

/// The command as its users run it; also where it listens.
fn relay(
    place: &Place,
    setting: &Setting,
    addresses: [&str; 2],
    log: &str,
) -> Result<(Running, String), String> {
    let mut child = Command::new(place.binaries.join("ferrevent"))
        .arg("relay")
        .args(addresses)
        .args(["--backend", &setting.backend])
        .args(["--workers", &setting.workers.to_string()])
        .args(["--log", log])
        .current_dir(&place.folder)
        .env(TUNABLES.0, TUNABLES.1)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("ferrevent relay: {error}"))?;
    let said = child.stderr.take().ok_or("the relay has no error output")?;
    let running = Running(child);
    let mut said = BufReader::new(said);
    let rest = line_after(&mut said, "relaying ")?;
    let listens = rest.split(' ').next().unwrap_or_default().to_owned();
    thread::spawn(move || {
        for line in said.lines().map_while(Result::ok) {
            eprintln!("relay: {line}");
        }
    });
    Ok((running, listens))
}

/// What stands after this on the next line.
fn line_after(said: &mut BufReader<impl Read>, start: &str) -> Result<String, String> {
    let mut line = String::new();
    said.read_line(&mut line)
        .map_err(|error| error.to_string())?;
    line.trim_end()
        .strip_prefix(start)
        .map(str::to_owned)
        .ok_or_else(|| format!("`{start}` was to be expected, not `{}`", line.trim_end()))
}

/// Names of the backends that work here.
pub(crate) fn backends(binaries: &Path) -> Result<Vec<String>, String> {
    let output = Command::new(binaries.join("soak-server"))
        .arg("backends")
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("soak-server: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().map(str::to_owned).collect())
}
