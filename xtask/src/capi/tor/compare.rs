//! What it costs tor to carry bytes, on the library and on Debian's, in turns.

use std::time::{Duration, Instant};

use super::library::Library;
use super::{Client, setup};
use crate::bench::{CAPI, LIBEVENT, LIBEVENT_AGAIN, Sample, Series, Unit, sections, verdicts};
use crate::procfs;
use crate::running::{ends, until};
use crate::tornet::{BIG, Files, Network, curl};

/// Networks are made anew after so many rounds: one that is out of luck with
/// its memory, or its paths, is not measured again and again.
const ROUNDS: usize = 5;

/// So often 64 MiB are fetched in a measurement.
const FETCHES: usize = 2;

const PATIENCE: Duration = Duration::from_secs(600);

/// Measures, and prints a table of the medians and ratios. How much it is fails nothing.
pub(super) fn run(rounds: usize, library: &Library, files: &Files) -> Result<(), String> {
    // The reference, once more: that says how far it is from itself.
    let sides = [
        (LIBEVENT, Library::Debian),
        (CAPI, library.clone()),
        (LIBEVENT_AGAIN, Library::Debian),
    ];
    let mut series = Series {
        name: "tor".into(),
        unit: Unit::CpuPerGigabyte,
        reference: LIBEVENT,
        again: Some(LIBEVENT_AGAIN),
        peers: sides.iter().map(|(peer, _)| (*peer, Vec::new())).collect(),
    };
    let mut stages = Vec::new();
    for round in 0..rounds {
        if round % ROUNDS == 0 {
            stages.clear();
            stages = raise(&sides, files)?;
        }
        let began = Instant::now();
        let mut said = String::new();
        // Nobody is always the first.
        for turn in 0..sides.len() {
            let side = (round + turn) % sides.len();
            let sample = stages[side].measure(files)?;
            said += &format!(" {} {:.0}", sides[side].0, sample.cost / 1e6);
            series.peers[side].1.push(sample);
        }
        let seconds = began.elapsed().as_secs_f64();
        eprintln!("   {}: ms/GB:{said} ({seconds:.1} s)", round + 1);
    }
    let series = [series];
    print!("{}\n{}", sections(&series), verdicts(&series));
    Ok(())
}

/// A network with a client, which does nothing until it is measured.
struct Stage {
    network: Network,
    client: Client,
}

/// A network for each side, all of them beside one another.
fn raise(sides: &[(&str, Library)], files: &Files) -> Result<Vec<Stage>, String> {
    let began = Instant::now();
    let mut networks = Vec::new();
    for (peer, library) in sides {
        let name = format!("compare-{peer}");
        networks.push(Network::begin(&name, files.port, &setup(library, None))?);
    }
    let mut stages = Vec::new();
    for mut network in networks {
        network.wait()?;
        let client = Client::start(&network, &[])?;
        stages.push(Stage { network, client });
    }
    for (stage, (peer, library)) in stages.iter().zip(sides) {
        until("a client's circuits", PATIENCE, || stage.client.is_there())
            .map_err(|error| format!("{peer}: {error}; {}", stage.client.tor.last_words()))?;
        for tor in stage.tors() {
            library.demand(tor)?;
        }
        // The first fetch builds what the others find there.
        stage.fetch(files)?;
    }
    let seconds = began.elapsed().as_secs_f64();
    eprintln!("== {} networks: {seconds:.1} s", stages.len());
    Ok(stages)
}

impl Stage {
    fn measure(&self, files: &Files) -> Result<Sample, String> {
        let (before, began) = (self.cpu_seconds()?, Instant::now());
        for _ in 0..FETCHES {
            self.fetch(files)?;
        }
        let cpu = self.cpu_seconds()? - before;
        let bytes = (FETCHES * BIG) as f64;
        Ok(Sample {
            cost: cpu * 1e9 / (bytes / 1e9),
            rate: Some(bytes / began.elapsed().as_secs_f64()),
            p50: None,
            p99: None,
        })
    }

    /// Of the nodes and the client together.
    fn cpu_seconds(&self) -> Result<f64, String> {
        let mut sum = 0.0;
        for tor in self.tors() {
            sum += procfs::cpu_seconds(tor.pid()?)?;
        }
        Ok(sum)
    }

    fn fetch(&self, files: &Files) -> Result<(), String> {
        let got = self.network.folder().join("got");
        let mut curl = curl(self.client.socks);
        curl.arg(files.url("big")).arg("-o").arg(&got);
        let log = self.network.folder().join("curl.log");
        ends(&mut curl, &log, PATIENCE)
            .map_err(|error| format!("{error}\n{}", self.client.tor.last_words()))?;
        files.same(&got, "big")
    }

    fn tors(&self) -> impl Iterator<Item = &crate::tornet::Daemon> {
        let nodes = self.network.nodes.iter().map(|node| &node.tor);
        nodes.chain([&self.client.tor])
    }
}
