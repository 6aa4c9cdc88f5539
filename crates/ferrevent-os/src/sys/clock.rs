//! The clock: real and monotonic, or simulated and moved by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ferrevent_core::timer::Tick;

/// Where a loop reads the time: microseconds since the clock was made.
///
/// ```
/// use std::time::Duration;
/// use ferrevent_os::sys::Clock;
///
/// let clock = Clock::simulated();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now().0 - before.0, 60_000_000);
/// ```
#[derive(Clone, Debug)]
pub struct Clock {
    origin: Instant,
    simulated: Option<Arc<AtomicU64>>,
}

impl Clock {
    /// The operating system's monotonic clock.
    ///
    /// ```
    /// let clock = ferrevent_os::sys::Clock::real();
    /// assert!(!clock.is_simulated());
    /// ```
    pub fn real() -> Self {
        Self {
            origin: Instant::now(),
            simulated: None,
        }
    }

    /// A clock that stands still until [`advance`](Self::advance) moves it. A
    /// backend on a simulated clock does not sleep for a timeout: it looks
    /// for events once and, when there are none, moves the clock instead.
    ///
    /// ```
    /// let clock = ferrevent_os::sys::Clock::simulated();
    /// assert_eq!(clock.now(), clock.now());
    /// ```
    pub fn simulated() -> Self {
        Self {
            origin: Instant::now(),
            simulated: Some(Arc::new(AtomicU64::new(0))),
        }
    }

    /// The time now.
    ///
    /// ```
    /// let clock = ferrevent_os::sys::Clock::real();
    /// assert!(clock.now() <= clock.now());
    /// ```
    pub fn now(&self) -> Tick {
        match &self.simulated {
            None => self.tick_of(Instant::now()),
            Some(time) => Tick(time.load(Ordering::Acquire)),
        }
    }

    /// The tick of a moment of the real clock; moments before the clock was
    /// made are its zero. Rounded up, so that waiting for it is never early.
    ///
    /// ```
    /// let clock = ferrevent_os::sys::Clock::real();
    /// let soon = clock.tick_of(std::time::Instant::now() + std::time::Duration::from_secs(1));
    /// assert!(soon > clock.now());
    /// ```
    pub fn tick_of(&self, moment: Instant) -> Tick {
        let since = moment.saturating_duration_since(self.origin);
        Tick(u64::try_from(since.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX))
    }

    /// Whether this clock is moved by hand.
    ///
    /// ```
    /// assert!(ferrevent_os::sys::Clock::simulated().is_simulated());
    /// ```
    pub fn is_simulated(&self) -> bool {
        self.simulated.is_some()
    }

    /// Moves a simulated clock forward; does nothing to the real one.
    ///
    /// ```
    /// use ferrevent_os::sys::Clock;
    /// use std::time::Duration;
    /// let clock = Clock::simulated();
    /// let before = clock.now();
    /// clock.advance(Duration::from_secs(1));
    /// assert_eq!(clock.now().since(before), Duration::from_secs(1));
    /// ```
    pub fn advance(&self, by: Duration) {
        if let Some(time) = &self.simulated {
            let micros = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
            let _ = time.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
                Some(now.saturating_add(micros))
            });
        }
    }
}
