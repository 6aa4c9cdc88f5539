//! Under a service manager: sockets it opened, and what it is told.

use std::net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, io};

use crate::rig::{
    PATIENCE, Relay, command, echo, on_loop_and_pool, peer, round_trip, temporary, upstream,
};

on_loop_and_pool! {
    sockets_of_systemd_are_relayed
    a_socket_is_taken_by_its_name
    readiness_status_and_end_are_told
    a_watchdog_is_fed
    an_abstract_socket_is_told_too
    a_manager_that_is_gone_is_no_reason_not_to_start
}

/// systemd-socket-activate opens the sockets, and becomes the relay when
/// somebody connects.
const ACTIVATE: &str = "systemd-socket-activate";

fn activated(options: &[&str], listen: &str) -> Relay {
    // That it is there, or which package brings it.
    peer(ACTIVATE, "systemd");
    let to = upstream(echo).to_string();
    let before = [&[ACTIVATE], options].concat();
    let relay = Relay::launch(command(&before).args([listen, &to]));
    relay.line("Listening on");
    relay
}

fn free_address() -> String {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().to_string()
}

fn sockets_of_systemd_are_relayed() {
    let (address, path) = (free_address(), temporary("activated"));
    let socket = path.to_str().unwrap();
    let mut relay = activated(&["-l", &address, "-l", socket], "systemd:");
    let mut tcp = TcpStream::connect(&address).unwrap();
    round_trip(&mut tcp);
    let mut unix = UnixStream::connect(&path).unwrap();
    io::Write::write_all(&mut unix, b"y").unwrap();
    io::Read::read_exact(&mut unix, &mut [0]).unwrap();
    let said = relay.line("relaying ");
    assert!(
        said.contains(&format!("relaying {address}, unix:{socket} to ")),
        "{said}"
    );
    relay.signal("-TERM");
    relay.line("draining 2 connections");
    drop((tcp, unix));
    assert_eq!(relay.ended(), 0);
    // It belongs to whoever opened it.
    assert!(path.exists());
    fs::remove_file(path).unwrap();
}

fn a_socket_is_taken_by_its_name() {
    let (one, other) = (free_address(), free_address());
    let sockets = ["-l", &one, "-l", &other, "--fdname", "one:other"];
    let relay = activated(&sockets, "systemd:other");
    let mut stream = TcpStream::connect(&other).unwrap();
    round_trip(&mut stream);
    let said = relay.line("relaying ");
    assert!(said.contains(&format!("relaying {other} to ")), "{said}");

    let (one, other) = (free_address(), free_address());
    let sockets = ["-l", &one, "-l", &other, "--fdname", "one:other"];
    let mut relay = activated(&sockets, "systemd:third");
    let _wakes = TcpStream::connect(&other).unwrap();
    let message = relay.line("no socket named \"third\"");
    assert!(message.contains("only one, other"), "{message}");
    assert!(message.contains("FileDescriptorName=third"), "{message}");
    assert_eq!(relay.ended(), 1);
}

/// The socket of a service manager.
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &std::path::Path) -> Self {
        Self::over(UnixDatagram::bind(path).unwrap())
    }

    fn over(socket: UnixDatagram) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    /// The next message with such a line.
    fn hears(&self, wanted: &str) -> String {
        let end = Instant::now() + PATIENCE;
        let mut message = [0; 4096];
        while Instant::now() < end {
            let len = self.0.recv(&mut message).expect(wanted);
            let text = std::str::from_utf8(&message[..len]).unwrap();
            if text.lines().any(|line| line.starts_with(wanted)) {
                return text.to_owned();
            }
        }
        panic!("{wanted} was not told");
    }
}

fn notifying(manager: &str) -> Command {
    let mut command = command(&[]);
    command
        .args(["127.0.0.1:0", &upstream(echo).to_string()])
        .env("NOTIFY_SOCKET", manager);
    command
}

fn readiness_status_and_end_are_told() {
    let path = temporary("notify");
    let manager = Manager::at(&path);
    let mut relay =
        Relay::launch(notifying(path.to_str().unwrap()).args(["--max-connections", "9"]));
    let ready = manager.hears("READY=1");
    assert!(ready.contains("STATUS=0 of 9 connections"), "{ready}");
    // Ready means that it can be reached.
    let said = relay.line("relaying ");
    let address = said.split(' ').nth(1).unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    round_trip(&mut stream);
    let status = manager.hears("STATUS=1 of 9 connections, 1 since the start");
    assert!(status.contains("1 B in, 1 B out"), "{status}");
    relay.signal("-TERM");
    let stopping = manager.hears("STOPPING=1");
    assert!(
        stopping.contains("STATUS=draining 1 connections"),
        "{stopping}"
    );
    drop(stream);
    assert_eq!(relay.ended(), 0);
    fs::remove_file(path).unwrap();
}

fn a_watchdog_is_fed() {
    let path = temporary("watchdog");
    let manager = Manager::at(&path);
    let _relay = Relay::spawn(notifying(path.to_str().unwrap()).env("WATCHDOG_USEC", "100000"));
    manager.hears("READY=1");
    let start = Instant::now();
    for _ in 0..5 {
        manager.hears("WATCHDOG=1");
    }
    assert!(
        start.elapsed() >= Duration::from_millis(150),
        "it is fed too often"
    );
    fs::remove_file(path).unwrap();

    // Another process's watchdog is none of ours.
    let path = temporary("foreign");
    let manager = Manager::at(&path);
    let mut relay = Relay::spawn(
        notifying(path.to_str().unwrap())
            .env("WATCHDOG_USEC", "10000")
            .env("WATCHDOG_PID", "1"),
    );
    manager.hears("READY=1");
    round_trip(&mut relay.connect());
    relay.signal("-TERM");
    manager
        .0
        .set_read_timeout(Some(Duration::from_millis(1)))
        .unwrap();
    assert_eq!(relay.ended(), 0);
    let mut message = [0; 4096];
    while let Ok(len) = manager.0.recv(&mut message) {
        let text = std::str::from_utf8(&message[..len]).unwrap();
        assert!(!text.contains("WATCHDOG"), "{text}");
    }
    fs::remove_file(path).unwrap();
}

fn an_abstract_socket_is_told_too() {
    let name = temporary("abstract");
    let name = name.to_str().unwrap();
    let address = SocketAddr::from_abstract_name(name).unwrap();
    let manager = Manager::over(UnixDatagram::bind_addr(&address).unwrap());
    let _relay = Relay::spawn(&mut notifying(&format!("@{name}")));
    manager.hears("READY=1");
}

fn a_manager_that_is_gone_is_no_reason_not_to_start() {
    let relay = Relay::launch(&mut notifying("/nowhere/notify"));
    let told = relay.line("/nowhere/notify");
    assert!(
        told.contains("will not hear that the relay is ready"),
        "{told}"
    );
    relay.line("relaying ");
}

#[test]
fn a_check_sees_the_sockets_that_systemd_passes() {
    let address = free_address();
    let to = upstream(echo).to_string();
    let mut check = peer(ACTIVATE, "systemd")
        .args(["-l", &address, "--fdname", "web"])
        .args([env!("CARGO_BIN_EXE_ferrevent"), "relay", "--check"])
        .args(["systemd:web", &to])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let end = Instant::now() + PATIENCE;
    while TcpStream::connect(&address).is_err() {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(2));
    }
    let mut text = String::new();
    io::Read::read_to_string(&mut check.stdout.take().unwrap(), &mut text).unwrap();
    assert!(check.wait().unwrap().success(), "{text}");
    assert!(
        text.contains(&format!("was passed web ({address})")),
        "{text}"
    );
}

#[test]
fn the_example_units_are_sound() {
    let units = concat!(env!("CARGO_MANIFEST_DIR"), "/../../contrib/systemd");
    let directory = temporary("units");
    fs::create_dir_all(&directory).unwrap();
    let mut paths = Vec::new();
    for name in ["ferrevent-relay.socket", "ferrevent-relay.service"] {
        let text = fs::read_to_string(format!("{units}/{name}")).unwrap();
        let text = text.replace("/usr/local/bin/ferrevent", env!("CARGO_BIN_EXE_ferrevent"));
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        paths.push(path);
    }
    let output = peer("systemd-analyze", "systemd")
        .args(["verify", "--man=no"])
        .args(&paths)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    assert!(!told.contains("ferrevent-relay"), "{told}");
    fs::remove_dir_all(directory).unwrap();
}
