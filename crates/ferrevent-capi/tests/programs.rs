//! C programs on our library and on Debian's: they must see the same.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::same_on_both;

#[test]
fn events() {
    same_on_both("events", &[], &[]);
}

#[test]
fn events_on_poll() {
    same_on_both("events", &[], &[("EVENT_NOEPOLL", "1")]);
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
fn locks_of_the_programs_own() {
    same_on_both("threads", &["own"], &[]);
}

#[test]
fn processes_memory_and_debug_mode() {
    same_on_both("processes", &[], &[]);
}
