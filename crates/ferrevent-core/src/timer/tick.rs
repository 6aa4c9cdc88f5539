use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

const NANOS_PER_MICRO: u128 = 1_000;

/// An instant, in whole microseconds since an origin that the caller chose.
///
/// Every tick that meets in one [`TimerQueue`](super::TimerQueue) must have
/// the same origin. All arithmetic saturates: nothing overflows, and
/// [`Tick::MAX`] (584,000 years after the origin) means "never".
///
/// # Never early
///
/// A clock is finer than a microsecond, so the direction of rounding decides
/// whether a timer can fire early. Round the *present* down
/// ([`Tick::floor`]) when asking what has expired, and round a *deadline* up
/// ([`Tick::ceil`], or `+` on a tick that was itself rounded up):
///
/// ```
/// use ferrevent_core::timer::Tick;
/// use std::time::Duration;
///
/// let clock = Duration::from_nanos(10_500); // the time since the origin
/// let deadline = Tick::ceil(clock + Duration::from_nanos(2_100));
/// assert_eq!(deadline, Tick(13));
/// // 12.6 µs after the origin is the exact deadline; at 12.9 it has passed
/// // but the tick has not, at 13.0 both have.
/// assert!(Tick::floor(Duration::from_nanos(12_900)) < deadline);
/// assert!(Tick::floor(Duration::from_nanos(13_000)) >= deadline);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tick(
    /// Microseconds since the origin.
    pub u64,
);

impl Tick {
    /// The origin.
    ///
    /// ```
    /// use ferrevent_core::timer::Tick;
    /// assert_eq!(Tick::ZERO, Tick(0));
    /// ```
    pub const ZERO: Self = Self(0);
    /// The last instant: a timer set to it never fires in practice.
    ///
    /// ```
    /// use ferrevent_core::timer::Tick;
    /// assert!(Tick::MAX > Tick::ZERO);
    /// ```
    pub const MAX: Self = Self(u64::MAX);

    /// The tick at `since_origin`, rounded up to a whole microsecond: for
    /// deadlines. Saturates at [`Tick::MAX`].
    ///
    /// ```
    /// # use ferrevent_core::timer::Tick;
    /// # use std::time::Duration;
    /// assert_eq!(Tick::ceil(Duration::from_nanos(1)), Tick(1));
    /// assert_eq!(Tick::ceil(Duration::from_micros(1)), Tick(1));
    /// assert_eq!(Tick::ceil(Duration::MAX), Tick::MAX);
    /// ```
    #[must_use]
    pub fn ceil(since_origin: Duration) -> Self {
        Self(saturate(since_origin.as_nanos().div_ceil(NANOS_PER_MICRO)))
    }

    /// The tick at `since_origin`, rounded down to a whole microsecond: for
    /// the present. Saturates at [`Tick::MAX`].
    ///
    /// ```
    /// # use ferrevent_core::timer::Tick;
    /// # use std::time::Duration;
    /// assert_eq!(Tick::floor(Duration::from_nanos(1_999)), Tick(1));
    /// ```
    #[must_use]
    pub fn floor(since_origin: Duration) -> Self {
        Self(saturate(since_origin.as_micros()))
    }

    /// The time from `earlier` to this tick; zero if `earlier` is later.
    ///
    /// ```
    /// # use ferrevent_core::timer::Tick;
    /// # use std::time::Duration;
    /// assert_eq!(Tick(30).since(Tick(10)), Duration::from_micros(20));
    /// assert_eq!(Tick(10).since(Tick(30)), Duration::ZERO);
    /// ```
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// Rounded up, like [`Tick::ceil`]: a deadline that nobody has to wait for is
/// at `0`, one nanosecond is one tick.
impl From<Duration> for Tick {
    fn from(since_origin: Duration) -> Self {
        Self::ceil(since_origin)
    }
}

/// The tick that many microseconds later, the duration rounded up;
/// saturating.
impl Add<Duration> for Tick {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(Self::ceil(duration).0))
    }
}

impl AddAssign<Duration> for Tick {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

/// The time between two ticks; zero if the right one is later.
impl Sub for Tick {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Debug for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}µs", self.0)
    }
}

fn saturate(micros: u128) -> u64 {
    u64::try_from(micros).unwrap_or(u64::MAX)
}
