//! What is relayed, and how connections end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::rig::{Relay, WORKERS, echo, ferrevent, on_loop_and_pool, peer, refusing, upstream};

on_loop_and_pool! {
    bytes_go_both_ways_and_half_close_is_kept
    an_unreachable_upstream_is_logged_and_the_client_let_go
    a_reset_peer_disturbs_nobody_else
    an_idle_connection_is_closed_and_a_busy_one_is_not
    a_slow_reader_slows_the_upstream_and_loses_nothing
    sigterm_drains_and_a_second_one_ends
    a_full_disk_under_the_log_disturbs_no_connection
    unix_sockets_are_relayed_with_socat
    netcat_is_served
    curl_fetches_from_a_python_server
}

fn bytes_go_both_ways_and_half_close_is_kept() {
    let relay = Relay::to(upstream(echo), &[]);
    let mut stream = relay.connect();
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n / 7) as u8).collect();
    let mut writing = stream.try_clone().unwrap();
    let bytes = sent.clone();
    let writer = thread::spawn(move || {
        writing.write_all(&bytes).unwrap();
        writing.shutdown(Shutdown::Write).unwrap();
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    writer.join().unwrap();
    assert!(back == sent);
    let line = relay.line("in=3000000 out=3000000");
    assert!(line.ends_with("finished"), "{line}");
    assert!(
        line.contains(&stream.local_addr().unwrap().to_string()),
        "{line}"
    );
}

fn an_unreachable_upstream_is_logged_and_the_client_let_go() {
    let (_held, closed) = refusing();
    let relay = Relay::to(closed, &[]);
    let mut stream = relay.connect();
    let mut nothing = Vec::new();
    let _ = stream.read_to_end(&mut nothing);
    assert!(nothing.is_empty());
    let line = relay.line("upstream: failed to connect");
    assert!(
        line.contains(&closed.to_string()) && line.contains("refused"),
        "{line}"
    );
    // The relay lives on.
    drop(relay.connect());
    relay.line("upstream: failed to connect");
}

fn a_reset_peer_disturbs_nobody_else() {
    let relay = Relay::to(upstream(echo), &[]);
    let mut calm = relay.connect();
    calm.write_all(b"calm").unwrap();
    let rough = relay.connect();
    socket2::SockRef::from(&rough)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(rough);
    relay.line("client: failed to receive");
    let mut answer = [0; 4];
    calm.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"calm");
}

fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let relay = Relay::to(upstream(echo), &["--idle-timeout", "400ms"]);
    let mut idle = relay.connect();
    let mut busy = relay.connect();
    let end = Instant::now() + Duration::from_millis(1200);
    while Instant::now() < end {
        busy.write_all(b"x").unwrap();
        busy.read_exact(&mut [0]).unwrap();
        thread::sleep(Duration::from_millis(20));
    }
    let _ = idle.read(&mut [0]);
    let line = relay.line("timed out");
    assert!(line.contains("in=0 out=0"), "{line}");
    busy.write_all(b"y").unwrap();
    busy.read_exact(&mut [0]).unwrap();
}

fn a_slow_reader_slows_the_upstream_and_loses_nothing() {
    const LEN: usize = 20_000_000;
    let source = upstream(|mut stream| {
        let bytes: Vec<u8> = (0..LEN).map(|n| (n / 3) as u8).collect();
        let _ = stream.write_all(&bytes);
    });
    let relay = Relay::to(source, &[]);
    let mut slow = relay.connect();
    thread::sleep(Duration::from_millis(300));
    let memory = std::fs::read_to_string(format!("/proc/{}/status", relay.child.id())).unwrap();
    let held = memory
        .lines()
        .find(|line| line.starts_with("RssAnon"))
        .unwrap();
    let held: u64 = held.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(held < 8 * 1024, "{held} KiB held for one slow reader");
    let mut all = Vec::new();
    slow.read_to_end(&mut all).unwrap();
    assert!(
        all.len() == LEN
            && all
                .iter()
                .enumerate()
                .all(|(n, byte)| *byte == (n / 3) as u8)
    );
}

fn sigterm_drains_and_a_second_one_ends() {
    let mut relay = Relay::to(upstream(echo), &[]);
    let mut stream = relay.connect();
    stream.write_all(b"a").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    relay.signal("-TERM");
    relay.line("draining 1 connections");
    assert!(TcpStream::connect(&relay.address).is_err());
    stream.write_all(b"b").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    drop(stream);
    assert_eq!(relay.ended(), 0);

    let mut relay = Relay::to(upstream(echo), &[]);
    let mut stream = relay.connect();
    stream.write_all(b"a").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    relay.signal("-TERM");
    relay.line("draining");
    relay.signal("-TERM");
    assert_eq!(relay.ended(), 0);
}

#[test]
fn mistakes_are_told_with_their_remedy() {
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap().to_string();
    for (arguments, code, texts) in [
        (
            ["relay", &address, ":1"],
            1,
            [address.as_str(), "listens there already"],
        ),
        (
            ["relay", "127.0.0.1", ":1"],
            2,
            ["127.0.0.1", "the port is missing"],
        ),
        (
            ["relay", "unix:/nowhere/at/all", ":1"],
            1,
            ["/nowhere/at/all", "does not exist"],
        ),
    ] {
        let output = ferrevent(&arguments);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{message}");
        for text in texts {
            assert!(message.contains(text), "{text}: {message}");
        }
    }
}

fn a_full_disk_under_the_log_disturbs_no_connection() {
    let relay = Relay::to(upstream(echo), &["--log", "/dev/full"]);
    for _ in 0..2 {
        let mut stream = relay.connect();
        stream.write_all(b"hello").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut back = String::new();
        stream.read_to_string(&mut back).unwrap();
        assert_eq!(back, "hello");
    }
    relay.line("cannot write to /dev/full");
}

fn unix_sockets_are_relayed_with_socat() {
    let path = std::env::temp_dir().join(format!(
        "ferrevent-relay-{}-{}",
        std::process::id(),
        WORKERS.get()
    ));
    let listen = format!("unix:{}", path.display());
    let target = upstream(echo).to_string();
    let relay = Relay::start(&[&listen, &target]);
    let mut socat = peer("socat", "socat")
        .args(["-t", "10", "-", &format!("UNIX-CONNECT:{}", path.display())])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    socat.stdin.take().unwrap().write_all(b"by socat").unwrap();
    let output = socat.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"by socat");
    relay.line("in=8 out=8");
}

fn netcat_is_served() {
    let relay = Relay::to(upstream(echo), &[]);
    let (host, port) = relay.address.rsplit_once(':').unwrap();
    let mut netcat = peer("nc", "netcat-openbsd")
        .args(["-N", host, port])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    netcat
        .stdin
        .take()
        .unwrap()
        .write_all(b"by netcat")
        .unwrap();
    assert_eq!(netcat.wait_with_output().unwrap().stdout, b"by netcat");
}

fn curl_fetches_from_a_python_server() {
    let directory = std::env::temp_dir().join(format!(
        "ferrevent-http-{}-{}",
        std::process::id(),
        WORKERS.get()
    ));
    std::fs::create_dir_all(&directory).unwrap();
    let page: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(directory.join("page"), &page).unwrap();
    let mut server = peer("python3", "python3")
        .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1"])
        .current_dir(&directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(server.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    let port: u16 = first
        .split_whitespace()
        .skip_while(|word| *word != "port")
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let relay = Relay::to(SocketAddr::from(([127, 0, 0, 1], port)), &[]);
    for _ in 0..3 {
        let output = peer("curl", "curl")
            .args([
                "-sS",
                "--max-time",
                "30",
                &format!("http://{}/page", relay.address),
            ])
            .output()
            .unwrap();
        assert!(
            output.stdout == page,
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let _ = server.kill();
    let _ = server.wait();
    let _ = std::fs::remove_dir_all(&directory);
}
