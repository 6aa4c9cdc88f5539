//! `cargo xtask tor`: the Tor client on Ferrevent in a network of its own.

mod arti;
mod compare;
mod demonstrations;
mod responder;
mod wire;

use crate::tornet::{self, Files, Network, Setup};
use crate::{cargo, packages};

use demonstrations::Place;

const PACKAGES: &[packages::Wanted] = &[("command -v ss", "iproute2")];

const USAGE: &str = "usage: cargo xtask tor [--unit | --show | --network | --compare [ROUNDS]] [--backend epoll|uring|poll]
    --unit     the runtime's own tests, which build nothing of Arti
    --show     what works in the network, without these tests
    --network  start the network and a client's configuration, and keep them until a line is entered
    --compare  a fetch of 64 MiB, in turns with Arti on tokio: CPU, memory, time; of 7 rounds the medians";

/// Builds it, starts the network, and shows what works.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let mut backends = vec!["epoll", "uring"];
    let (mut unit, mut show, mut keep) = (false, false, false);
    let mut compare = None;
    let mut args = args.iter().map(String::as_str).peekable();
    while let Some(arg) = args.next() {
        match arg {
            "--unit" => unit = true,
            "--show" => show = true,
            "--network" => keep = true,
            "--compare" => {
                let rounds = args.next_if(|next| !next.starts_with("--")).unwrap_or("7");
                compare = Some(rounds.parse::<usize>().map_err(|_| USAGE)?.max(1));
            }
            "--backend" => backends = vec![args.next().ok_or(USAGE)?],
            _ => return Err(USAGE.into()),
        }
    }
    if unit {
        return self::unit();
    }
    packages::ensure(tornet::PACKAGES)?;
    packages::ensure(PACKAGES)?;
    if keep {
        return self::keep();
    }
    if let Some(rounds) = compare {
        return compare::run(rounds, &backends);
    }
    if !show {
        self::unit()?;
    }
    build("tokio-peer,relay", &[])?;
    let files = Files::serve()?;
    eprintln!("== a Tor network on 127.0.0.1");
    let mut network = Network::start("network", files.port, &Setup::default())?;
    for backend in backends {
        responder::show(&network, backend)?;
        Place::new(&mut network, &files, backend).show_all()?;
    }
    Ok(())
}

/// The runtime's own tests and lints, without Arti.
pub(crate) fn unit() -> Result<(), String> {
    const ALONE: [&str; 6] = [
        "--locked",
        "--manifest-path",
        MANIFEST,
        "--no-default-features",
        "--features",
        "tls-server",
    ];
    let lints = ["--all-targets", "--", "-D", "warnings"];
    let format = ["fmt", "--check", "--manifest-path", MANIFEST];
    cargo::run("the Tor runtime's formatting", &format, &[])?;
    cargo::run(
        "the Tor runtime's lints",
        &[&["clippy"], &ALONE[..], &lints].concat(),
        &[],
    )?;
    cargo::run("the Tor runtime", &[&["test"], &ALONE[..]].concat(), &[])
}

const MANIFEST: &str = "tor/Cargo.toml";

/// Arti is slow to build: only what every cell goes through is optimised, if it
/// is not asked for more.
fn build(features: &str, more: &[&str]) -> Result<(), String> {
    let arguments = [
        "build",
        "--locked",
        "--manifest-path",
        MANIFEST,
        "--features",
        features,
    ];
    let arguments = [&arguments[..], more].concat();
    cargo::run("ferrevent-tor, and Arti on tokio", &arguments, &[])
}

fn keep() -> Result<(), String> {
    let files = Files::serve()?;
    let network = Network::start("network", files.port, &Setup::default())?;
    let config = arti::client(&network, "client")?;
    println!(
        "ferrevent-tor fetch --config {} {} -o small",
        config.display(),
        files.url("small")
    );
    println!("Enter ends it.");
    let read = std::io::stdin().read_line(&mut String::new());
    read.map(drop).map_err(|error| error.to_string())
}
