//! The Debian packages that tests and benchmarks need: found, installed, or named.

use std::process::{Command, Stdio};

/// A shell command that succeeds if something is there, and the package that brings it.
pub(crate) type Wanted = (&'static str, &'static str);

/// Programs that tests run.
pub(crate) const FOR_TESTS: &[Wanted] = &[
    ("command -v curl", "curl"),
    ("command -v h2load", "nghttp2-client"),
    ("command -v wrk", "wrk"),
    ("command -v nc", "netcat-openbsd"),
    ("command -v openssl", "openssl"),
    ("command -v socat", "socat"),
    ("command -v stunnel", "stunnel4"),
    ("command -v python3", "python3"),
    ("command -v setpriv", "util-linux"),
    ("command -v strace", "strace"),
    ("command -v systemd-socket-activate", "systemd"),
    ("command -v bash", "bash"),
    ("command -v zsh", "zsh"),
    ("command -v fish", "fish"),
    ("command -v groff", "groff-base"),
    ("command -v man", "man-db"),
    ("command -v strace", "strace"),
    ("command -v nft", "nftables"),
    ("command -v ip", "iproute2"),
    ("command -v unshare", "util-linux"),
    ("command -v gzip", "gzip"),
    ("command -v lz4", "lz4"),
    ("command -v pv", "pv"),
    ("command -v zstd", "zstd"),
    ("command -v cc", "gcc"),
    ("command -v c++", "g++"),
    ("command -v nm", "binutils"),
    ("test -e /usr/include/event2/event.h", "libevent-dev"),
    ("test -x /usr/bin/memcached", "memcached"),
    ("command -v memcaslap", "libmemcached-tools"),
    ("command -v tmux", "tmux"),
    ("command -v script", "bsdutils"),
    ("test -x /usr/sbin/pgbouncer", "pgbouncer"),
    ("ls /usr/lib/postgresql/*/bin/initdb", "postgresql"),
    ("command -v pgbench", "postgresql"),
    ("test -x /usr/sbin/redsocks", "redsocks"),
    ("test -x /usr/sbin/unbound", "unbound"),
    ("command -v dig", "bind9-dnsutils"),
    (
        "/usr/bin/python3 -c 'import dns.query'",
        "python3-dnspython",
    ),
    ("test -x /usr/bin/fstrm_capture", "fstrm-bin"),
    ("test -x /usr/bin/turnserver", "coturn"),
    ("test -x /usr/sbin/gearmand", "gearman-job-server"),
    ("command -v gearman", "gearman-tools"),
    ("test -x /usr/sbin/nsd", "nsd"),
    ("test -x /usr/sbin/remctl-shell", "remctl-server"),
    ("command -v tor", "tor"),
    ("command -v valgrind", "valgrind"),
];

/// Programs that the tests of a full run need besides.
pub(crate) const FOR_FULL_TESTS: &[Wanted] = &[
    (
        "test -x /usr/bin/transmission-daemon",
        "transmission-daemon",
    ),
    ("test -x /usr/bin/transmission-create", "transmission-cli"),
    ("command -v mount", "mount"),
];

/// What builds for Windows, and runs it.
pub(crate) const FOR_WINDOWS: &[Wanted] = &[
    ("test -x /usr/bin/rustc", "rustc-web"),
    (
        "test -d $(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library",
        "rust-web-src",
    ),
    (
        "command -v x86_64-w64-mingw32-gcc",
        "gcc-mingw-w64-x86-64-win32",
    ),
    ("command -v wine", "wine"),
    ("command -v wineserver", "wine64"),
];

/// What the benchmarks' peers are built from.
pub(crate) const FOR_BENCH: &[Wanted] = &[
    ("command -v taskset", "util-linux"),
    ("command -v ip", "iproute2"),
    ("command -v wrk", "wrk"),
    ("command -v cc", "gcc"),
    (
        "echo '#include <event2/event.h>' | cc -E -x c -",
        "libevent-dev",
    ),
    ("echo '#include <uv.h>' | cc -E -x c -", "libuv1-dev"),
    (
        "echo '#include <openssl/ssl.h>' | cc -E -x c -",
        "libssl-dev",
    ),
    ("command -v openssl", "openssl"),
    (
        "echo '#include <liburing.h>' | cc -E -x c -",
        "liburing-dev",
    ),
];

/// Sees to it that everything is there.
pub(crate) fn ensure(wanted: &[Wanted]) -> Result<(), String> {
    let missing = missing(wanted);
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("== packages: {}", missing.join(" "));
    // Only root may install, and only Debian and its kin have apt-get.
    let installed = is_root()
        && there("command -v apt-get")
        && (install(&missing) || (run("apt-get", &["update", "-q"]) && install(&missing)));
    let missing = self::missing(wanted);
    if missing.is_empty() {
        return Ok(());
    }
    let why = if installed {
        "did not help"
    } else {
        "was not possible"
    };
    Err(format!(
        "this needs the packages {0}, and installing them {why}; as root: apt-get install {0}",
        missing.join(" ")
    ))
}

fn missing(wanted: &[Wanted]) -> Vec<&'static str> {
    wanted
        .iter()
        .filter(|(probe, _)| !there(probe))
        .map(|(_, package)| *package)
        .collect()
}

fn there(probe: &str) -> bool {
    quietly(Command::new("sh").args(["-c", probe]))
}

fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn install(packages: &[&str]) -> bool {
    let mut arguments = vec!["install", "-y", "-q", "--no-install-recommends"];
    arguments.extend(packages);
    run("apt-get", &arguments)
}

fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .is_ok_and(|status| status.success())
}

fn quietly(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
