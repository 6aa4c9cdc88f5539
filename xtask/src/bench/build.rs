//! Builds the peers: C programs, the tokio peer, and this workspace's examples.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Place;
use super::peers::Binary;
use crate::{capi, cargo};

/// Every C program; each file in `bench/c` is one.
const C_PROGRAMS: &[&str] = &[
    "dns_libevent",
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

/// Those that are also run on this project's library.
const ON_CAPI: &[&str] = &[
    "libevent_bev",
    "libevent_event",
    "buffers_evbuffer",
    "dns_libevent",
    "timers_libevent",
];

const LIBRARIES: &[&str] = &[
    "-levent_core",
    "-levent_extra",
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
        compile(place, name, Binary::C(name), None)?;
    }
    let library = capi::build(&place.root)?.join("lib");
    for name in ON_CAPI {
        compile(place, name, Binary::OnCapi(name), Some(&library))?;
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

/// Compiles a C program; it looks for its libraries in a folder first.
fn compile(
    place: &Place,
    name: &str,
    binary: Binary,
    libraries: Option<&Path>,
) -> Result<(), String> {
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-Wall", "-Wl,--as-needed", "-o"])
        .arg(path(place, binary))
        .arg(place.root.join("bench/c").join(format!("{name}.c")))
        .args(LIBRARIES);
    if let Some(folder) = libraries {
        // For what these libraries need, too.
        cc.arg("-Wl,--disable-new-dtags");
        cc.arg(format!("-Wl,-rpath,{}", folder.display()));
    }
    run(cc)
}

/// Where a program was built.
pub(crate) fn path(place: &Place, binary: Binary) -> PathBuf {
    match binary {
        Binary::C(name) => place.target.join(name),
        Binary::OnCapi(name) => place.target.join(format!("capi_{name}")),
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
