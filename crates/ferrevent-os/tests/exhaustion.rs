//! Descriptors that have really run out: the listener backs off, and goes on
//! when somebody else in the process gives some back.
//!
//! It lives beside the backends because setting limits is unsafe.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/child.rs"]
mod child;
#[path = "../../ferrevent/tests/common/mod.rs"]
mod common;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use child::Player;
use common::matrix::Column;
use common::{Recorder, Works};
use ferrevent::{Address, BackendKind, Stream};

/// Descriptors that the process may have.
const LIMIT: u64 = 128;
/// How long the listener is watched while there are none.
const WATCHED: Duration = Duration::from_secs(3);
/// Connections that come meanwhile.
const WAITING: usize = 5;

#[test]
fn a_listener_backs_off_and_goes_on_when_somebody_frees_descriptors() {
    thread::scope(|scope| {
        for kind in BackendKind::ALL {
            for workers in ["loop", "2"] {
                scope.spawn(move || watch_one(&kind.to_string(), workers));
            }
        }
    });
}

fn watch_one(kind: &str, workers: &str) {
    let name = format!("{kind}, {workers} workers").replace("loop workers", "a loop");
    let mut server = Player::start("server", &format!("{kind} {workers}"));
    let address: SocketAddr = server.answer().parse().unwrap();
    let mut before = connect(address);
    echo(&mut before).unwrap();
    let filled = server.ask("fill");
    // What stands goes on, what comes waits in the kernel's backlog.
    let mut waiting: Vec<TcpStream> = (0..WAITING).map(|_| connect(address)).collect();
    for stream in &mut waiting {
        stream.write_all(b"hello").unwrap();
    }
    let refused = server.ask("connect");
    assert!(refused.contains("Too many open files"), "{name}: {refused}");
    let (spent, start) = (cpu(&mut server), Instant::now());
    thread::sleep(WATCHED);
    let spent = cpu(&mut server) - spent;
    let share = spent.as_secs_f64() / start.elapsed().as_secs_f64();
    echo(&mut before).unwrap();
    let rests = server.ask("rests");
    server.ask("free");
    let start = Instant::now();
    for stream in &mut waiting {
        let mut back = [0; 5];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"hello");
    }
    let recovered = start.elapsed();
    let _ = writeln!(
        std::io::stderr(),
        "exhaustion on {name}: {filled} files filled the table, {:.2} % CPU over {:.1} s, \
         {rests} rests, {WAITING} waiting connections served {:.0} ms after the files were closed",
        share * 100.0,
        WATCHED.as_secs_f64(),
        recovered.as_secs_f64() * 1e3,
    );
    assert!(share < 0.01, "{name}: {:.2} % CPU", share * 100.0);
    assert!(recovered < Duration::from_secs(1), "{name}: {recovered:?}");
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
    stream
}

fn echo(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"ping")?;
    stream.read_exact(&mut [0; 4])
}

fn cpu(server: &mut Player) -> Duration {
    Duration::from_micros(server.ask("cpu").parse().unwrap())
}

/// The process whose descriptors run out.
#[test]
fn server() {
    let Some(part) = child::part() else { return };
    let column = Column {
        kind: part[0].parse().unwrap(),
        workers: part[1].parse().ok(),
        storm: None,
    };
    set_limit(LIMIT);
    let mut rig = column.rig(None).unwrap();
    let any = Address::Socket(([127, 0, 0, 1], 0).into());
    let to = rig
        .listen(&any, || |stream: &mut Stream<'_>| stream.echo())
        .unwrap();
    child::say(&to.to_string());
    let questions = child::questions();
    // Descriptors are taken and freed on a thread that is none of the rig's.
    let (ask, tasks) = std::sync::mpsc::channel::<String>();
    let other = thread::spawn(move || {
        let mut files = Vec::new();
        for task in tasks {
            match task.as_str() {
                "fill" => files.extend(std::iter::from_fn(|| File::open("/dev/null").ok())),
                _ => files.clear(),
            }
            child::say(&files.len().to_string());
        }
    });
    loop {
        rig.run_for(Duration::from_millis(200)).unwrap();
        let question = match questions.try_recv() {
            Ok(question) => question,
            Err(std::sync::mpsc::TryRecvError::Empty) => continue,
            Err(_) => break,
        };
        match question.as_str() {
            "cpu" => child::say(&cpu_micros().to_string()),
            "rests" => {
                let dump = rig.ledger_dump();
                child::say(&dump.matches("a listener rests").count().to_string());
            }
            "connect" => {
                let (recorder, record) = Recorder::new();
                rig.context().connect(&to, recorder).unwrap();
                rig.until("the refusal", || record.see().reason.is_some())
                    .unwrap();
                child::say(&record.reason());
            }
            _ => ask.send(question).unwrap(),
        }
    }
    drop(ask);
    other.join().unwrap();
}

fn set_limit(soft: u64) {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` lives through both calls.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        limit.rlim_cur = soft;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
    }
}

/// CPU time of this process, user and system.
fn cpu_micros() -> u64 {
    // SAFETY: a zeroed rusage is valid, and lives through the call.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, &raw mut usage), 0);
        usage
    };
    [usage.ru_utime, usage.ru_stime]
        .iter()
        .map(|time| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64)
        .sum()
}
