//! What a limit is.

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
    rate: u64,
    burst: u64,
}

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
            burst: if tenth == 0 { 1 } else { tenth },
        })
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
        Ok(Self {
            rate: self.rate,
            burst: bytes,
        })
    }

    /// Bytes a second.
    ///
    /// ```
    /// # use ferrevent_core::limit::RateLimit;
    /// assert_eq!(RateLimit::new(7)?.rate(), 7);
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub const fn rate(&self) -> u64 {
        self.rate
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
