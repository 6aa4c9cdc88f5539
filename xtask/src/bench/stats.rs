//! Medians, quartiles and the ratios of paired rounds.

/// What one measurement of one peer says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// What is compared, in the unit of its series; less is better.
    pub(crate) cost: f64,
    /// Requests or bytes a second, where there is a load.
    pub(crate) rate: Option<f64>,
    /// Nanoseconds within which half of the answers came.
    pub(crate) p50: Option<f64>,
    /// Nanoseconds within which 99 of 100 answers came.
    pub(crate) p99: Option<f64>,
}

/// One line of figures for all peers: a cell, or one of the figures that a program prints.
pub(crate) struct Series {
    /// The cell, and the figure in it if it has several.
    pub(crate) name: String,
    /// The unit of the costs.
    pub(crate) unit: Unit,
    /// The peer that ratios are taken to.
    pub(crate) reference: &'static str,
    /// The same program again under another name, if it was run.
    pub(crate) again: Option<&'static str>,
    /// A sample a round, the same rounds for each peer.
    pub(crate) peers: Vec<(&'static str, Vec<Sample>)>,
}

/// What a cost counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// CPU time of the server, for one request.
    CpuPerRequest,
    /// CPU time of the server, for one gigabyte.
    CpuPerGigabyte,
    /// Memory of the server, for one connection.
    BytesPerConnection,
    /// CPU time of the server, in one second.
    CpuPerSecond,
    /// Time, for one of what the name says.
    Nanoseconds,
}

impl Unit {
    const NAMES: [(Self, &str); 5] = [
        (Self::CpuPerRequest, "cpu_ns/request"),
        (Self::CpuPerGigabyte, "cpu_ns/GB"),
        (Self::BytesPerConnection, "B/connection"),
        (Self::CpuPerSecond, "cpu_ns/s"),
        (Self::Nanoseconds, "ns"),
    ];

    /// As the stored samples name it.
    pub(crate) fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(unit, _)| *unit == self)
            .map_or("", |(_, name)| name)
    }

    /// The unit of that name.
    pub(crate) fn named(text: &str) -> Option<Self> {
        let found = Self::NAMES.iter().find(|(_, name)| *name == text);
        found.map(|(unit, _)| *unit)
    }

    /// The unit's sign, and how many nanoseconds or bytes are one of it.
    pub(crate) fn shown(self) -> (&'static str, f64) {
        match self {
            Self::CpuPerRequest => ("µs/request", 1e3),
            Self::CpuPerGigabyte => ("ms/GB", 1e6),
            Self::BytesPerConnection => ("B/connection", 1.0),
            Self::CpuPerSecond => ("ms/s", 1e6),
            Self::Nanoseconds => ("ns", 1.0),
        }
    }
}

/// Which of a sample's figures is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Metric {
    /// The cost.
    Cost,
    /// The rate.
    Rate,
    /// The 99th percentile.
    P99,
}

impl Metric {
    /// The figure itself.
    pub(crate) fn of(self, sample: &Sample) -> Option<f64> {
        match self {
            Self::Cost => Some(sample.cost),
            Self::Rate => sample.rate,
            Self::P99 => sample.p99,
        }
    }
}

/// The middle of some figures, and how far they spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    /// A quarter of the figures is below.
    pub(crate) lower: f64,
    /// Half of the figures is below.
    pub(crate) median: f64,
    /// A quarter of the figures is above.
    pub(crate) upper: f64,
    /// How many there are.
    pub(crate) count: usize,
}

impl Summary {
    /// `None` when there is nothing to summarise.
    pub(crate) fn new(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values
            .into_iter()
            .filter(|value| value.is_finite())
            .collect();
        values.sort_by(f64::total_cmp);
        Some(Self {
            lower: quantile(&values, 0.25)?,
            median: quantile(&values, 0.5)?,
            upper: quantile(&values, 0.75)?,
            count: values.len(),
        })
    }

    /// The standard error of the median, from the quartiles (1.25 / 1.35 = 0.93 for a normal
    /// distribution).
    pub(crate) fn error(&self) -> f64 {
        0.93 * (self.upper - self.lower) / (self.count as f64).sqrt()
    }
}

impl Series {
    /// A peer's samples.
    pub(crate) fn samples(&self, peer: &str) -> Option<&[Sample]> {
        self.peers
            .iter()
            .find(|(name, _)| *name == peer)
            .map(|(_, samples)| samples.as_slice())
    }

    /// The ratios of a peer to another one, each taken within one round.
    pub(crate) fn ratios(&self, peer: &str, to: &str, metric: Metric) -> Option<Summary> {
        let pairs = self.samples(peer)?.iter().zip(self.samples(to)?);
        Summary::new(pairs.filter_map(|(one, other)| Some(metric.of(one)? / metric.of(other)?)))
    }

    /// How far the same program is from itself: the larger of the distance of its median ratio
    /// from 1 and of that median's standard error.
    pub(crate) fn deviation(&self, metric: Metric) -> Option<f64> {
        let same = self.ratios(self.again?, self.reference, metric)?;
        Some((same.median - 1.0).abs().max(same.error()))
    }
}

fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let at = share * last as f64;
    let below = at.floor() as usize;
    let above = (below + 1).min(last);
    Some(sorted[below] + (sorted[above] - sorted[below]) * at.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(cost: f64) -> Sample {
        Sample {
            cost,
            rate: None,
            p50: None,
            p99: None,
        }
    }

    #[test]
    fn quartiles_lie_between_the_figures() {
        let summary = Summary::new([4.0, 1.0, 3.0, 2.0, 5.0]).expect("five figures");
        assert_eq!(
            (summary.lower, summary.median, summary.upper),
            (2.0, 3.0, 4.0)
        );
        assert_eq!(Summary::new([]), None);
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let series = Series {
            name: "x".into(),
            unit: Unit::Nanoseconds,
            reference: "one",
            again: Some("again"),
            peers: vec![
                ("one", vec![sample(1.0), sample(10.0), sample(100.0)]),
                ("again", vec![sample(1.1), sample(11.0), sample(110.0)]),
                ("other", vec![sample(2.0), sample(20.0), sample(200.0)]),
            ],
        };
        let ratios = series
            .ratios("other", "one", Metric::Cost)
            .expect("three pairs");
        assert_eq!(ratios.median, 2.0);
        let deviation = series.deviation(Metric::Cost).expect("an A/A row");
        assert!((deviation - 0.1).abs() < 1e-9);
        assert!(series.ratios("other", "one", Metric::Rate).is_none());
    }
}
