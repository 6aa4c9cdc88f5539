//! One token bucket.

use super::RateLimit;
use crate::timer::Tick;

/// A token bucket: it fills continuously, up to its burst.
///
/// It counts in parts of a byte, as many as its limit's period has
/// microseconds: a rate in bytes a period is as many parts a microsecond, so a
/// refill is a whole number and nothing is ever rounded.
///
/// ```
/// use ferrevent_core::limit::{Bucket, RateLimit};
/// use ferrevent_core::timer::Tick;
///
/// let mut bucket = Bucket::full(RateLimit::new(1_000_000)?.with_burst(100)?, Tick(0));
/// bucket.take(100);
/// bucket.refill(Tick(30));
/// assert_eq!(bucket.bytes(), 30);
/// assert_eq!(bucket.holds_at(50), Tick(50));
/// # Ok::<(), ferrevent_core::limit::LimitError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    limit: RateLimit,
    /// In parts; below zero once more was taken than there was, and above the
    /// burst once somebody has put bytes in.
    level: i64,
    at: Tick,
}

impl Bucket {
    /// One that is full.
    ///
    /// ```
    /// # use ferrevent_core::limit::{Bucket, RateLimit};
    /// # use ferrevent_core::timer::Tick;
    /// let bucket = Bucket::full(RateLimit::new(1000)?, Tick(0));
    /// assert_eq!(bucket.bytes(), 100);
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn full(limit: RateLimit, now: Tick) -> Self {
        Self {
            limit,
            level: capacity(limit),
            at: now,
        }
    }

    /// Its limit.
    ///
    /// ```
    /// # use ferrevent_core::limit::{Bucket, RateLimit};
    /// # use ferrevent_core::timer::Tick;
    /// # let bucket = Bucket::full(RateLimit::new(1000)?, Tick(0));
    /// assert_eq!(bucket.limit().rate(), 1000);
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn limit(&self) -> RateLimit {
        self.limit
    }

    /// Sets another limit. What is in the bucket stays, as far as it has room
    /// for it; or it is full at once.
    ///
    /// ```
    /// # use ferrevent_core::limit::{Bucket, RateLimit};
    /// # use ferrevent_core::timer::Tick;
    /// # let mut bucket = Bucket::full(RateLimit::new(1000)?, Tick(0));
    /// bucket.take(80);
    /// bucket.set(RateLimit::new(10_000)?, false, Tick(0));
    /// assert_eq!(bucket.bytes(), 20);
    /// bucket.set(RateLimit::new(10_000)?, true, Tick(0));
    /// assert_eq!(bucket.bytes(), 1000);
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn set(&mut self, limit: RateLimit, reset: bool, now: Tick) {
        self.refill(now);
        let before = std::mem::replace(&mut self.limit, limit);
        let most = capacity(limit);
        self.level = if reset {
            most
        } else {
            recount(self.level, before, limit).min(most)
        };
    }

    /// Lets the time pass.
    ///
    /// ```
    /// # use ferrevent_core::limit::{Bucket, RateLimit};
    /// # use ferrevent_core::timer::Tick;
    /// # let mut bucket = Bucket::full(RateLimit::new(1000)?, Tick(0));
    /// bucket.take(100);
    /// bucket.refill(Tick(1_500));
    /// bucket.refill(Tick(3_000));
    /// assert_eq!(bucket.bytes(), 3, "halves are not lost");
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn refill(&mut self, now: Tick) {
        if now <= self.at {
            return;
        }
        let elapsed = i128::from(now.0 - self.at.0);
        self.at = now;
        let level = i128::from(self.level) + elapsed * i128::from(self.limit.parts_in_micro());
        let most = capacity(self.limit).max(self.level);
        self.level = i64::try_from(level).map_or(most, |level| level.min(most));
    }

    /// The bytes that are in it, as of the last refill.
    ///
    /// ```
    /// # use ferrevent_core::limit::{Bucket, RateLimit};
    /// # use ferrevent_core::timer::Tick;
    /// # let mut bucket = Bucket::full(RateLimit::new(1000)?, Tick(0));
    /// bucket.take(500);
    /// assert_eq!(bucket.bytes(), 0);
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn bytes(&self) -> u64 {
        u64::try_from(self.balance()).unwrap_or(0)
    }

    /// The bytes that are in it, as of the last refill, rounded down; less
    /// than none while some are owed.
    ///
    /// ```
    /// # use ferrevent_core::limit::{Bucket, RateLimit};
    /// # use ferrevent_core::timer::Tick;
    /// # let mut bucket = Bucket::full(RateLimit::new(1000)?, Tick(0));
    /// bucket.take(130);
    /// assert_eq!((bucket.balance(), bucket.bytes()), (-30, 0));
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn balance(&self) -> i64 {
        self.level.div_euclid(self.limit.parts_of_byte())
    }

    /// Takes bytes out; more than are in it are owed, and nothing comes out
    /// before they have come in.
    ///
    /// ```
    /// # use ferrevent_core::limit::{Bucket, RateLimit};
    /// # use ferrevent_core::timer::Tick;
    /// # let mut bucket = Bucket::full(RateLimit::new(1000)?, Tick(0));
    /// bucket.take(101);
    /// assert_eq!(bucket.holds_at(1), Tick(2_000));
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn take(&mut self, bytes: u64) {
        self.level = self.level.saturating_sub(self.parts(bytes));
    }

    /// Puts bytes in, beyond the burst if need be: they are there until they
    /// are taken.
    ///
    /// ```
    /// # use ferrevent_core::limit::{Bucket, RateLimit};
    /// # use ferrevent_core::timer::Tick;
    /// # let mut bucket = Bucket::full(RateLimit::new(1000)?, Tick(0));
    /// bucket.put(50);
    /// bucket.refill(Tick(1_000_000));
    /// assert_eq!(bucket.bytes(), 150);
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn put(&mut self, bytes: u64) {
        self.level = self.level.saturating_add(self.parts(bytes));
    }

    /// Puts back bytes that were taken and not used.
    ///
    /// ```
    /// # use ferrevent_core::limit::{Bucket, RateLimit};
    /// # use ferrevent_core::timer::Tick;
    /// # let mut bucket = Bucket::full(RateLimit::new(1000)?, Tick(0));
    /// bucket.take(60);
    /// bucket.give_back(70);
    /// assert_eq!(bucket.bytes(), 100, "never more than the burst");
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn give_back(&mut self, bytes: u64) {
        let most = capacity(self.limit).max(self.level);
        self.level = self.level.saturating_add(self.parts(bytes)).min(most);
    }

    /// When it will hold so many bytes, if nobody takes any: rounded up to a
    /// whole microsecond. Bytes beyond the burst never come; asked for them,
    /// it tells when it is full.
    ///
    /// ```
    /// # use ferrevent_core::limit::{Bucket, RateLimit};
    /// # use ferrevent_core::timer::Tick;
    /// # let mut bucket = Bucket::full(RateLimit::new(3_000_000)?, Tick(0));
    /// bucket.take(300_000);
    /// assert_eq!(bucket.holds_at(10), Tick(4));
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn holds_at(&self, bytes: u64) -> Tick {
        let target = self.parts(bytes).min(capacity(self.limit));
        let missing = i128::from(target) - i128::from(self.level);
        let missing = u128::try_from(missing).unwrap_or(0);
        let ticks = missing.div_ceil(u128::from(self.limit.parts_in_micro()));
        let ticks = u64::try_from(ticks).unwrap_or(u64::MAX);
        Tick(self.at.0.saturating_add(ticks))
    }

    fn parts(&self, bytes: u64) -> i64 {
        parts(bytes, self.limit)
    }
}

fn capacity(limit: RateLimit) -> i64 {
    parts(limit.burst(), limit)
}

fn parts(bytes: u64, limit: RateLimit) -> i64 {
    let parts = |bytes: i64| bytes.saturating_mul(limit.parts_of_byte());
    i64::try_from(bytes).map_or(i64::MAX, parts)
}

/// A level in the parts of another limit.
fn recount(level: i64, before: RateLimit, now: RateLimit) -> i64 {
    if before.parts_of_byte() == now.parts_of_byte() {
        return level;
    }
    let level = i128::from(level) * i128::from(now.parts_of_byte());
    let level = level.div_euclid(before.parts_of_byte().into());
    i64::try_from(level).unwrap_or(if level < 0 { i64::MIN } else { i64::MAX })
}
