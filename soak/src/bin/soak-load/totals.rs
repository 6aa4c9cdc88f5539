//! What the load saw.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::connection::Failure;
use crate::plan::{Kind, Leaving, Plan};

/// Failures that are written out; the others are only counted.
const SPOKEN: u64 = 20;

#[derive(Default)]
pub(crate) struct Totals {
    open: AtomicU64,
    peak: AtomicU64,
    pub(crate) up: AtomicU64,
    pub(crate) down: AtomicU64,
    longest_ms: AtomicU64,
    chat: AtomicU64,
    idle: AtomicU64,
    echo: AtomicU64,
    upload: AtomicU64,
    download: AtomicU64,
    duplex: AtomicU64,
    burst: AtomicU64,
    /// Left before giving an order: closed, and reset.
    left: AtomicU64,
    left_reset: AtomicU64,
    broken: AtomicU64,
    cut: AtomicU64,
    /// As a relay should tell of those that went through one.
    relayed_clean: AtomicU64,
    relayed_client: AtomicU64,
    relayed_upstream: AtomicU64,
    wrong: AtomicU64,
    stuck: AtomicU64,
    failed: AtomicU64,
    hopeless: AtomicBool,
}

impl Totals {
    pub(crate) fn begins(&self) {
        let open = self.open.fetch_add(1, Relaxed) + 1;
        self.peak.fetch_max(open, Relaxed);
    }

    pub(crate) fn ends(&self, plan: &Plan, outcome: Result<(), Failure>, took: Duration) {
        self.open.fetch_sub(1, Relaxed);
        self.longest_ms.fetch_max(took.as_millis() as u64, Relaxed);
        if let Err(failure) = outcome {
            let count = match failure {
                Failure::Wrong(_) => &self.wrong,
                Failure::Stuck(_) => &self.stuck,
                Failure::Ended(_) => &self.failed,
            };
            self.complain(count, &format!("{failure} in {plan:?}"));
            if matches!(failure, Failure::Stuck(_)) {
                self.hopeless.store(true, Relaxed);
            }
        }
        let by_kind = match plan.kind {
            Kind::Chat => &self.chat,
            Kind::Idle => &self.idle,
            Kind::Echo => &self.echo,
            Kind::Upload => &self.upload,
            Kind::Download => &self.download,
            Kind::Duplex => &self.duplex,
            Kind::Burst => &self.burst,
            Kind::Leave(Leaving::Reset) if !plan.route.is_unix() => &self.left_reset,
            Kind::Leave(_) => &self.left,
            Kind::Break => &self.broken,
            Kind::Cut => &self.cut,
        };
        by_kind.fetch_add(1, Relaxed);
        if !plan.route.is_direct() {
            let by_end = match plan.kind {
                Kind::Break => &self.relayed_client,
                Kind::Leave(Leaving::Reset) if !plan.route.is_unix() => &self.relayed_client,
                Kind::Cut => &self.relayed_upstream,
                _ => &self.relayed_clean,
            };
            by_end.fetch_add(1, Relaxed);
        }
    }

    /// Something went wrong that concerns no connection.
    pub(crate) fn fail(&self, text: &str) {
        self.complain(&self.failed, text);
        self.hopeless.store(true, Relaxed);
    }

    fn complain(&self, count: &AtomicU64, text: &str) {
        if count.fetch_add(1, Relaxed) < SPOKEN {
            eprintln!("soak-load: {text}");
        }
    }

    /// Whether to give up.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.hopeless.load(Relaxed)
    }

    pub(crate) fn all_well(&self) -> bool {
        [&self.wrong, &self.stuck, &self.failed]
            .iter()
            .all(|count| count.load(Relaxed) == 0)
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = [
            ("chat", &self.chat),
            ("idle", &self.idle),
            ("echo", &self.echo),
            ("upload", &self.upload),
            ("download", &self.download),
            ("duplex", &self.duplex),
            ("burst", &self.burst),
            ("left", &self.left),
            ("left_reset", &self.left_reset),
            ("broken", &self.broken),
            ("cut", &self.cut),
            ("relayed_clean", &self.relayed_clean),
            ("relayed_client", &self.relayed_client),
            ("relayed_upstream", &self.relayed_upstream),
            ("up", &self.up),
            ("down", &self.down),
            ("peak", &self.peak),
            ("longest_ms", &self.longest_ms),
            ("wrong", &self.wrong),
            ("stuck", &self.stuck),
            ("failed", &self.failed),
        ];
        write!(f, "totals")?;
        for (name, figure) in figures {
            write!(f, " {name}={}", figure.load(Relaxed))?;
        }
        Ok(())
    }
}
