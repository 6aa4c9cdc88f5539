//! Cells in which the generator loads a server.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::cells::{Cell, Idle, Load, Mode, Wire, Work};
use super::options::Options;
use super::peers::{self, Binary};
use super::process::{self, Endpoint, LOAD_CORE};
use super::stats::{Sample, Series, Unit};
use super::{Place, build, wanted};
use crate::procfs::private_dirty;
use crate::running::Running;

/// Every peer once a round; every other round in the opposite order.
pub(crate) fn measure(
    place: &Place,
    options: &Options,
    cell: &Cell,
    rounds: usize,
) -> Result<Series, String> {
    let wire = cell.work.wire().ok_or("nothing to be loaded")?;
    let mut peers: Vec<(&'static str, Vec<Sample>)> = Vec::new();
    for round in 0..rounds {
        let mut order: Vec<&peers::Peer> = peers::ALL
            .iter()
            .filter(|peer| match options.peers.as_slice() {
                [] => peer.usual,
                asked => wanted(asked, peer.name),
            })
            .collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for peer in order {
            let endpoint = Endpoint::fresh(place, wire == Wire::Unix)?;
            let Some(server) = peer.server(cell.work, &endpoint.text) else {
                continue;
            };
            let running = process::serve(place, &server, &endpoint)?;
            let sample = match cell.work {
                Work::Load(load) => under_load(place, options, load, &endpoint, &running),
                Work::Idle(idle) => held(place, idle, &endpoint, running),
                Work::Paced(_) | Work::Programs(_) => continue,
            };
            let sample = sample.map_err(|error| format!("{}: {error}", server.peer))?;
            match peers.iter_mut().find(|(name, _)| *name == peer.name) {
                Some((_, samples)) => samples.push(sample),
                None => peers.push((peer.name, vec![sample])),
            }
        }
    }
    peers.sort_by_key(|(name, _)| peers::ALL.iter().position(|peer| peer.name == *name));
    let (reference, again) = peers::reference(wire);
    Ok(Series {
        name: cell.name.to_owned(),
        unit: match cell.work {
            Work::Load(load) if matches!(load.mode, Mode::Sink | Mode::Pump) => {
                Unit::CpuPerGigabyte
            }
            Work::Idle(_) => Unit::BytesPerConnection,
            _ => Unit::CpuPerRequest,
        },
        reference,
        again: Some(again),
        peers,
    })
}

fn under_load(
    place: &Place,
    options: &Options,
    load: Load,
    endpoint: &Endpoint,
    server: &Running,
) -> Result<Sample, String> {
    let output = generator(place, load.wire, load.mode.name(), endpoint)
        .arg(format!("conns={}", load.conns))
        .arg(format!("size={}", load.size))
        .arg(format!("pid={}", server.0.id()))
        .arg(format!("warmup={}", options.warmup_ms))
        .arg(format!("window={}", options.window_ms))
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("the generator: {error}"))?;
    let line = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(format!("the generator ended: {}", output.status));
    }
    let figure = |key: &str| -> Result<f64, String> {
        line.split_whitespace()
            .find_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.parse().ok())
            .ok_or_else(|| format!("the generator says no {key}: {line}"))
    };
    let (cpu, seconds) = (figure("cpu_ns")?, figure("seconds")?);
    Ok(match load.mode {
        Mode::Sink | Mode::Pump => {
            let bytes = figure("bytes")?;
            Sample {
                cost: cpu / bytes * 1e9,
                rate: Some(bytes / seconds),
                p50: None,
                p99: None,
            }
        }
        Mode::Echo | Mode::Accept | Mode::Handshake => {
            let requests = figure("requests")?;
            Sample {
                cost: cpu / requests,
                rate: Some(requests / seconds),
                p50: Some(figure("p50_ns")?),
                p99: Some(figure("p99_ns")?),
            }
        }
    })
}

/// What the server's memory grew by, for one connection. The server ends first, so that the
/// connections' remains are its own and not the generator's.
fn held(place: &Place, idle: Idle, endpoint: &Endpoint, server: Running) -> Result<Sample, String> {
    let before = private_dirty(server.0.id())?;
    let mut generator = Running(
        generator(place, idle.wire, "idle", endpoint)
            .arg(format!("conns={}", idle.conns))
            .arg(format!("size={}", idle.size))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("the generator: {error}"))?,
    );
    let mut line = String::new();
    if let Some(stdout) = generator.0.stdout.take() {
        BufReader::new(stdout)
            .read_line(&mut line)
            .map_err(|error| format!("the generator: {error}"))?;
    }
    if line.trim() != "ready" {
        return Err("the generator ended before all connections stood".into());
    }
    let after = private_dirty(server.0.id())?;
    drop(server);
    drop(generator);
    Ok(Sample {
        cost: (after - before) / idle.conns as f64,
        rate: None,
        p50: None,
        p99: None,
    })
}

pub(super) fn generator(place: &Place, wire: Wire, mode: &str, endpoint: &Endpoint) -> Command {
    let (name, more): (_, &[&str]) = match wire {
        Wire::Tcp | Wire::Unix => ("generator", &[]),
        Wire::Tls => ("generator_tls", &[build::CERTIFICATE]),
    };
    let path = build::path(place, Binary::C(name));
    let mut command = process::pinned(LOAD_CORE, &path);
    command
        .args([mode, &endpoint.text])
        .args(more)
        .current_dir(&place.target);
    command
}
