//! Samples as tables.

use std::fmt::Write;

use super::limits;
use super::stats::{Metric, Series, Summary, Unit};

/// The whole report.
pub(crate) fn page(series: &[Series]) -> String {
    let mut page = String::from(INTRODUCTION);
    page.push_str("\n## The figures to reach\n\n");
    page.push_str(&verdicts(series));
    page.push_str("\n## Every cell\n");
    page.push_str(&sections(series));
    page
}

/// A table of every limit for which there are figures.
pub(crate) fn verdicts(series: &[Series]) -> String {
    let mut table =
        String::from("| cell | limit | reached | A/A deviation | |\n|---|---|---|---|---|\n");
    for one in series {
        for judged in limits::judge(one) {
            let _ = writeln!(
                table,
                "| {} | {} | {} | {:.1} % | {} |",
                one.name,
                judged.limit,
                if judged.value < 10.0 {
                    format!("{:.3}", judged.value)
                } else {
                    format!("{:.0}", judged.value)
                },
                judged.deviation * 100.0,
                judged.verdict.words()
            );
        }
    }
    table
}

/// A table for each series.
pub(crate) fn sections(series: &[Series]) -> String {
    series.iter().map(section).collect()
}

fn section(series: &Series) -> String {
    let mut text = format!("\n### {}\n\n", series.name);
    let (unit, scale) = series.unit.shown();
    let loaded = series
        .samples(series.reference)
        .is_some_and(|samples| samples.iter().any(|sample| sample.rate.is_some()));
    let timed = series
        .samples(series.reference)
        .is_some_and(|samples| samples.iter().any(|sample| sample.p99.is_some()));
    let _ = write!(
        text,
        "| peer | {unit} | to {} (quartiles)",
        series.reference
    );
    if loaded {
        text.push_str(" | rate | to it");
    }
    if timed {
        text.push_str(" | p50 µs | p99 µs | p99 to it");
    }
    text.push_str(" |\n|---|---|---");
    text.push_str(&"|---".repeat(if loaded { 2 } else { 0 } + if timed { 3 } else { 0 }));
    text.push_str("|\n");
    for (peer, samples) in &series.peers {
        let of = |metric: Metric| Summary::new(samples.iter().filter_map(|one| metric.of(one)));
        let to = |metric| series.ratios(peer, series.reference, metric);
        let name = if Some(*peer) == series.again {
            format!("{} again (A/A)", series.reference)
        } else {
            (*peer).to_owned()
        };
        let cost = of(Metric::Cost).map_or(f64::NAN, |cost| cost.median / scale);
        let _ = write!(
            text,
            "| {name} | {} | {}",
            figure(cost),
            spread(to(Metric::Cost))
        );
        if loaded {
            let _ = write!(
                text,
                " | {} | {}",
                rate(series.unit, of(Metric::Rate)),
                median(to(Metric::Rate))
            );
        }
        if timed {
            let p50 = Summary::new(samples.iter().filter_map(|one| one.p50));
            let micros = |summary: Option<Summary>| {
                summary.map_or_else(|| "-".into(), |one| figure(one.median / 1e3))
            };
            let _ = write!(
                text,
                " | {} | {} | {}",
                micros(p50),
                micros(of(Metric::P99)),
                median(to(Metric::P99))
            );
        }
        text.push_str(" |\n");
    }
    text
}

fn spread(ratios: Option<Summary>) -> String {
    ratios.map_or_else(
        || "-".into(),
        |ratios| {
            format!(
                "{:.2} ({:.2} to {:.2}, n = {})",
                ratios.median, ratios.lower, ratios.upper, ratios.count
            )
        },
    )
}

fn median(ratios: Option<Summary>) -> String {
    ratios.map_or_else(|| "-".into(), |ratios| format!("{:.2}", ratios.median))
}

fn rate(unit: Unit, rate: Option<Summary>) -> String {
    let Some(rate) = rate else {
        return "-".into();
    };
    match unit {
        Unit::CpuPerGigabyte => format!("{:.2} GB/s", rate.median / 1e9),
        Unit::CpuPerSecond => format!("{:.2} kB/s", rate.median / 1e3),
        _ => format!("{:.1} k/s", rate.median / 1e3),
    }
}

fn figure(value: f64) -> String {
    if value < 10.0 {
        format!("{value:.2}")
    } else if value < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

const INTRODUCTION: &str = "# Benchmarks

Made by `cargo xtask bench`; one cell by `cargo xtask bench --only CELL`; every sample is in `data/`.

Server and load each have a core of their own (0 and 1), on one machine, over loopback. In every
round each peer runs once, as a fresh process; every other round goes in the opposite order. A
measurement is 0.3 s of warm-up and 0.3 s that count. The cost is the **CPU time of the server
process** (the sum of its threads' schedstat) for one request or one gigabyte, because the load is
often the bottleneck; throughput and the 99th percentile stand beside it, because that cost can be
lowered by sleeping. Ratios are taken within a round to the floor, which is a C program with nothing
but the system calls (`bench/c/floor.c`); shown are their median and quartiles. The floor also runs
a second time under another name: that A/A row says how far the same program is from itself, and a
result nearer to its limit than that is *undecided*.

The peers: libevent 2.1's bufferevents and its bare events, libuv with an allocation for each read
and with one shared slab and `uv_try_write`, tokio on one thread with a 64 KiB buffer for each
connection (4 KiB in the idle cells). Where there is no floor, libevent is the reference. `capi-bev`,
`capi-event` and `capi` are the programs of libevent once more, on this project's library with its
interface; such a program has no way to a line but as a string of its own (`crlf_line40_owned`), and
an event of its own for every timer. Of ours,
`ferrevent` is a loop on epoll and `ferrevent-uring` one on io_uring, whose floor is
`bench/c/floor_uring.c`; `-pool1` is a pool of one worker.

Under a rate limit (`rate-*`) every connection goes as fast as it may, alone or in one group; the
burst is a tenth of a second of the rate, and libevent's tick 50 ms. After two seconds four count,
from the beginning of one movement to that of another; the cost is the CPU time in a second.

TCP's congestion control is BBR on this machine, which paces what it sends by timers of the kernel, on
loopback too. `rate-pump-1g-1` and `rate-pump-100m-1` were measured with cubic, Linux's own default
(`--congestion cubic`). With BBR the first cost 1.18 of libevent's time (six rounds), the second 1.05
(three rounds, A/A deviation 14 %).

`tasks` spawns a task that yields once and is waited for, and makes a timer that is polled once and
dropped; its datagram goes there and back between two sockets of one task; `hyper-50` is hyper's hello under 50 connections of wrk on one thread, `hyper-pool-50` on
two, on our runtime and on tokio's. `ferrevent-tasks` in the idle cells is an echo by a suspended
task for each connection, whose own future has 112 bytes.

`dns` asks a server of a few lines for 10,000 addresses by libevent's resolver: 64 at once
(`at-once`), one after the other (`in-turn`), and by `evdns_getaddrinfo` for both families (`info`);
the cost is the client's CPU time for a question.

With TLS everybody speaks version 1.3 with AES-128-GCM and X25519, shows the same ECDSA P-256
certificate and resumes nothing; the load checks that it is so. The peers are libevent's
bufferevents over OpenSSL, which are the reference, and tokio-rustls with ring. There the cost of a
gigabyte is that of one gigabyte of plaintext, and an idle connection is one of 5,000.

![Echo over TCP](echo-tcp.svg)
![Echo over unix sockets](echo-unix.svg)
![Bulk and accepting](bulk.svg)
![TLS](tls.svg)
![Memory, timers, buffers, wakes](rest.svg)
";
