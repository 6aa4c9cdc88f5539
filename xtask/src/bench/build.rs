//! Builds the peers: C programs, the tokio peer, and this workspace's examples.

use std::path::PathBuf;
use std::process::Command;

use super::Place;
use super::peers::Binary;
use crate::cargo;

/// Every C program; each file in `bench/c` is one.
const C_PROGRAMS: &[&str] = &[
    "floor",
    "floor_uring",
    "generator",
    "generator_tls",
    "libevent_bev",
    "libevent_event",
    "libevent_ssl",
    "libuv",
    "paced_libevent",
    "buffers_evbuffer",
    "timers_libevent",
    "wakes_libevent",
    "wakes_libuv",
];

const LIBRARIES: &[&str] = &[
    "-levent_core",
    "-levent_openssl",
    "-levent_pthreads",
    "-luv",
    "-luring",
    "-lssl",
    "-lcrypto",
    "-lpthread",
];

/// The certificate of every TLS server, ECDSA P-256, and its key: in the benchmarks' folder.
pub(crate) const CERTIFICATE: &str = "cert.pem";
pub(crate) const KEY: &str = "key.pem";

/// Builds everything.
pub(crate) fn all(place: &Place) -> Result<(), String> {
    std::fs::create_dir_all(&place.target)
        .map_err(|error| format!("{}: {error}", place.target.display()))?;
    for name in C_PROGRAMS {
        let mut cc = Command::new("cc");
        cc.args(["-O2", "-Wall", "-Wl,--as-needed", "-o"])
            .arg(place.target.join(name))
            .arg(place.root.join("bench/c").join(format!("{name}.c")))
            .args(LIBRARIES);
        run(cc)?;
    }
    certificate(place)?;
    let mut tokio = cargo::command();
    tokio
        .args(["build", "--release", "--locked", "--manifest-path"])
        .arg(place.root.join("bench/tokio-peer/Cargo.toml"))
        .arg("--target-dir")
        .arg(place.target.join("tokio"));
    run(tokio)?;
    let mut examples = cargo::command();
    examples.current_dir(&place.root).args([
        "build",
        "--release",
        "--locked",
        "--examples",
        "-p",
        "ferrevent",
        "-p",
        "ferrevent-core",
        "--target-dir",
    ]);
    examples.arg(place.target.join("own"));
    run(examples)
}

/// Where a program was built.
pub(crate) fn path(place: &Place, binary: Binary) -> PathBuf {
    match binary {
        Binary::C(name) => place.target.join(name),
        Binary::Tokio => place.target.join("tokio/release/tokio-peer"),
        Binary::Example(name) => place.target.join("own/release/examples").join(name),
    }
}

fn certificate(place: &Place) -> Result<(), String> {
    if place.target.join(CERTIFICATE).exists() && place.target.join(KEY).exists() {
        return Ok(());
    }
    let mut openssl = Command::new("openssl");
    openssl
        .args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "3650"])
        .args(["-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost"])
        .args(["-keyout", KEY, "-out", CERTIFICATE])
        .current_dir(&place.target);
    run(openssl)
}

fn run(mut command: Command) -> Result<(), String> {
    let status = command
        .status()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{command:?} failed with {status}"))
    }
}
