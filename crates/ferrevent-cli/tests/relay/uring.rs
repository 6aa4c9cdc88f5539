//! Rings that are forbidden, short of memory, or interrupted.

use std::io::{Read, Write};
use std::process::Command;

use crate::rig::{Relay, command, echo, on_loop_and_pool, peer, upstream};

on_loop_and_pool! {
    a_sandbox_without_rings_gets_epoll_and_is_told_so
    a_kernel_without_rings_gets_epoll_and_is_told_so
    little_lockable_memory_is_enough_or_told
    waits_that_are_interrupted_lose_nothing
}

/// Forbids io_uring_setup(2), number 425 everywhere, as a container does.
const SANDBOX: &str = r#"
import ctypes, os, struct, sys
program = b"".join(struct.pack("HBBI", *one) for one in [
    (0x20, 0, 0, 0),           # the number of the call
    (0x15, 0, 1, 425),         # io_uring_setup?
    (0x06, 0, 0, 0x50000 | 1), # then EPERM
    (0x06, 0, 0, 0x7fff0000),  # else let it pass
])
memory = ctypes.create_string_buffer(program)
filter = struct.pack("HxxxxxxP", 4, ctypes.addressof(memory))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.c_char_p(filter), 0, 0) == 0, ctypes.get_errno()
os.execv(sys.argv[1], sys.argv[1:])
"#;

fn a_sandbox_without_rings_gets_epoll_and_is_told_so() {
    peer("python3", "python3");
    expect_epoll(&["python3", "-c", SANDBOX], "Operation not permitted");
}

fn a_kernel_without_rings_gets_epoll_and_is_told_so() {
    peer("strace", "strace");
    let strace = inject("inject=io_uring_setup:error=ENOSYS");
    expect_epoll(&strace, "Function not implemented");
}

fn expect_epoll(before: &[&str], why: &str) {
    let to = upstream(echo).to_string();
    let mut relay = Relay::launch(in_uring(before).args(["127.0.0.1:0", &to]));
    let said = relay.line("io_uring cannot be had here");
    assert!(said.contains(why) && said.contains("epoll"), "{said}");
    let said = relay.line("relaying ");
    let (_, rest) = said.split_once("relaying ").unwrap();
    relay.address = rest.split(" to ").next().unwrap().to_owned();
    echo_a_megabyte(&relay);
    relay.signal("-TERM");
    let again = relay.rest();
    assert!(!again.iter().any(|line| line.contains("cannot be had")));
}

fn little_lockable_memory_is_enough_or_told() {
    // Root may lock what it likes: it gives that up.
    let before = [
        "setpriv",
        "--bounding-set=-ipc_lock",
        "sh",
        "-c",
        "ulimit -l 64; exec \"$0\" \"$@\"",
    ];
    let to = upstream(echo).to_string();
    let relay = Relay::spawn(in_uring(&before).args(["127.0.0.1:0", &to]));
    echo_a_megabyte(&relay);
}

fn waits_that_are_interrupted_lose_nothing() {
    peer("strace", "strace");
    let to = upstream(echo).to_string();
    let strace = inject("inject=io_uring_enter:error=EINTR:when=2+3");
    let relay = Relay::spawn(in_uring(&strace).args(["127.0.0.1:0", &to]));
    echo_a_megabyte(&relay);
}

/// strace(1) as a grandchild, so that the child is the relay itself.
fn inject(rule: &'static str) -> Vec<&'static str> {
    let mut words = vec!["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", rule];
    // LeakSanitizer does not work beside another tracer.
    words.extend(["-E", "LSAN_OPTIONS=detect_leaks=0"]);
    words
}

fn in_uring(before: &[&str]) -> Command {
    let mut command = command(before);
    command.args(["--backend", "uring"]);
    command
}

fn echo_a_megabyte(relay: &Relay) {
    let sent: Vec<u8> = (0..1_000_000_u32).map(|n| ((n * 7) >> 3) as u8).collect();
    let mut stream = relay.connect();
    let mut writer = stream.try_clone().unwrap();
    let bytes = sent.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(&bytes).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    writing.join().unwrap();
    assert!(back == sent, "{} of {} bytes", back.len(), sent.len());
}
