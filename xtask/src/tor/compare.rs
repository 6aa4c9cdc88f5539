//! The same fetch on Ferrevent and on tokio, in turns.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::{arti, build};
use crate::bench::Summary;
use crate::procfs;
use crate::running::{Running, read};
use crate::tornet::{Files, Network, Setup};

const OURS: &str = "tor/target/release/ferrevent-tor";
const TOKIO: &str = "tor/target/release/arti-on-tokio";

/// How often is looked at the memory of one that runs.
const LOOK: Duration = Duration::from_millis(20);

/// What a fetch cost; what is compared, in this order.
const FIGURES: [&str; 4] = ["CPU, s", "resident, MiB", "bootstrap, s", "64 MiB, s"];
/// What is hoped for, at most, of ours to tokio's.
const HOPED: [f64; 4] = [1.05, 1.05, 1.15, 1.15];

type Cost = [f64; 4];

/// Measures, and prints medians and the medians of the ratios of the pairs.
/// How fast it is fails nothing.
pub(super) fn run(rounds: usize, backends: &[&str]) -> Result<(), String> {
    // As it is installed, and its peer: no responder is in either.
    build("tokio-peer", &["--release"])?;
    let files = Files::serve()?;
    eprintln!("== a Tor network on 127.0.0.1");
    let network = Network::start("network", files.port, &Setup::default())?;
    for backend in backends {
        let mut pairs = Vec::new();
        // The first warms the caches up, and does not count.
        for round in 0..=rounds {
            let measure = |tokio: bool| fetch(&network, &files, (!tokio).then_some(*backend));
            // Neither is always the first.
            let (ours, peer) = if round % 2 == 0 {
                let ours = measure(false)?;
                (ours, measure(true)?)
            } else {
                let peer = measure(true)?;
                (measure(false)?, peer)
            };
            if round > 0 {
                eprintln!("   {backend} {round}: {ours:.2?} to tokio's {peer:.2?}");
                pairs.push((ours, peer));
            }
        }
        print(backend, &pairs);
    }
    Ok(())
}

fn print(backend: &str, pairs: &[(Cost, Cost)]) {
    println!("{backend}, medians of {} pairs:", pairs.len());
    for (number, name) in FIGURES.iter().enumerate() {
        let ours = median(pairs.iter().map(|(ours, _)| ours[number]));
        let peer = median(pairs.iter().map(|(_, peer)| peer[number]));
        let ratio = median(pairs.iter().map(|(ours, peer)| ours[number] / peer[number]));
        println!(
            "  {name:14} {ours:8.2} to {peer:8.2}, {ratio:.3} ({:.2} at most)",
            HOPED[number]
        );
    }
}

fn median(all: impl Iterator<Item = f64>) -> f64 {
    Summary::new(all).map_or(f64::NAN, |all| all.median)
}

/// One client, from nothing; on tokio if no backend is named.
fn fetch(network: &Network, files: &Files, backend: Option<&str>) -> Result<Cost, String> {
    let config = arti::client(network, "client")?;
    let folder = network.folder();
    let (got, log) = (folder.join("client/fetched"), folder.join("compare.log"));
    let mut command = match backend {
        Some(backend) => {
            let mut command = Command::new(OURS);
            command.args(["fetch", "--backend", backend, "--log", "error", "--config"]);
            command
                .arg(&config)
                .arg(files.url("big"))
                .arg("-o")
                .arg(&got);
            command
        }
        None => {
            let mut command = Command::new(TOKIO);
            command.arg(&config).arg(files.url("big")).arg(&got);
            command
        }
    };
    let out = fs::File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    let here = std::process::id();
    let before = procfs::cpu_seconds_of_children(here)?;
    let child = command.stdin(Stdio::null()).stderr(out).spawn();
    let mut running = Running(child.map_err(|error| format!("{command:?}: {error}"))?);
    let mut resident = 0.0;
    let status = loop {
        // One that has just ended has no memory any more.
        resident = procfs::most_resident_kib(running.0.id()).unwrap_or(resident);
        match running.0.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) => thread::sleep(LOOK),
            Err(error) => return Err(error.to_string()),
        }
    };
    let cpu = procfs::cpu_seconds_of_children(here)? - before;
    let said = read(&log)?;
    if !status.success() {
        return Err(format!("{command:?}: {status}: {said}"));
    }
    files.same(&got, "big")?;
    let after = |word: &str| {
        let rest = said.split(word).nth(1).unwrap_or_default();
        let number = rest.split_whitespace().next().unwrap_or_default();
        number.parse::<f64>().map_err(|_| format!("it says {said}"))
    };
    Ok([
        cpu,
        resident / 1024.0,
        after("; bootstrap ")?,
        after(" bytes in ")?,
    ])
}
