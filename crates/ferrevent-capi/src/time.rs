//! The monotonic clock in microseconds, and C's `struct timeval`.

use libc::timeval;

const MICROS: i64 = 1_000_000;

/// Microseconds of the monotonic clock.
pub(crate) fn monotonic() -> u64 {
    micros_of(clock(libc::CLOCK_MONOTONIC))
}

/// Microseconds since 1970.
pub(crate) fn real() -> u64 {
    micros_of(clock(libc::CLOCK_REALTIME))
}

fn clock(clock: libc::clockid_t) -> timeval {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` lives through the call, which fills it in; these clocks
    // are there on every Linux.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    timeval {
        tv_sec: time.tv_sec,
        tv_usec: time.tv_nsec / 1000,
    }
}

/// A time that is not negative, and no later than can be counted.
pub(crate) fn micros_of(time: timeval) -> u64 {
    let micros = time
        .tv_sec
        .saturating_mul(MICROS)
        .saturating_add(time.tv_usec);
    u64::try_from(micros).unwrap_or(0)
}

pub(crate) fn timeval_of(micros: u64) -> timeval {
    let micros = i64::try_from(micros).unwrap_or(i64::MAX);
    timeval {
        tv_sec: micros / MICROS,
        tv_usec: micros % MICROS,
    }
}
