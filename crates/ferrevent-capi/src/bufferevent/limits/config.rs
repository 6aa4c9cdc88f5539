//! `struct ev_token_bucket_cfg`: how fast, by ticks.

use std::ffi::c_long;
use std::ptr::NonNull;
use std::time::Duration;

use ferrevent_core::limit::{Direction, NodeId, RateLimit, RateLimits, Tree};
use ferrevent_core::timer::Tick;

use crate::event::Ev;
use crate::system::timeval;
use crate::{log, memory, time};

/// How many bytes each bucket gains in a tick, which is also what it has at
/// first, and under which limits that is.
#[derive(Clone, Copy)]
pub(crate) struct Config {
    pub(super) limits: RateLimits,
    pub(super) gains: [usize; 2],
}

const MILLI: u64 = 1000;
const SECOND: u64 = 1_000_000;
/// What is more than this of a time's microseconds is the mark of a common one.
const MICROS: c_long = 0x000f_ffff;

impl Config {
    /// Gives a bucket that has just got its limits what it has at first.
    pub(super) fn begin(&self, tree: &mut Tree<Ev>, node: NodeId, now: Tick) {
        for direction in Direction::BOTH {
            let burst = self.limits.of(direction).map_or(0, |limit| limit.burst());
            let more = burst.saturating_sub(self.gains[direction as usize] as u64);
            // It is there, or there is nothing to do.
            let _ = tree.charge(node, direction, more.cast_signed(), now);
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn ev_token_bucket_cfg_new(
    read_rate: usize,
    read_burst: usize,
    write_rate: usize,
    write_burst: usize,
    tick: Option<&timeval>,
) -> Option<NonNull<Config>> {
    let tick = tick.map_or(SECOND, |tick| {
        let mut tick = *tick;
        tick.tv_usec &= MICROS;
        time::micros_of(tick) / MILLI * MILLI
    });
    if tick == 0 {
        log::warn("ev_token_bucket_cfg_new: a tick of less than a millisecond is none");
        return None;
    }
    let limits = RateLimits {
        read: Some(limit(read_rate, read_burst, tick)?),
        write: Some(limit(write_rate, write_burst, tick)?),
    };
    memory::place(Config {
        limits,
        gains: [read_rate, write_rate],
    })
}

fn limit(rate: usize, burst: usize, tick: u64) -> Option<RateLimit> {
    let fits = rate <= burst && burst <= isize::MAX.cast_unsigned();
    let period = Duration::from_micros(tick);
    fits.then(|| RateLimit::over(rate as u64, period, burst as u64).ok())?
}

#[unsafe(no_mangle)]
extern "C" fn ev_token_bucket_cfg_free(config: Option<NonNull<Config>>) {
    if let Some(config) = config {
        // SAFETY: made by `ev_token_bucket_cfg_new`, and the program uses it no more.
        unsafe { memory::displace(config) };
    }
}
