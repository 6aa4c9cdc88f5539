//! Rate limits of a relay: never faster, and nothing lost.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::rig::{Relay, echo, ferrevent, on_loop_and_pool, peer, upstream};

on_loop_and_pool! {
    a_connection_keeps_to_its_rate_and_loses_nothing
    connections_share_the_rate_of_all_and_of_their_address
    what_clients_send_and_get_has_a_rate_of_its_own
    curl_sees_the_rate
    the_relay_keeps_to_a_rate_as_curl_and_pv_do
}

/// There and back through an echo: how long it took.
fn there_and_back(mut stream: TcpStream, len: usize) -> Duration {
    let sent: Vec<u8> = (0..len).map(|n| (n / 7) as u8).collect();
    let begun = Instant::now();
    let mut writing = stream.try_clone().unwrap();
    let bytes = sent.clone();
    let writer = thread::spawn(move || {
        writing.write_all(&bytes).unwrap();
        writing.shutdown(Shutdown::Write).unwrap();
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    writer.join().unwrap();
    assert!(back == sent, "{} bytes came back", back.len());
    begun.elapsed()
}

fn a_connection_keeps_to_its_rate_and_loses_nothing() {
    let limit = ["--rate-per-connection", "1MB/s,burst=10kB"];
    let relay = Relay::to(upstream(echo), &limit);
    let took = there_and_back(relay.connect(), 200_000);
    assert!(took >= Duration::from_millis(190), "{took:?}");
}

fn connections_share_the_rate_of_all_and_of_their_address() {
    for option in ["--rate", "--rate-per-ip"] {
        let relay = Relay::to(upstream(echo), &[option, "1MB/s,burst=10kB"]);
        let begun = Instant::now();
        let both = [0; 2].map(|_| {
            let stream = relay.connect();
            thread::spawn(move || there_and_back(stream, 100_000))
        });
        for one in both {
            one.join().unwrap();
        }
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(190), "{option}: {took:?}");
    }
}

fn what_clients_send_and_get_has_a_rate_of_its_own() {
    // Up at full speed; down, where a megabyte a second goes, 200 kB wait.
    let relay = Relay::to(upstream(echo), &["--rate", "down=1MB/s,burst=10kB"]);
    let mut stream = relay.connect();
    stream.write_all(&[1; 200_000]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let begun = Instant::now();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    assert_eq!(back.len(), 200_000);
    // What moved before the clock started is at most what a moment brings.
    assert!(begun.elapsed() >= Duration::from_millis(100));
}

/// curl measures: its own count must not be above the limit.
fn curl_sees_the_rate() {
    let upstream = upstream(|mut stream| {
        let mut request = [0; 1024];
        let _ = stream.read(&mut request);
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 400000\r\nConnection: close\r\n\r\n";
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(&[b'x'; 400_000]);
    });
    let relay = Relay::to(upstream, &["--rate-per-connection", "1MB/s,burst=20kB"]);
    let output = peer("curl", "curl")
        .args([
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{size_download} %{time_total}",
        ])
        .arg(format!("http://{}/", relay.address))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (size, seconds) = text.split_once(' ').unwrap();
    assert_eq!(size, "400000", "{text}");
    assert!(seconds.parse::<f64>().unwrap() >= 0.38, "{text}");
}

/// The relay's limit beside those of curl and of pv: the slowest on the way
/// holds, and all of it comes through.
fn the_relay_keeps_to_a_rate_as_curl_and_pv_do() {
    // curl reads on for a while before it looks at the time: more for it.
    const MUCH: usize = 6_000_000;
    const LEN: usize = 600_000;
    let serving = upstream(|mut stream| {
        let mut request = [0; 1024];
        let _ = stream.read(&mut request);
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {MUCH}\r\nConnection: close\r\n\r\n");
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(&vec![b'x'; MUCH]);
    });
    let curl = |relay: &Relay, limit: &str| {
        let output = peer("curl", "curl")
            .args([
                "-s",
                "-o",
                "/dev/null",
                "-w",
                "%{size_download} %{time_total}",
            ])
            .args(["--limit-rate", limit])
            .arg(format!("http://{}/", relay.address))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (size, seconds) = text.split_once(' ').unwrap();
        assert_eq!(size, MUCH.to_string(), "{text}");
        seconds.parse::<f64>().unwrap()
    };
    let collecting = upstream(|mut stream| {
        let taken = std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
        let _ = stream.write_all(taken.to_string().as_bytes());
    });
    let pv = |relay: &Relay, limit: &str| {
        let (host, port) = relay.address.split_once(':').unwrap();
        let begun = Instant::now();
        let line = format!("head -c {LEN} /dev/zero | pv -q -L {limit} | nc -N {host} {port}");
        let _ = peer("pv", "pv");
        let output = peer("sh", "dash").args(["-c", &line]).output().unwrap();
        assert_eq!(output.stdout, LEN.to_string().as_bytes());
        begun.elapsed().as_secs_f64()
    };
    let moderate = ["--rate-per-connection", "6MB/s,burst=200kB"];
    let slow = ["--rate-per-connection", "600kB/s,burst=20kB"];
    let fast = ["--rate-per-connection", "600MB/s"];
    let took = [
        curl(&Relay::to(serving, &moderate), "600M"),
        curl(&Relay::to(serving, &fast), "6M"),
        pv(&Relay::to(collecting, &slow), "60M"),
        pv(&Relay::to(collecting, &fast), "600k"),
    ];
    eprintln!(
        "relay {:.2} s, curl {:.2} s; relay {:.2} s, pv {:.2} s",
        took[0], took[1], took[2], took[3]
    );
    for relayed in [took[0], took[2]] {
        assert!(
            relayed >= 0.96,
            "the relay was faster than its rate: {took:?}"
        );
    }
    // pv goes by its own clock, and is less exact; curl reads on for megabytes
    // before it looks at the time at all.
    assert!(
        took[3] >= 0.5,
        "a relay behind pv makes it faster? {took:?}"
    );
}

#[test]
fn what_is_no_rate_is_refused_with_an_example() {
    for (rate, words) in [
        ("0", "below one byte"),
        ("-5MB/s", "is no rate"),
        ("5MB/h", "is no rate"),
        ("99999999999GB", "is more than"),
        ("up=1MB,1MB", "give one rate, or up= or down="),
        ("1MB,burst=0", "less than one byte"),
    ] {
        let option = format!("--rate={rate}");
        let output = ferrevent(&["relay", "127.0.0.1:0", "127.0.0.1:9", &option]);
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(words), "{rate}: {said}");
    }
}
