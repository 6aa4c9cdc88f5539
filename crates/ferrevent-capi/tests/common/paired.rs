//! What a load costs a program on either library, in turns.

#![allow(dead_code, reason = "no test program uses all of it")]

use super::Library;

/// What one run of a load cost its server, and how fast it went.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    /// CPU of the server for each request, in microseconds.
    pub(crate) cpu_us: f64,
    /// Requests in a second.
    pub(crate) rate: f64,
}

/// Measures rounds of ours, theirs and theirs again, and prints the medians of
/// the ratios of a round. The last tells what the machine alone makes of it.
/// `FERREVENT_ROUNDS` says how many, else there are 15. Speed fails nothing.
pub(crate) fn compare(name: &str, mut measure: impl FnMut(Library) -> Cost) {
    let rounds = std::env::var("FERREVENT_ROUNDS").map_or(15, |rounds| rounds.parse().unwrap());
    let mut all = Vec::new();
    // The first warms the caches up, and does not count.
    for round in 0..=rounds {
        let mut order = [Library::Ours, Library::System, Library::System];
        // None is always the first.
        order.rotate_left(round % 3);
        let mut costs = order.map(|library| (library, measure(library)));
        costs.rotate_right(round % 3);
        let [ours, theirs, again] = costs.map(|(_, cost)| cost);
        if round > 0 {
            println!(
                "{name} {round}: {:.2} µs, {:.0}/s; theirs {:.2} µs, {:.0}/s; again {:.2} µs, {:.0}/s",
                ours.cpu_us, ours.rate, theirs.cpu_us, theirs.rate, again.cpu_us, again.rate
            );
            all.push([ours, theirs, again]);
        }
    }
    let of = |what: fn(Cost) -> f64, to: usize, from: usize| {
        median(all.iter().map(|round| what(round[to]) / what(round[from])))
    };
    let cpu = |cost: Cost| cost.cpu_us;
    let rate = |cost: Cost| cost.rate;
    println!(
        "{name}, medians of {rounds} rounds, ours to theirs (theirs to itself): \
         CPU of a request {:.3} ({:.3}), 1.05 at most; rate {:.3} ({:.3}), 0.95 at least",
        of(cpu, 0, 1),
        of(cpu, 2, 1),
        of(rate, 0, 1),
        of(rate, 2, 1)
    );
}

/// CPU time of a process so far, in seconds (proc_pid_stat(5)).
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The second field is a name in parentheses and may hold anything.
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks = |field: usize| fields[field].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

fn median(all: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = all.collect();
    all.sort_by(f64::total_cmp);
    f64::midpoint(all[(all.len() - 1) / 2], all[all.len() / 2])
}
