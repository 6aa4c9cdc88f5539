//! What the tests share: relays as processes, and their peers.

use std::cell::Cell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

thread_local! {
    /// How many workers the relays of this test have.
    pub(crate) static WORKERS: Cell<&'static str> = const { Cell::new("0") };
}

/// Every test of a relay runs on one with a loop and on one with a pool.
macro_rules! on_loop_and_pool {
    ($($name:ident)*) => {
        mod on_a_loop {
            $(#[test] fn $name() { crate::rig::WORKERS.set("0"); super::$name(); })*
        }

        mod on_a_pool {
            $(#[test] fn $name() { crate::rig::WORKERS.set("3"); super::$name(); })*
        }
    };
}
pub(crate) use on_loop_and_pool;

/// A relay that is ended with the test.
pub(crate) struct Relay {
    pub(crate) child: Child,
    lines: Receiver<String>,
    pub(crate) address: String,
}

impl Relay {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(command(&[]).args(arguments))
    }

    /// Starts this command, and waits until it says where it relays.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut relay = Self::launch(command);
        let said = relay.line("relaying ");
        let (_, rest) = said.split_once("relaying ").unwrap();
        relay.address = rest.split(" to ").next().unwrap().to_owned();
        relay
    }

    /// Starts this command, which may say or do anything.
    pub(crate) fn launch(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = read_lines(child.stderr.take().unwrap());
        Self {
            child,
            lines,
            address: String::new(),
        }
    }

    pub(crate) fn to(upstream: SocketAddr, more: &[&str]) -> Self {
        let upstream = upstream.to_string();
        let mut arguments = vec!["127.0.0.1:0", upstream.as_str()];
        arguments.extend(more);
        Self::start(&arguments)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The next line of the log that contains this.
    pub(crate) fn line(&self, wanted: &str) -> String {
        let end = Instant::now() + PATIENCE;
        while let Ok(line) = self.lines.recv_timeout(end - Instant::now()) {
            if line.contains(wanted) {
                return line;
            }
        }
        panic!("no line with \"{wanted}\"");
    }

    /// The lines of the log up to its end.
    pub(crate) fn rest(&self) -> Vec<String> {
        let mut rest = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => rest.push(line),
                Err(RecvTimeoutError::Disconnected) => return rest,
                Err(RecvTimeoutError::Timeout) => panic!("the log did not end: {rest:?}"),
            }
        }
    }

    /// Ends it though connections stand: the lines up to its end.
    pub(crate) fn end_at_once(&self) -> Vec<String> {
        self.signal("-TERM");
        // The kernel may make one signal of two that follow each other closely.
        self.line("draining");
        self.signal("-TERM");
        self.rest()
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    pub(crate) fn ended(&mut self) -> i32 {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap();
            }
            assert!(Instant::now() < end, "the relay did not end");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_lines(stderr: ChildStderr) -> Receiver<String> {
    let (send, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            eprintln!("relay: {line}");
            if send.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// The command that runs a relay with the workers of this test, as the end of
/// another command, if there is one.
pub(crate) fn command(before: &[&str]) -> Command {
    let whole = [before, &[env!("CARGO_BIN_EXE_ferrevent"), "relay"]].concat();
    let mut command = Command::new(whole[0]);
    command.args(&whole[1..]).args(["--workers", WORKERS.get()]);
    command
}

/// One byte there and back.
pub(crate) fn round_trip(stream: &mut TcpStream) {
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
}

/// A path of this test's own, and of these workers.
pub(crate) fn temporary(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!(
        "ferrevent-{name}-{}-{}",
        std::process::id(),
        WORKERS.get()
    ))
}

/// An upstream that answers each connection on a thread.
pub(crate) fn upstream(answer: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || answer(stream));
        }
    });
    address
}

/// An address that refuses: bound, so that nobody else gets the port while the
/// socket lives, and not listening.
pub(crate) fn refusing() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

pub(crate) fn echo(mut stream: TcpStream) {
    let mut from = stream.try_clone().unwrap();
    let _ = std::io::copy(&mut from, &mut stream);
    let _ = stream.shutdown(Shutdown::Write);
}

pub(crate) fn ferrevent(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ferrevent"))
        .args(arguments)
        .output()
        .unwrap()
}

/// A program that a Debian package brings.
pub(crate) fn peer(program: &str, package: &str) -> Command {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(
        found.success(),
        "{program} is missing: install the package {package}"
    );
    Command::new(program)
}
