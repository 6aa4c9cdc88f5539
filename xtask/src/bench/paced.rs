//! Cells of rate limits: programs that limit so many connections, under a load that would go as
//! fast as it can, and say what moved and what it cost them.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::cells::{Cell, Paced, Wire};
use super::load;
use super::options::Options;
use super::peers::{self, Invocation};
use super::process::{self, Endpoint, SERVER_CORE};
use super::stats::{Sample, Series, Unit};
use super::{Place, build, wanted};
use crate::running::Running;

/// Seconds that count, after two of warm-up.
const SECONDS: u64 = 4;

/// Every program once a round; every other round in the opposite order.
pub(crate) fn measure(
    place: &Place,
    options: &Options,
    cell: &Cell,
    paced: Paced,
    rounds: usize,
) -> Result<Series, String> {
    let mut peers: Vec<(&'static str, Vec<Sample>)> = Vec::new();
    for round in 0..rounds {
        let mut order = peers::paced();
        if round % 2 == 1 {
            order.reverse();
        }
        for program in order {
            if !wanted(&options.peers, program.peer) {
                continue;
            }
            let sample = one(place, options, paced, &program)
                .map_err(|error| format!("{}: {error}", program.peer))?;
            match peers.iter_mut().find(|(name, _)| *name == program.peer) {
                Some((_, samples)) => samples.push(sample),
                None => peers.push((program.peer, vec![sample])),
            }
        }
    }
    peers.sort_by_key(|(name, _)| peers::paced().iter().position(|it| it.peer == *name));
    Ok(Series {
        name: cell.name.to_owned(),
        unit: Unit::CpuPerSecond,
        reference: peers::LIBEVENT,
        again: Some(peers::LIBEVENT_AGAIN),
        peers,
    })
}

fn one(
    place: &Place,
    options: &Options,
    paced: Paced,
    program: &Invocation,
) -> Result<Sample, String> {
    let endpoint = Endpoint::fresh(place, false)?;
    let service = paced.mode.name();
    let mut args = vec![service.to_owned(), endpoint.text.clone()];
    // A tenth of a second at once, for everybody.
    let numbers = [paced.conns as u64, paced.rate, paced.rate / 10, SECONDS];
    args.extend(numbers.map(|number| number.to_string()));
    args.extend(program.args.iter().cloned());
    let path = build::path(place, program.binary);
    let mut running = Running(
        process::pinned(SERVER_CORE, &path)
            .args(&args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?,
    );
    let output = running.0.stdout.take().ok_or("it has no output")?;
    let mut output = BufReader::new(output);
    let mut next = || {
        let mut line = String::new();
        match output.read_line(&mut line) {
            Ok(0) => Err("it ended".to_owned()),
            Ok(_) => Ok(line),
            Err(error) => Err(error.to_string()),
        }
    };
    if next()? != "listening\n" {
        return Err("it does not listen".into());
    }
    let generator = Running(
        load::generator(place, Wire::Tcp, service, &endpoint)
            .arg(format!("conns={}", paced.conns))
            .arg("size=65536")
            .arg(format!("pid={}", running.0.id()))
            .arg(format!("warmup={}", options.warmup_ms))
            .arg("window=60000")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("the generator: {error}"))?,
    );
    let line = next()?;
    drop(generator);
    let figure = |key: &str| -> Result<f64, String> {
        line.split_whitespace()
            .find_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.parse().ok())
            .ok_or_else(|| format!("says no {key}: `{line}`"))
    };
    let seconds = figure("ns")? / 1e9;
    Ok(Sample {
        cost: figure("cpu_ns")? / seconds,
        rate: Some(figure("bytes")? / seconds),
        p50: None,
        p99: None,
    })
}
