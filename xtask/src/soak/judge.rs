//! Whether what was seen is as it should be.

use std::time::Duration;

use super::Record;
use super::watch::Look;

/// One thing that was to be shown.
pub(crate) struct Verdict {
    pub(crate) what: String,
    pub(crate) wanted: String,
    pub(crate) seen: String,
    /// `None` when the run was too short to tell.
    pub(crate) passed: Option<bool>,
}

impl Verdict {
    fn new(what: &str, wanted: &str, seen: String, passed: bool) -> Self {
        Self {
            what: what.to_owned(),
            wanted: wanted.to_owned(),
            seen,
            passed: Some(passed),
        }
    }

    fn equal(what: &str, wanted: u64, seen: u64) -> Self {
        Self::new(what, &wanted.to_string(), seen.to_string(), wanted == seen)
    }

    pub(crate) fn is_passed(&self) -> bool {
        self.passed != Some(false)
    }
}

/// Memory is judged from here on.
const WARM: Duration = Duration::from_secs(60);
/// Fewer looks than these tell nothing.
const FEWEST: usize = 3;
/// How far memory at rest may be from its median, in parts of the memory under
/// load: at rest so little is held that a few pages are more than that.
const FLAT: f64 = 0.01;
/// What a program may keep after the load: tables that have grown, and pages
/// of the allocator that are used in part.
const KEPT_KIB: u64 = 512;

/// Every verdict on a run.
pub(crate) fn all(record: &Record) -> Vec<Verdict> {
    let totals = |key| figure(&record.totals, key);
    let tally = |key| figure(&record.tally, key);
    let mut verdicts = vec![
        Verdict::equal("wrong bytes, as the clients see it", 0, totals("wrong")),
        Verdict::equal("wrong bytes, as the server sees it", 0, tally("wrong")),
        Verdict::equal("connections stuck", 0, totals("stuck")),
        Verdict::equal("wrong ends, as the clients see it", 0, totals("failed")),
        Verdict::equal("wrong ends, as the server sees it", 0, tally("misended")),
        Verdict::new(
            "the load ran to its end",
            "yes",
            yes(record.content).into(),
            record.content,
        ),
        Verdict::equal(
            "completed, as the server sees it",
            completed(record),
            tally("complete"),
        ),
        Verdict::equal(
            "broken off by the client, likewise",
            totals("broken"),
            tally("broken"),
        ),
        Verdict::equal(
            "broken off by the server, likewise",
            totals("cut"),
            tally("cut"),
        ),
        Verdict::equal("left open in the server", 0, tally("open")),
    ];
    let logged = Logged::of(&record.logs);
    verdicts.extend([
        Verdict::equal(
            "clean ends in the relays' logs",
            totals("relayed_clean"),
            logged.clean,
        ),
        Verdict::equal(
            "the client's resets there",
            totals("relayed_client"),
            logged.client,
        ),
        Verdict::equal(
            "the upstream's resets there",
            totals("relayed_upstream"),
            logged.upstream,
        ),
        Verdict::equal("other lines there", 0, logged.other),
        descriptors(record),
    ]);
    for subject in 0..record.names.len() {
        verdicts.push(flat(record, subject));
        verdicts.push(returned(record, subject));
    }
    verdicts
}

/// Connections that did all they had to.
pub(crate) fn completed(record: &Record) -> u64 {
    [
        "chat", "idle", "echo", "upload", "download", "duplex", "burst",
    ]
    .iter()
    .map(|kind| figure(&record.totals, kind))
    .sum()
}

/// A figure in a line of `name=figure`; one that is missing is as wrong as can be.
pub(crate) fn figure(line: &str, key: &str) -> u64 {
    line.split_whitespace()
        .find_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.parse().ok())
        .unwrap_or(u64::MAX)
}

fn yes(it: bool) -> &'static str {
    if it { "yes" } else { "no" }
}

/// How the connections ended that the relays have logged.
#[derive(Debug, Default, PartialEq, Eq)]
struct Logged {
    clean: u64,
    client: u64,
    upstream: u64,
    other: u64,
}

impl Logged {
    fn of(logs: &str) -> Self {
        let mut logged = Self::default();
        for line in logs.lines() {
            let text = line.split_once(' ').map_or("", |(_, text)| text);
            if text.starts_with("relaying ") || text.starts_with("stopped after ") {
                continue;
            }
            let reason = line
                .split_once(" time=")
                .and_then(|(_, rest)| rest.split_once(' '))
                .map_or("", |(_, reason)| reason);
            let count = if reason == "finished" {
                &mut logged.clean
            } else if reason.starts_with("client: failed") {
                &mut logged.client
            } else if reason.starts_with("upstream: failed") {
                &mut logged.upstream
            } else {
                eprintln!("in a relay's log: {line}");
                &mut logged.other
            };
            *count += 1;
        }
        logged
    }
}

/// At every rest there must be as many as in the beginning.
fn descriptors(record: &Record) -> Verdict {
    let counts =
        |look: &Look| -> Vec<usize> { look.subjects.iter().map(|seen| seen.descriptors).collect() };
    let base = counts(&record.base);
    let odd = record.rests.iter().map(counts).find(|rest| *rest != base);
    Verdict::new(
        "open descriptors at every rest",
        &format!("{base:?}, as before"),
        odd.as_ref()
            .map_or("the same".into(), |odd| format!("{odd:?}")),
        odd.is_none(),
    )
}

fn flat(record: &Record, subject: usize) -> Verdict {
    let warm = |looks: &[Look]| -> Vec<u64> {
        let looks = looks.iter().filter(|look| look.at >= WARM);
        looks
            .map(|look| look.subjects[subject].memory_kib)
            .collect()
    };
    let (loaded, rests) = (median(&warm(&record.looks)), warm(&record.rests));
    let what = format!("memory at rest after a minute: {}", record.names[subject]);
    if rests.len() < FEWEST || loaded == 0 {
        return Verdict {
            what,
            wanted: format!("flat, ±{:.0} %", FLAT * 100.0),
            seen: "too short a run".into(),
            passed: None,
        };
    }
    let middle = median(&rests);
    let far = |kib: u64| (kib as f64 - middle as f64) / loaded as f64;
    let low = rests.iter().map(|kib| far(*kib)).fold(0.0, f64::min);
    let high = rests.iter().map(|kib| far(*kib)).fold(0.0, f64::max);
    Verdict::new(
        &what,
        &format!(
            "flat, ±{:.0} % of the {loaded} KiB under load",
            FLAT * 100.0
        ),
        format!(
            "{middle} KiB, {:+.2} % to {:+.2} %",
            low * 100.0,
            high * 100.0
        ),
        low >= -FLAT && high <= FLAT,
    )
}

fn returned(record: &Record, subject: usize) -> Verdict {
    let base = record.base.subjects[subject].memory_kib;
    let end = record.rests.last();
    let kib = end.map_or(u64::MAX, |look| look.subjects[subject].memory_kib);
    Verdict {
        what: format!("memory after the load: {}", record.names[subject]),
        wanted: format!("{base} KiB as before, and {KEPT_KIB} at most"),
        seen: format!("{kib} KiB"),
        passed: end
            .is_some_and(|look| look.at >= WARM)
            .then_some(kib <= base + KEPT_KIB),
    }
}

/// The middle one; 0 of none.
pub(crate) fn median(numbers: &[u64]) -> u64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_a_log_is_counted_once() {
        let log = "\
2026-01-01T00:00:00.000Z relaying 127.0.0.1:1 to 127.0.0.1:2
2026-01-01T00:00:00.000Z 127.0.0.1:1 -> 127.0.0.1:2 in=1 out=2 time=0.001s finished
2026-01-01T00:00:00.000Z unix -> unix:x in=1 out=2 time=0.001s client: failed to send: Broken pipe
2026-01-01T00:00:00.000Z unix -> unix:x in=1 out=2 time=0.001s upstream: failed to receive: reset
2026-01-01T00:00:00.000Z cannot accept connections: too many open files
";
        let wanted = Logged {
            clean: 1,
            client: 1,
            upstream: 1,
            other: 1,
        };
        assert_eq!(Logged::of(log), wanted);
    }

    #[test]
    fn a_figure_that_is_missing_is_not_zero() {
        assert_eq!(figure("a=1 stuck=0", "stuck"), 0);
        assert_eq!(figure("a=1 unstuck=0", "stuck"), u64::MAX);
    }
}
