//! What a limit is.

use std::time::Duration;

use super::LimitError;

/// How fast: bytes a second, and how many at once after a time of silence.
///
/// ```
/// use ferrevent_core::limit::RateLimit;
/// let limit = RateLimit::new(1_000_000)?.with_burst(20_000)?;
/// assert_eq!((limit.rate(), limit.burst()), (1_000_000, 20_000));
/// # Ok::<(), ferrevent_core::limit::LimitError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// So many bytes in so many microseconds.
    rate: u64,
    per: u64,
    burst: u64,
}

const SECOND: u64 = 1_000_000;
/// Half of one in so many is nothing.
const EXACT: u128 = 1_000_000;

impl RateLimit {
    /// The highest rate and burst, in bytes (a second): 9.2 terabytes.
    ///
    /// ```
    /// use ferrevent_core::limit::RateLimit;
    /// assert!(RateLimit::new(RateLimit::MAX).is_ok());
    /// ```
    pub const MAX: u64 = i64::MAX as u64 / 1_000_000;

    /// So many bytes a second, and a burst of a tenth of that.
    ///
    /// # Errors
    /// [`LimitError::ZeroRate`], and [`LimitError::RateTooHigh`] above
    /// [`MAX`](Self::MAX).
    ///
    /// ```
    /// use ferrevent_core::limit::{LimitError, RateLimit};
    /// assert_eq!(RateLimit::new(50_000)?.burst(), 5_000);
    /// assert_eq!(RateLimit::new(u64::MAX), Err(LimitError::RateTooHigh(u64::MAX)));
    /// # Ok::<(), LimitError>(())
    /// ```
    pub const fn new(bytes_per_second: u64) -> Result<Self, LimitError> {
        if bytes_per_second == 0 {
            return Err(LimitError::ZeroRate);
        }
        if bytes_per_second > Self::MAX {
            return Err(LimitError::RateTooHigh(bytes_per_second));
        }
        let tenth = bytes_per_second / 10;
        Ok(Self {
            rate: bytes_per_second,
            per: SECOND,
            burst: if tenth == 0 { 1 } else { tenth },
        })
    }

    /// So many bytes in every period of time, and this burst: for what is
    /// less than a byte a second, or no whole number of them. More than
    /// `i64::MAX` bytes count as that.
    ///
    /// A bucket can count a burst of 9.2 terabytes times seconds of the period.
    /// For more the period is shortened, as long as that changes the rate by
    /// less than a millionth; otherwise the burst is what can be counted.
    ///
    /// # Errors
    /// [`LimitError::ZeroRate`], [`LimitError::ZeroBurst`], and
    /// [`LimitError::ZeroPeriod`] for less than a microsecond.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ferrevent_core::limit::{LimitError, RateLimit};
    /// let limit = RateLimit::over(10, Duration::from_secs(60), 100)?;
    /// assert_eq!(limit.bytes_in(Duration::from_secs(90)), 15);
    /// assert_eq!(RateLimit::over(1, Duration::ZERO, 1), Err(LimitError::ZeroPeriod));
    /// # Ok::<(), LimitError>(())
    /// ```
    pub const fn over(bytes: u64, period: Duration, burst: u64) -> Result<Self, LimitError> {
        if bytes == 0 {
            return Err(LimitError::ZeroRate);
        }
        if burst == 0 {
            return Err(LimitError::ZeroBurst);
        }
        let micros = at_most_max(period.as_micros());
        if micros == 0 {
            return Err(LimitError::ZeroPeriod);
        }
        let (rate, burst) = (at_most_max(bytes as u128), at_most_max(burst as u128));
        Ok(Self::counted(rate, micros, burst))
    }

    /// The burst has to fit into a bucket, which counts in parts of a byte: as
    /// many as the period has microseconds.
    const fn counted(rate: u64, per: u64, burst: u64) -> Self {
        let most = i64::MAX as u64 / burst;
        if per <= most {
            return Self { rate, per, burst };
        }
        let part = (rate as u128 * most as u128 + per as u128 / 2) / per as u128;
        if part >= EXACT {
            return Self {
                rate: at_most_max(part),
                per: most,
                burst,
            };
        }
        Self {
            rate,
            per,
            burst: i64::MAX as u64 / per,
        }
    }

    /// The same rate with another burst: the most bytes that move at once.
    /// Less than what the rate brings in ten milliseconds or so costs many
    /// small reads and writes, and accuracy on a busy machine.
    ///
    /// # Errors
    /// [`LimitError::ZeroBurst`], and [`LimitError::BurstTooHigh`] above
    /// [`MAX`](Self::MAX).
    ///
    /// ```
    /// use ferrevent_core::limit::{LimitError, RateLimit};
    /// let limit = RateLimit::new(50_000)?;
    /// assert_eq!(limit.with_burst(0), Err(LimitError::ZeroBurst));
    /// assert_eq!(limit.with_burst(64)?.burst(), 64);
    /// # Ok::<(), LimitError>(())
    /// ```
    pub const fn with_burst(self, bytes: u64) -> Result<Self, LimitError> {
        if bytes == 0 {
            return Err(LimitError::ZeroBurst);
        }
        if bytes > Self::MAX {
            return Err(LimitError::BurstTooHigh(bytes));
        }
        Ok(Self::counted(self.rate, self.per, bytes))
    }

    /// Bytes a second, rounded down.
    ///
    /// ```
    /// # use ferrevent_core::limit::RateLimit;
    /// assert_eq!(RateLimit::new(7)?.rate(), 7);
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub const fn rate(&self) -> u64 {
        self.bytes_in_micros(SECOND)
    }

    /// The bytes that it brings in so much time, rounded down.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ferrevent_core::limit::RateLimit;
    /// assert_eq!(RateLimit::new(1500)?.bytes_in(Duration::from_millis(1)), 1);
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub const fn bytes_in(&self, time: Duration) -> u64 {
        self.bytes_in_micros(at_most_max(time.as_micros()))
    }

    pub(super) const fn bytes_in_micros(&self, micros: u64) -> u64 {
        if micros == self.per {
            return self.rate;
        }
        let bytes = self.rate as u128 * micros as u128 / self.per as u128;
        if bytes > u64::MAX as u128 {
            return u64::MAX;
        }
        bytes as u64
    }

    /// Parts of a byte that come in a microsecond; a byte has as many as
    /// [`parts_of_byte`](Self::parts_of_byte) says.
    pub(super) const fn parts_in_micro(&self) -> u64 {
        self.rate
    }

    pub(super) const fn parts_of_byte(&self) -> i64 {
        self.per as i64
    }

    /// The most bytes at once.
    ///
    /// ```
    /// # use ferrevent_core::limit::RateLimit;
    /// assert_eq!(RateLimit::new(7)?.burst(), 1);
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub const fn burst(&self) -> u64 {
        self.burst
    }
}

const fn at_most_max(number: u128) -> u64 {
    if number > i64::MAX as u128 {
        return i64::MAX as u64;
    }
    number as u64
}

/// The limits of a stream or a group, for each direction its own or none.
///
/// ```
/// use ferrevent_core::limit::{RateLimit, RateLimits};
/// let down = RateLimits { write: Some(RateLimit::new(100_000)?), ..RateLimits::NONE };
/// # Ok::<(), ferrevent_core::limit::LimitError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// Of what is received.
    pub read: Option<RateLimit>,
    /// Of what is sent.
    pub write: Option<RateLimit>,
}

impl RateLimits {
    /// None: as fast as it goes.
    ///
    /// ```
    /// # use ferrevent_core::limit::RateLimits;
    /// assert_eq!(RateLimits::NONE, RateLimits::default());
    /// ```
    pub const NONE: Self = Self {
        read: None,
        write: None,
    };

    /// The same limit for each direction, each with a bucket of its own.
    ///
    /// ```
    /// # use ferrevent_core::limit::{RateLimit, RateLimits};
    /// let limits = RateLimits::both(RateLimit::new(100_000)?);
    /// assert_eq!(limits.read, limits.write);
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub const fn both(limit: RateLimit) -> Self {
        Self {
            read: Some(limit),
            write: Some(limit),
        }
    }

    /// The limit of a direction.
    ///
    /// ```
    /// # use ferrevent_core::limit::{Direction, RateLimits};
    /// assert_eq!(RateLimits::NONE.of(Direction::Read), None);
    /// ```
    pub const fn of(&self, direction: Direction) -> Option<RateLimit> {
        match direction {
            Direction::Read => self.read,
            Direction::Write => self.write,
        }
    }
}

/// Which way bytes move.
///
/// ```
/// # use ferrevent_core::limit::Direction;
/// for direction in Direction::BOTH {
///     println!("{direction:?}");
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the peer.
    Read,
    /// To the peer.
    Write,
}

impl Direction {
    /// One and the other.
    ///
    /// ```
    /// # use ferrevent_core::limit::Direction;
    /// assert_eq!(Direction::BOTH.len(), 2);
    /// ```
    pub const BOTH: [Self; 2] = [Direction::Read, Direction::Write];
}

/// What part of its group a member, or a group inside it, gets while there is
/// not enough for all.
///
/// ```
/// use ferrevent_core::limit::Share;
/// let three_times_as_much = Share::weighing(3)?;
/// let only_what_the_others_leave = Share { priority: 1, ..Share::default() };
/// # Ok::<(), ferrevent_core::limit::LimitError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Its part, beside those of the others of its priority. Default 1; at
    /// least 1.
    pub weight: u32,
    /// Who is served first: 0 before 1, and 1 only with what 0 leaves.
    /// Default 0.
    pub priority: u8,
}

impl Share {
    /// This weight, at the highest priority.
    ///
    /// # Errors
    /// [`LimitError::ZeroWeight`].
    ///
    /// ```
    /// # use ferrevent_core::limit::{LimitError, Share};
    /// assert_eq!(Share::weighing(2)?.priority, 0);
    /// assert_eq!(Share::weighing(0), Err(LimitError::ZeroWeight));
    /// # Ok::<(), LimitError>(())
    /// ```
    pub const fn weighing(weight: u32) -> Result<Self, LimitError> {
        if weight == 0 {
            return Err(LimitError::ZeroWeight);
        }
        Ok(Self {
            weight,
            priority: 0,
        })
    }
}

impl Default for Share {
    fn default() -> Self {
        Self {
            weight: 1,
            priority: 0,
        }
    }
}
