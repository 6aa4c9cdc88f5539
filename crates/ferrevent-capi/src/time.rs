//! The monotonic clock in microseconds, and C's `struct timeval`.

pub(crate) use system::{monotonic, real};

use crate::system::{self, timeval};

const MICROS: i64 = 1_000_000;

/// A time that is not negative, and no later than can be counted.
pub(crate) fn micros_of(time: timeval) -> u64 {
    let (seconds, micros) = system::parts_of(time);
    let micros = seconds.saturating_mul(MICROS).saturating_add(micros);
    u64::try_from(micros).unwrap_or(0)
}

pub(crate) fn timeval_of(micros: u64) -> timeval {
    let micros = i64::try_from(micros).unwrap_or(i64::MAX);
    system::timeval_of(micros / MICROS, micros % MICROS)
}
