//! Debian's transmission, as it is, on our library and on Debian's: it finds a
//! tracker by DNS, and a file goes from peer to peer.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::cell::Cell;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use common::service::{Service, free_port, wait};
use common::{Library, prefix, scratch, text};

/// transmission believes no tracker that a peer is in 127.0.0.0/8.
const HERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// With a short piece at the end.
const LENGTH: usize = 2_500_000;

/// Who seeds, who fetches, and whether they encrypt (may, should or must).
const PAIRS: [(Library, Library, u8); 3] = [
    (Library::Ours, Library::Ours, 1),
    (Library::Ours, Library::System, 0),
    (Library::System, Library::Ours, 2),
];

#[test]
fn a_file_from_peer_to_peer() {
    if std::env::var_os("FERREVENT_CASES").is_none() {
        return eprintln!("skipped: for full runs alone, since it takes its time");
    }
    for program in ["transmission-daemon", "transmission-create"] {
        if !Path::new("/usr/bin").join(program).exists() {
            return eprintln!("skipped: {program} is not installed");
        }
    }
    // Who is not root may be so in a namespace of users.
    let ways = [&["--net"][..], &["--net", "--map-root-user"]];
    let makes = |way: &&[&str]| {
        let mut command = Command::new("unshare");
        command.args(*way).args(["--mount", "true"]);
        command.status().is_ok_and(|status| status.success())
    };
    let Some(way) = ways.into_iter().find(makes) else {
        return eprintln!("skipped: no network namespace can be made here");
    };
    let status = Command::new("unshare")
        .args(way)
        .arg("--mount")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "inside_the_namespace", "--nocapture"])
        .env("FERREVENT_NAMESPACE", "1")
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

/// The part of the test above that has a loopback and a DNS server of its own.
#[test]
fn inside_the_namespace() {
    if std::env::var_os("FERREVENT_NAMESPACE").is_none() {
        return;
    }
    run("ip", &["link", "set", "lo", "up"]);
    run(
        "ip",
        &["address", "add", &format!("{HERE}/32"), "dev", "lo"],
    );
    let resolv_conf = scratch().join("resolv.conf");
    std::fs::write(&resolv_conf, "nameserver 127.0.0.1\n").unwrap();
    let resolv_conf = resolv_conf.display().to_string();
    run("mount", &["--bind", &resolv_conf, "/etc/resolv.conf"]);
    serve_dns();
    // At once: they wait more than they work.
    let pairs =
        PAIRS.map(|(from, to, encryption)| thread::spawn(move || pair(from, to, encryption)));
    for pair in pairs {
        pair.join().unwrap();
    }
}

fn pair(from: Library, to: Library, encryption: u8) {
    let folder = scratch().join(format!("{from:?}-{to:?}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let bytes: Vec<u8> = (0..LENGTH as u64)
        .map(|it| (it.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u8 ^ encryption)
        .collect();
    let tracker = Tracker::start();

    let seeder = Peer::new(&folder, "seeder", from, encryption);
    let torrent = seeder.create("file", &bytes, Some(&tracker));
    seeder.add(&torrent);
    let seeding = seeder.start();
    wait("the seeder", || tracker.knows(&seeder));

    let fetcher = Peer::new(&folder, "fetcher", to, encryption);
    fetcher.add(&torrent);
    let fetching = fetcher.start();
    // Who may have something is thought about every ten seconds, and when
    // there is another torrent.
    let others = Cell::new(0);
    let begun = Instant::now();
    // Until it is whole it has another name.
    wait("the file", || {
        if begun.elapsed().as_secs() > others.get() {
            others.set(begun.elapsed().as_secs());
            let name = format!("other{}", others.get());
            let other = seeder.create(&name, name.as_bytes(), None);
            seeder.add(&other);
            fetcher.add(&other);
        }
        fetcher.file("file").exists()
    });
    seeding.demand(from, prefix());
    fetching.demand(to, prefix());
    for ending in [fetching, seeding].map(|it| thread::spawn(|| it.end())) {
        let ended = ending.join().unwrap();
        assert!(ended.success(), "{ended}");
    }
    assert!(
        std::fs::read(fetcher.file("file")).unwrap() == bytes,
        "from {from:?} to {to:?} comes another file"
    );
    wait("their farewell to the tracker", || {
        !tracker.knows(&seeder) && !tracker.knows(&fetcher)
    });
    std::fs::remove_dir_all(&folder).unwrap();
}

/// One transmission-daemon, and its folders.
struct Peer {
    folder: PathBuf,
    library: Library,
    port: u16,
}

impl Peer {
    fn new(folder: &Path, name: &str, library: Library, encryption: u8) -> Self {
        let folder = folder.join(name);
        for inner in ["settings", "files", "watched"] {
            std::fs::create_dir_all(folder.join(inner)).unwrap();
        }
        let port = free_port();
        let shown = folder.display();
        // Its way of being told what to do is by HTTP, which is not in our
        // library: torrents come to it by a folder instead.
        let lines = format!(
            "{{ \"rpc-enabled\": false, \"dht-enabled\": false, \"lpd-enabled\": false, \
             \"pex-enabled\": false, \"utp-enabled\": false, \"port-forwarding-enabled\": false, \
             \"bind-address-ipv4\": \"{HERE}\", \"peer-port\": {port}, \"encryption\": {encryption}, \
             \"download-dir\": \"{shown}/files\", \"watch-dir\": \"{shown}/watched\", \
             \"watch-dir-enabled\": true }}\n"
        );
        std::fs::write(folder.join("settings/settings.json"), lines).unwrap();
        Self {
            folder,
            library,
            port,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join("files").join(name)
    }

    /// Makes a file and its torrent.
    fn create(&self, name: &str, bytes: &[u8], tracker: Option<&Tracker>) -> PathBuf {
        std::fs::write(self.file(name), bytes).unwrap();
        let torrent = self.folder.join(format!("{name}.torrent"));
        let mut command = on(self.library, "/usr/bin/transmission-create");
        command.arg("-o").args([&torrent, &self.file(name)]);
        if let Some(tracker) = tracker {
            let url = format!("udp://tracker.test:{}/announce", tracker.port);
            command.args(["-t", &url]);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        torrent
    }

    /// Has it know a torrent, be it started or not.
    fn add(&self, torrent: &Path) {
        let name = torrent.file_name().unwrap();
        let copied = self.folder.join("copied");
        std::fs::copy(torrent, &copied).unwrap();
        std::fs::rename(&copied, self.folder.join("watched").join(name)).unwrap();
    }

    fn start(&self) -> Service {
        let log = std::fs::File::create(self.folder.join("log")).unwrap();
        let mut command = on(self.library, "/usr/bin/transmission-daemon");
        command
            .args(["--foreground", "--config-dir"])
            .arg(self.folder.join("settings"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        Service::start(&mut command, "-TERM")
    }
}

/// A program by itself: who waits for it sends it signals.
fn on(library: Library, program: &str) -> Command {
    let mut command = Command::new(program);
    match library {
        Library::Ours => command.env("LD_LIBRARY_PATH", prefix().join("lib")),
        Library::System => command.env_remove("LD_LIBRARY_PATH"),
    };
    command
}

/// A tracker of one torrent over UDP (BEP 15).
struct Tracker {
    port: u16,
    peers: Arc<Mutex<Vec<u16>>>,
}

impl Tracker {
    fn start() -> Self {
        let socket = UdpSocket::bind((HERE, 0)).unwrap();
        let tracker = Self {
            port: socket.local_addr().unwrap().port(),
            peers: Arc::default(),
        };
        let peers = Arc::clone(&tracker.peers);
        thread::spawn(move || {
            let mut message = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut message) {
                let answer = track(&message[..length], &mut peers.lock().unwrap());
                let _ = socket.send_to(&answer, from);
            }
        });
        tracker
    }

    fn knows(&self, peer: &Peer) -> bool {
        self.peers.lock().unwrap().contains(&peer.port)
    }
}

fn track(request: &[u8], peers: &mut Vec<u16>) -> Vec<u8> {
    // What is asked for, and the number of the question.
    let mut answer = request[8..16].to_vec();
    match request[11] {
        // A connection, which gets an identity.
        0 => answer.extend([7; 8]),
        // An announcement.
        1 => {
            let port = u16::from_be_bytes([request[96], request[97]]);
            peers.retain(|peer| *peer != port);
            // Interval, leechers, seeders.
            answer.extend([0, 0, 0, 60, 0, 0, 0, 1, 0, 0, 0, 1]);
            for peer in &*peers {
                answer.extend(HERE.octets());
                answer.extend(peer.to_be_bytes());
            }
            let stops = request[83] == 3;
            if !stops {
                peers.push(port);
            }
        }
        // How many there are.
        _ => answer.extend([0; 12]),
    }
    answer
}

fn serve_dns() {
    let socket = UdpSocket::bind("127.0.0.1:53").unwrap();
    thread::spawn(move || {
        let mut message = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut message) {
            let _ = socket.send_to(&answer(&message[..length]), from);
        }
    });
}

/// An answer (RFC 1035) that every name is here; of other kinds of records,
/// that there are none.
fn answer(question: &[u8]) -> Vec<u8> {
    let name = question[12..].iter().position(|byte| *byte == 0).unwrap();
    let end = 12 + name + 5;
    let is_address = question[end - 4..end] == [0, 1, 0, 1];
    let mut answer = question[..end].to_vec();
    answer[2..12].copy_from_slice(&[0x84, 0x80, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0]);
    if is_address {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(HERE.octets());
    }
    answer
}

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}: {status}");
}
