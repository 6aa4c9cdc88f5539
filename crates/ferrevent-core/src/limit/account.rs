//! What is in the buckets, and what has moved.

use super::{Direction, LimitError, NodeId, Tree};
use crate::timer::Tick;

impl<T: Copy> Tree<T> {
    /// The bytes in its bucket; none without a limit in this direction.
    ///
    /// ```
    /// # use ferrevent_core::limit::{Direction, RateLimits, Share, Tree};
    /// # use ferrevent_core::timer::Tick;
    /// # let mut tree = Tree::new();
    /// # let one = tree.add_member(1, None, RateLimits::NONE, Share::default(), Tick(0))?;
    /// assert_eq!(tree.level(one, Direction::Read, Tick(0)), None);
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn level(&self, id: NodeId, direction: Direction, now: Tick) -> Option<u64> {
        let balance = self.balance(id, direction, now)?;
        Some(u64::try_from(balance).unwrap_or(0))
    }

    /// As [`level`](Self::level), and less than none while bytes are owed.
    ///
    /// ```
    /// # use ferrevent_core::limit::{Direction, RateLimit, RateLimits, Share, Tree};
    /// # use ferrevent_core::timer::Tick;
    /// # let mut tree = Tree::new();
    /// # let limits = RateLimits::both(RateLimit::new(1000)?);
    /// # let one = tree.add_member(1, None, limits, Share::default(), Tick(0))?;
    /// tree.spent(one, Direction::Read, 130, Tick(0));
    /// assert_eq!(tree.balance(one, Direction::Read, Tick(0)), Some(-30));
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn balance(&self, id: NodeId, direction: Direction, now: Tick) -> Option<i64> {
        let mut bucket = self.lane(self.index(id)?, direction).bucket?;
        bucket.refill(now);
        Some(bucket.balance())
    }

    /// The bytes that it has moved: a group, what its members have while they
    /// were in it.
    ///
    /// ```
    /// # use ferrevent_core::limit::{Direction, RateLimits, Share, Tree};
    /// # use ferrevent_core::timer::Tick;
    /// # let mut tree = Tree::new();
    /// # let one = tree.add_member(1, None, RateLimits::NONE, Share::default(), Tick(0))?;
    /// tree.spent(one, Direction::Read, 70, Tick(0));
    /// assert_eq!(tree.moved(one, Direction::Read), Some(70));
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn moved(&self, id: NodeId, direction: Direction) -> Option<u64> {
        Some(self.lane(self.index(id)?, direction).moved)
    }

    /// Counts the bytes that it has [moved](Self::moved) from none again.
    ///
    /// ```
    /// # use ferrevent_core::limit::{Direction, RateLimits, Share, Tree};
    /// # use ferrevent_core::timer::Tick;
    /// # let mut tree = Tree::new();
    /// # let one = tree.add_member(1, None, RateLimits::NONE, Share::default(), Tick(0))?;
    /// tree.spent(one, Direction::Read, 70, Tick(0));
    /// tree.forget_moved(one);
    /// assert_eq!(tree.moved(one, Direction::Read), Some(0));
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn forget_moved(&mut self, id: NodeId) {
        if let Some(index) = self.index(id) {
            for direction in Direction::BOTH {
                self.lane_mut(index, direction).moved = 0;
            }
        }
    }

    /// Takes bytes out of the bucket of a member or a group, and of nobody
    /// else's: they count as if they had moved elsewhere. Less than none puts
    /// some in, beyond the burst if need be. Without a limit in this direction
    /// nothing happens.
    ///
    /// # Errors
    /// [`LimitError::Gone`].
    ///
    /// ```
    /// # use ferrevent_core::limit::{Direction, RateLimit, RateLimits, Share, Tree};
    /// # use ferrevent_core::timer::Tick;
    /// # let mut tree = Tree::new();
    /// # let limits = RateLimits::both(RateLimit::new(1000)?);
    /// # let one = tree.add_member(1, None, limits, Share::default(), Tick(0))?;
    /// tree.charge(one, Direction::Read, 150, Tick(0))?;
    /// assert_eq!(tree.balance(one, Direction::Read, Tick(0)), Some(-50));
    /// tree.charge(one, Direction::Read, -400, Tick(0))?;
    /// assert_eq!(tree.ask(one, Direction::Read, 1000, Tick(0)), 350);
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn charge(
        &mut self,
        id: NodeId,
        direction: Direction,
        bytes: i64,
        now: Tick,
    ) -> Result<(), LimitError> {
        let index = self.index(id).ok_or(LimitError::Gone)?;
        // What it was granted is to be as the bucket is from now on.
        self.settle_index(index, direction, now);
        let lane = self.lane_mut(index, direction);
        if let Some(bucket) = &mut lane.bucket {
            bucket.refill(now);
            if bytes < 0 {
                bucket.put(bytes.unsigned_abs());
                lane.spares = true;
            } else {
                bucket.take(bytes.unsigned_abs());
            }
        }
        self.rouse(index, direction);
        self.serve(direction, now);
        Ok(())
    }
}
