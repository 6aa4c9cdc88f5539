//! Every sample of a full run, in text files of tab-separated values: one a cell.

use std::fmt::Write;
use std::path::Path;

use super::peers;
use super::stats::{Sample, Series, Unit};

const HEAD: &str = "# series\tunit\treference\tagain\tpeer\tcost\trate\tp50_ns\tp99_ns\n";

/// Replaces the samples of a cell.
pub(crate) fn write(folder: &Path, cell: &str, series: &[Series]) -> Result<(), String> {
    let mut text = HEAD.to_owned();
    for one in series {
        for (peer, samples) in &one.peers {
            for sample in samples {
                let again = one.again.unwrap_or("-");
                let _ = write!(
                    text,
                    "{}\t{}\t{}\t{again}\t{peer}\t{:.3}",
                    one.name,
                    one.unit.name(),
                    one.reference,
                    sample.cost
                );
                for figure in [sample.rate, sample.p50, sample.p99] {
                    let _ = match figure {
                        Some(figure) => write!(text, "\t{figure:.0}"),
                        None => write!(text, "\t-"),
                    };
                }
                text.push('\n');
            }
        }
    }
    super::write(&folder.join(format!("{cell}.tsv")), &text)
}

/// The samples of a cell; none if it was never run in full.
pub(crate) fn read(folder: &Path, cell: &str) -> Result<Vec<Series>, String> {
    let path = folder.join(format!("{cell}.tsv"));
    let Ok(text) = std::fs::read_to_string(&path) else {
        return Ok(Vec::new());
    };
    let mut series: Vec<Series> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        add(&mut series, line).ok_or_else(|| format!("{}: `{line}`?", path.display()))?;
    }
    Ok(series)
}

fn add(series: &mut Vec<Series>, line: &str) -> Option<()> {
    let words: Vec<&str> = line.split('\t').collect();
    let [name, unit, reference, again, peer, cost, rate, p50, p99] = words.as_slice() else {
        return None;
    };
    if series.last().is_none_or(|last| last.name != *name) {
        series.push(Series {
            name: (*name).to_owned(),
            unit: Unit::named(unit)?,
            reference: peers::name(reference)?,
            again: peers::name(again),
            peers: Vec::new(),
        });
    }
    let peer = peers::name(peer)?;
    let sample = Sample {
        cost: cost.parse().ok()?,
        rate: rate.parse().ok(),
        p50: p50.parse().ok(),
        p99: p99.parse().ok(),
    };
    let peers = &mut series.last_mut()?.peers;
    match peers.last_mut() {
        Some((last, samples)) if *last == peer => samples.push(sample),
        _ => peers.push((peer, vec![sample])),
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut series = Vec::new();
        let line = "a b\tns\tlibevent\tlibevent2\tferrevent\t1.500\t-\t20\t-";
        add(&mut series, line).expect("a line");
        add(&mut series, line).expect("a line");
        assert_eq!(series.len(), 1);
        let samples = series[0].samples("ferrevent").expect("a peer");
        assert_eq!(
            (samples.len(), samples[0].cost, samples[0].p50),
            (2, 1.5, Some(20.0))
        );
        assert!(samples[1].rate.is_none());
        assert!(add(&mut series, "a\tb").is_none());
    }
}
