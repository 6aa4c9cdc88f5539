//! C programs on our library and on Debian's: they must see the same.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Library, compile, on, same_on_both, text};

#[test]
fn events() {
    same_on_both("events", &[], &[]);
}

#[test]
fn events_on_poll() {
    same_on_both("events", &[], &[("EVENT_NOEPOLL", "1")]);
}

#[test]
fn random_operations_on_events() {
    // A million of them in a full run.
    let full = std::env::var_os("FERREVENT_CASES").is_some();
    for seed in 1..=if full { 200 } else { 8 } {
        same_on_both("series", &[&seed.to_string(), "5000"], &[]);
    }
}

#[test]
fn buffers() {
    same_on_both("buffer", &[], &[]);
}

#[test]
fn random_operations_on_buffers() {
    // A million of them in a full run.
    let full = std::env::var_os("FERREVENT_CASES").is_some();
    for seed in 1..=if full { 200 } else { 8 } {
        same_on_both("buffers", &[&seed.to_string(), "5000"], &[]);
    }
}

#[test]
fn bufferevents() {
    same_on_both("bufferevent", &[], &[]);
}

#[test]
fn bufferevents_with_locks() {
    same_on_both("bufferevent", &["threads"], &[]);
}

#[test]
fn bufferevents_on_poll() {
    same_on_both("bufferevent", &[], &[("EVENT_NOEPOLL", "1")]);
}

#[test]
fn bufferevents_on_io_uring() {
    // Where there is none it is epoll.
    same_on_both("bufferevent", &[], &[("FERREVENT_BACKEND", "uring")]);
}

#[test]
fn bufferevents_that_are_asked_to_use_completions() {
    // On epoll that means nothing.
    for backend in ["epoll", "uring", "simulated"] {
        let variables = [("FERREVENT_BACKEND", backend)];
        same_on_both("completions", &[], &variables);
        same_on_both("completions", &["threads"], &variables);
    }
}

/// A completion kernel under programs that know nothing of it. Those that count
/// turns are not among them: what has come is told a turn later.
#[test]
fn bufferevents_by_completions() {
    for backend in ["uring", "simulated"] {
        let variables = [
            ("FERREVENT_BACKEND", backend),
            ("FERREVENT_COMPLETIONS", "1"),
        ];
        same_on_both("listener", &[], &variables);
        same_on_both("listener", &["threads"], &variables);
        same_on_both("sharing", &[], &variables);
    }
}

#[test]
fn pairs_and_filters() {
    same_on_both("pairs", &[], &[]);
    same_on_both("pairs", &["threads"], &[]);
}

#[test]
fn listeners() {
    same_on_both("listener", &[], &[]);
    same_on_both("listener", &["threads"], &[]);
}

#[test]
fn who_always_has_more_to_write_leaves_others_their_turn() {
    // A file that libevent's mechanisms cannot wait for.
    let output = on(Library::Ours, compile("bufferevent"))
        .arg("endless")
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout), "others had their turn\n");
}

#[test]
fn a_listener_without_descriptors_rests() {
    // libevent goes on asking as fast as it can.
    let output = on(Library::Ours, compile("listener"))
        .arg("starved")
        .output()
        .unwrap();
    let family = "  listener: family 2, length 16, nonblocking 1, cloexec 0\n";
    let wanted = format!("warnings 1, taken 0, fd 1\n{family}taken 1\nclosed 1\n");
    assert_eq!(text(&output.stdout), wanted);
}

#[test]
fn threads_that_share_bufferevents() {
    // Again and again in a full run.
    let full = std::env::var_os("FERREVENT_CASES").is_some();
    for _ in 0..if full { 50 } else { 2 } {
        same_on_both("sharing", &[], &[]);
    }
}

#[test]
fn random_operations_on_bufferevents() {
    // A million of them in a full run.
    let full = std::env::var_os("FERREVENT_CASES").is_some();
    for seed in 1..=if full { 200 } else { 8 } {
        same_on_both("bufferevents", &[&seed.to_string(), "5000"], &[]);
    }
}

#[test]
fn rate_limits() {
    same_on_both("limits", &[], &[]);
}

#[test]
fn rate_limits_with_locks() {
    same_on_both("limits", &["threads"], &[]);
}

#[test]
fn random_operations_on_rate_limits() {
    // A million of them in a full run.
    let full = std::env::var_os("FERREVENT_CASES").is_some();
    for seed in 1..=if full { 200 } else { 8 } {
        same_on_both("limit_series", &[&seed.to_string(), "5000"], &[]);
    }
}

#[test]
fn threads_that_share_rate_limits() {
    // Again and again in a full run.
    let full = std::env::var_os("FERREVENT_CASES").is_some();
    for _ in 0..if full { 50 } else { 2 } {
        let output = on(Library::Ours, compile("limit_threads"))
            .output()
            .unwrap();
        let said = text(&output.stdout);
        assert_eq!(said, "all 1, problems 0\nended\n", "{output:?}");
    }
}

#[test]
fn rate_limits_that_cannot_be_are_refused_in_words() {
    let said = |argument| {
        let mut command = on(Library::Ours, compile("limits"));
        let output = command.arg(argument).output().unwrap();
        (text(&output.stdout), text(&output.stderr))
    };
    // libevent divides by the length of the tick, which is none.
    let (stdout, stderr) = said("no time");
    assert_eq!(stdout, "0\n");
    assert!(stderr.contains("less than a millisecond"), "{stderr}");
    let (_, stderr) = said("members");
    assert!(
        stderr.contains("1 bufferevents are in the group"),
        "{stderr}"
    );
}

#[test]
fn signals() {
    same_on_both("signals", &[], &[]);
}

#[test]
fn configurations() {
    same_on_both("config", &[], &[]);
}

#[test]
fn functions_of_before_libevent_2() {
    same_on_both("compat", &[], &[]);
}

#[test]
fn utilities() {
    same_on_both("util", &[], &[]);
}

#[test]
fn threads() {
    same_on_both("threads", &[], &[]);
}

#[test]
fn threads_that_are_not_set_up() {
    same_on_both("unlocked", &[], &[]);
}

#[test]
fn locks_of_the_programs_own() {
    same_on_both("threads", &["own"], &[]);
}

#[test]
fn processes_memory_and_debug_mode() {
    same_on_both("processes", &[], &[]);
}

#[test]
fn memory_is_used_well() {
    let there = std::process::Command::new("valgrind")
        .arg("--version")
        .output();
    if there.is_err() {
        eprintln!("skipped: valgrind is not installed");
        return;
    }
    for (name, arguments) in [
        ("events", &[][..]),
        ("series", &["99", "1000"]),
        ("signals", &[]),
        ("compat", &[]),
        ("util", &[]),
        ("buffer", &[]),
        ("buffers", &["99", "1000"]),
        ("bufferevent", &["threads"]),
        ("pairs", &[]),
        ("listener", &[]),
        ("bufferevents", &["99", "1000"]),
        ("sharing", &[]),
        ("limits", &["threads"]),
        ("limit_series", &["99", "300"]),
        ("limit_threads", &["100"]),
        ("dns_server", &["threads"]),
        ("dns_server", &["ours"]),
        ("dns_client", &["noise"]),
        ("dns_client", &["crowd"]),
    ] {
        let mut command = on(Library::Ours, "valgrind");
        command.args(["-q", "--error-exitcode=9", "--leak-check=full"]);
        command.args([
            "--show-leak-kinds=definite",
            "--errors-for-leak-kinds=definite",
        ]);
        let output = command.arg(compile(name)).args(arguments).output().unwrap();
        assert!(output.status.success(), "{name}: {}", text(&output.stderr));
    }
}
