//! The figures to reach, as data, and how they are judged.

use super::options::matches;
use super::peers::{CAPI, CAPI_BEV, CAPI_EVENT, TOKIO};
use super::stats::{Metric, Series, Summary};

/// A figure that Ferrevent is to reach.
struct Limit {
    /// Patterns of the series it holds for.
    series: &'static [&'static str],
    /// Whose figure it is.
    of: &'static str,
    metric: Metric,
    bound: Bound,
}

#[derive(Clone, Copy)]
enum Bound {
    /// The ratio to a peer is at most this.
    AtMost(f64, &'static str),
    /// The ratio to a peer is at least this.
    AtLeast(f64, &'static str),
    /// The figure itself is at most this.
    Absolute(f64),
    /// The rate is this, but for so great a part of it.
    Near(f64, f64),
}

const OURS: &str = "ferrevent";
const POOL: &str = "ferrevent-pool1";
const URING: &str = "ferrevent-uring";
const TASKS: &str = "ferrevent-tasks";
const URING_FLOOR: &str = "floor-uring";

const MANY: &[&str] = &["echo-*x50", "echo-*x1000"];
const TIMERS: &[&str] = &[
    "timers add 1000000",
    "timers rearm 1000000",
    "timers delete 1000000",
];

const LIMITS: &[Limit] = &[
    limit(
        &["echo-tcp-*x50", "echo-tcp-*x1000"],
        Metric::Cost,
        Bound::AtMost(1.10, "floor"),
    ),
    limit(
        &["echo-unix-*x50", "echo-unix-*x1000"],
        Metric::Cost,
        Bound::AtMost(1.20, "floor"),
    ),
    limit(
        &["echo-*-64x50", "echo-*-64x1000"],
        Metric::Cost,
        Bound::AtMost(0.80, "libevent-bev"),
    ),
    limit(
        &["echo-*-16kx50", "echo-*-16kx1000"],
        Metric::Cost,
        Bound::AtMost(0.35, "libevent-bev"),
    ),
    limit(
        &["echo-*-64x50", "echo-*-64x1000"],
        Metric::Cost,
        Bound::AtMost(0.80, "libevent-bev"),
    )
    .of(CAPI_BEV),
    limit(
        &["echo-*-16kx50", "echo-*-16kx1000"],
        Metric::Cost,
        Bound::AtMost(0.35, "libevent-bev"),
    )
    .of(CAPI_BEV),
    limit(
        &["echo-*"],
        Metric::Cost,
        Bound::AtMost(1.05, "libevent-event"),
    )
    .of(CAPI_EVENT),
    limit(&["idle-*"], Metric::Cost, Bound::Absolute(800.0)).of(CAPI_BEV),
    limit(MANY, Metric::Cost, Bound::AtMost(1.0, "tokio")),
    limit(MANY, Metric::Rate, Bound::AtLeast(0.95, "floor")),
    limit(MANY, Metric::P99, Bound::AtMost(1.2, "floor")),
    limit(
        &["sink-*", "pump-*"],
        Metric::Cost,
        Bound::AtMost(1.10, "floor"),
    ),
    limit(&["idle-*"], Metric::Cost, Bound::Absolute(300.0)),
    limit(&["echo-*"], Metric::Cost, Bound::AtMost(1.15, OURS)).of(POOL),
    limit(&["idle-*"], Metric::Cost, Bound::Absolute(360.0)).of(POOL),
    limit(
        &["echo-tcp-*x50", "echo-tcp-*x1000", "sink-*", "pump-*"],
        Metric::Cost,
        Bound::AtMost(1.10, URING_FLOOR),
    )
    .of(URING),
    limit(
        &["echo-tcp-64x50", "echo-tcp-64x1000"],
        Metric::Cost,
        Bound::AtMost(1.0, OURS),
    )
    .of(URING),
    limit(&["accept"], Metric::Cost, Bound::AtMost(0.85, OURS)).of(URING),
    limit(
        &["echo-tcp-*x50", "echo-tcp-*x1000"],
        Metric::Rate,
        Bound::AtLeast(0.95, URING_FLOOR),
    )
    .of(URING),
    limit(
        &["echo-tcp-*x50", "echo-tcp-*x1000"],
        Metric::P99,
        Bound::AtMost(1.2, URING_FLOOR),
    )
    .of(URING),
    limit(&["idle-*"], Metric::Cost, Bound::Absolute(700.0)).of(TASKS),
    limit(&["tasks spawn"], Metric::Cost, Bound::AtMost(1.2, TOKIO)),
    limit(&["tasks timer"], Metric::Cost, Bound::AtMost(0.25, TOKIO)),
    limit(&["hyper-*"], Metric::Cost, Bound::AtMost(1.05, TOKIO)),
    limit(
        &["tls-handshake"],
        Metric::Cost,
        Bound::AtMost(0.60, "libevent-ssl"),
    ),
    limit(
        &["tls-pump-*"],
        Metric::Cost,
        Bound::AtMost(0.50, "libevent-ssl"),
    ),
    limit(
        &["tls-sink-*"],
        Metric::Cost,
        Bound::AtMost(0.75, "libevent-ssl"),
    ),
    limit(
        &["tls-echo-*"],
        Metric::Cost,
        Bound::AtMost(0.80, "libevent-ssl"),
    ),
    limit(
        &["tls-handshake", "tls-pump-*", "tls-echo-*"],
        Metric::Cost,
        Bound::AtMost(1.05, "tokio-rustls"),
    ),
    limit(
        &["tls-sink-*"],
        Metric::Cost,
        Bound::AtMost(0.75, "tokio-rustls"),
    ),
    limit(&["tls-idle-*"], Metric::Cost, Bound::Absolute(6000.0)),
    limit(TIMERS, Metric::Cost, Bound::AtMost(1.0, "libevent")),
    limit(
        &["timers fire 1000000"],
        Metric::Cost,
        Bound::AtMost(0.2, "libevent"),
    ),
    limit(
        &["buffers append64", "buffers crlf_line40"],
        Metric::Cost,
        Bound::AtMost(1.0 / 3.0, "libevent"),
    ),
    limit(
        &[
            "buffers append_drain64",
            "buffers reference_1m_drain",
            "buffers move_64k_twice",
            "buffers new_add_free64",
            "buffers search*",
        ],
        Metric::Cost,
        Bound::AtMost(1.0, "libevent"),
    ),
    limit(
        &[
            "buffers append*",
            "buffers crlf_line40_owned",
            "buffers search*",
            "buffers reference*",
            "buffers move*",
            "buffers new*",
            "buffers copy*",
            "timers *",
        ],
        Metric::Cost,
        Bound::AtMost(1.3, OURS),
    )
    .of(CAPI),
    limit(&["dns *"], Metric::Cost, Bound::AtMost(1.0, "libevent")).of(CAPI),
    limit(&["rate-*"], Metric::Cost, Bound::AtMost(1.0, "libevent")),
    near(&["rate-*-10k-*"], 1e4, 0.03),
    near(&["rate-*-100k-*"], 1e5, 0.01),
    near(&["rate-*-1m-*"], 1e6, 0.01),
    near(&["rate-*-10m-*"], 1e7, 0.01),
    near(&["rate-*-100m-*"], 1e8, 0.01),
    near(&["rate-*-1g-*"], 1e9, 0.03),
    limit(&["tor"], Metric::Cost, Bound::AtMost(1.05, "libevent")).of(CAPI),
    limit(
        &["wakes"],
        Metric::Cost,
        Bound::AtMost(1.0 / 3.0, "libevent"),
    ),
];

/// One limit, judged.
pub(crate) struct Judgement {
    /// What was to be reached, in words.
    pub(crate) limit: String,
    /// What was reached.
    pub(crate) value: f64,
    /// The A/A deviation, as a share.
    pub(crate) deviation: f64,
    /// The outcome.
    pub(crate) verdict: Verdict,
}

/// Whether a limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// On the good side, by more than the A/A deviation.
    Reached,
    /// On the bad side, by more than the A/A deviation.
    Missed,
    /// Nearer to the limit than the same program is to itself.
    Undecided,
}

impl Verdict {
    /// As the report says it.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::Missed => "missed",
            Self::Undecided => "undecided (within the A/A deviation)",
        }
    }
}

/// All limits of a series for which there are figures.
pub(crate) fn judge(series: &Series) -> Vec<Judgement> {
    LIMITS
        .iter()
        .filter(|limit| {
            limit
                .series
                .iter()
                .any(|pattern| matches(pattern, &series.name))
        })
        .filter_map(|limit| limit.judge(series))
        .collect()
}

impl Limit {
    /// The same limit, for another of our programs.
    const fn of(mut self, subject: &'static str) -> Self {
        self.of = subject;
        self
    }

    fn judge(&self, series: &Series) -> Option<Judgement> {
        let deviation = match self.bound {
            // It is to be a number, not a peer's.
            Bound::Near(..) => 0.0,
            _ => series.deviation(self.metric).unwrap_or(0.0),
        };
        let what = match self.metric {
            Metric::Cost => "cost",
            Metric::Rate => "throughput",
            Metric::P99 => "99th percentile",
        };
        let whose = match self.of {
            POOL => "one worker's ",
            TASKS => "a task's ",
            CAPI | CAPI_BEV | CAPI_EVENT => "the C interface's ",
            _ => "",
        };
        let own = || {
            let figures = series.samples(self.of)?.iter();
            Summary::new(figures.filter_map(|sample| self.metric.of(sample)))
        };
        let (value, bound, sign, limit) = match self.bound {
            Bound::AtMost(bound, peer) => (
                series.ratios(self.of, peer, self.metric)?.median,
                bound,
                1.0,
                format!("{whose}{what} ≤ {bound:.2} of {peer}"),
            ),
            Bound::AtLeast(bound, peer) => (
                series.ratios(self.of, peer, self.metric)?.median,
                bound,
                -1.0,
                format!("{whose}{what} ≥ {bound:.2} of {peer}"),
            ),
            Bound::Absolute(bound) => (
                own()?.median,
                bound,
                1.0,
                format!("{whose}{what} ≤ {bound:.0} {}", series.unit.shown().0),
            ),
            Bound::Near(rate, part) => (
                (own()?.median / rate - 1.0).abs(),
                part,
                1.0,
                format!("off the rate by ≤ {:.0} %", part * 100.0),
            ),
        };
        Some(Judgement {
            limit,
            value,
            deviation,
            verdict: verdict(value, bound, sign, deviation),
        })
    }
}

/// `sign` is 1 where less is better, -1 where more is.
fn verdict(value: f64, bound: f64, sign: f64, deviation: f64) -> Verdict {
    let over = sign * (value - bound);
    let within = deviation * bound;
    if over.abs() <= within && within > 0.0 {
        Verdict::Undecided
    } else if over <= 0.0 {
        Verdict::Reached
    } else {
        Verdict::Missed
    }
}

const fn limit(series: &'static [&'static str], metric: Metric, bound: Bound) -> Limit {
    Limit {
        series,
        of: OURS,
        metric,
        bound,
    }
}

const fn near(series: &'static [&'static str], rate: f64, part: f64) -> Limit {
    limit(series, Metric::Rate, Bound::Near(rate, part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_the_limit_nothing_is_decided() {
        assert_eq!(verdict(1.02, 1.10, 1.0, 0.03), Verdict::Reached);
        assert_eq!(verdict(1.12, 1.10, 1.0, 0.03), Verdict::Undecided);
        assert_eq!(verdict(1.20, 1.10, 1.0, 0.03), Verdict::Missed);
        assert_eq!(verdict(0.99, 0.95, -1.0, 0.01), Verdict::Reached);
        assert_eq!(verdict(0.80, 0.95, -1.0, 0.01), Verdict::Missed);
        assert_eq!(verdict(300.0, 300.0, 1.0, 0.0), Verdict::Reached);
    }
}
