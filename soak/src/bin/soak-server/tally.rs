//! What the server saw.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Complaints that are written out; the others are only counted.
const SPOKEN: u64 = 20;

/// Counters that all sessions share.
#[derive(Default)]
pub(crate) struct Tally {
    /// Connections that did everything and ended on both sides.
    pub(crate) complete: Count,
    /// Connections the client broke off, as it had said it would.
    pub(crate) broken: Count,
    /// Connections broken off here, as ordered.
    pub(crate) cut: Count,
    /// Connections that were over before they had given an order.
    pub(crate) left: Count,
    pub(crate) opened: Count,
    pub(crate) received: Count,
    pub(crate) sent: Count,
    /// Pieces of bytes that were not the expected ones.
    pub(crate) wrong: Count,
    /// Connections that did not end as they should have.
    pub(crate) misended: Count,
}

#[derive(Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) -> u64 {
        self.0.fetch_add(more, Ordering::Relaxed)
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Tally {
    /// Counts something that must not be, and tells of the first ones.
    pub(crate) fn complain(&self, which: &Count, text: fmt::Arguments<'_>) {
        if which.add(1) < SPOKEN {
            eprintln!("soak-server: {text}");
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let over = [
            &self.complete,
            &self.broken,
            &self.cut,
            &self.left,
            &self.misended,
        ];
        let over: u64 = over.iter().map(|count| count.read()).sum();
        write!(
            f,
            "tally complete={} broken={} cut={} left={} opened={} open={} received={} sent={} wrong={} misended={}",
            self.complete.read(),
            self.broken.read(),
            self.cut.read(),
            self.left.read(),
            self.opened.read(),
            self.opened.read().saturating_sub(over),
            self.received.read(),
            self.sent.read(),
            self.wrong.read(),
            self.misended.read(),
        )
    }
}
