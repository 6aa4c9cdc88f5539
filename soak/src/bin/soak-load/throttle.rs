//! A bound on what all connections together move.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) struct Throttle {
    rate: u64,
    /// When the next byte may move.
    next: Mutex<Instant>,
}

/// What was not used is kept for so long.
const BURST: Duration = Duration::from_millis(100);

impl Throttle {
    pub(crate) fn new(rate: u64) -> Self {
        Self {
            rate,
            next: Mutex::new(Instant::now()),
        }
    }

    /// Waits for its turn to have moved so many bytes.
    pub(crate) fn take(&self, bytes: usize) {
        let turn = self.note(bytes);
        let now = Instant::now();
        if turn > now {
            thread::sleep(turn - now);
        }
    }

    /// Has the others wait for so many bytes; when its turn is.
    pub(crate) fn note(&self, bytes: usize) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let turn = (*next).max(now.checked_sub(BURST).unwrap_or(now));
        *next = turn + Duration::from_nanos(bytes as u64 * 1_000_000_000 / self.rate);
        turn
    }
}
