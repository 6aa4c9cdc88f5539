//! The log: for programs, and its file.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::rig::{
    PATIENCE, Relay, echo, on_loop_and_pool, refusing, round_trip, temporary, upstream,
};

on_loop_and_pool! {
    every_line_is_an_object
    ends_have_codes
    a_log_file_is_opened_anew_on_sighup
    a_failed_start_is_told_in_json_too
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

fn every_line_is_an_object() {
    let to = upstream(echo);
    let mut relay = Relay::to(to, &["--log-format", "json", "--max-connections", "1"]);
    let mut stream = relay.connect();
    let client = stream.local_addr().unwrap().to_string();
    stream.write_all(b"hello").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    let cap = json(&relay.line("cap_reached"));
    assert_eq!(cap["max_connections"], 1);
    let line = json(&relay.line("\"connection\""));
    assert_eq!(line["event"], "connection");
    assert_eq!(line["id"], 1);
    assert_eq!(line["peer"], client);
    assert_eq!(line["upstream"], to.to_string());
    assert_eq!(
        (&line["bytes_in"], &line["bytes_out"]),
        (&5.into(), &5.into())
    );
    assert!(line["seconds"].as_f64().unwrap() < PATIENCE.as_secs_f64());
    assert_eq!(line["side"], Value::Null);
    assert_eq!(line["reason"], "finished");
    assert!(line["time"].as_str().unwrap().ends_with('Z'));
    let text = line["text"].as_str().unwrap();
    assert!(
        text.contains("in=5 out=5") && text.contains(&client),
        "{text}"
    );
    let mut stands = relay.connect();
    round_trip(&mut stands);
    relay.signal("-TERM");
    let draining = json(&relay.line("draining"));
    assert_eq!(draining["connections"], 1);
    drop(stands);
    assert_eq!(relay.ended(), 0);
    let rest: Vec<Value> = relay.rest().iter().map(|line| json(line)).collect();
    let last = rest.last().unwrap();
    assert_eq!(last["event"], "stopped");
    assert_eq!(
        (&last["connections"], &last["bytes_in"]),
        (&2.into(), &6.into())
    );
}

fn ends_have_codes() {
    let (_held, closed) = refusing();
    let json_log = ["--log-format", "json"];
    let relay = Relay::to(closed, &json_log);
    drop(relay.connect());
    let line = json(&relay.line("\"connection\""));
    assert_eq!(
        (&line["side"], &line["reason"]),
        (&"upstream".into(), &"refused".into())
    );
    let detail = line["detail"].as_str().unwrap();
    assert!(detail.contains(&closed.to_string()) && detail.contains("is the upstream running"));

    let relay = Relay::start(&[
        "127.0.0.1:0",
        "no-such-host.invalid:80",
        "--log-format",
        "json",
    ]);
    drop(relay.connect());
    let line = json(&relay.line("\"connection\""));
    assert_eq!(
        (&line["side"], &line["reason"]),
        (&"upstream".into(), &"unresolved".into())
    );

    let relay = Relay::to(upstream(echo), &json_log);
    let mut rough = relay.connect();
    round_trip(&mut rough);
    socket2::SockRef::from(&rough)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(rough);
    let line = json(&relay.line("\"connection\""));
    assert_eq!(
        (&line["side"], &line["reason"]),
        (&"client".into(), &"reset".into())
    );

    let relay = Relay::to(
        upstream(echo),
        &["--log-format", "json", "--idle-timeout", "80ms"],
    );
    let _idle = relay.connect();
    let line = json(&relay.line("\"connection\""));
    assert_eq!(line["reason"], "idle_timeout");
}

fn a_log_file_is_opened_anew_on_sighup() {
    let (path, old) = (temporary("log"), temporary("log.1"));
    let name = path.to_str().unwrap();
    let relay = Relay::to(upstream(echo), &["--log", name, "--log-format", "json"]);
    let wait_for = |wanted: &str| {
        let end = Instant::now() + PATIENCE;
        loop {
            let text = fs::read_to_string(&path).unwrap_or_default();
            if text.contains(wanted) {
                return text;
            }
            assert!(Instant::now() < end, "no {wanted} in {text}");
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    round_trip(&mut relay.connect());
    wait_for("\"connection\"");
    fs::rename(&path, &old).unwrap();
    relay.signal("-HUP");
    wait_for("log_reopened");
    round_trip(&mut relay.connect());
    let text = wait_for("\"connection\"");
    assert!(text.lines().all(|line| json(line)["text"].is_string()));
    let before = fs::read_to_string(&old).unwrap();
    assert!(before.contains("\"started\"") && before.contains("\"id\":1"));
    for path in [path, old] {
        fs::remove_file(path).unwrap();
    }
}

fn a_failed_start_is_told_in_json_too() {
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap().to_string();
    let mut relay =
        Relay::launch(crate::rig::command(&[]).args([&address, ":1", "--log-format", "json"]));
    let lines = relay.rest();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = json(&lines[0]);
    assert_eq!(line["event"], "failed");
    assert!(
        line["reason"]
            .as_str()
            .unwrap()
            .contains("listens there already")
    );
    assert_eq!(relay.ended(), 1);
}
