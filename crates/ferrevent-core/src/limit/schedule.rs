//! Whose turn it is.
//!
//! Start-time fair queueing at every level: of a group's children that can go
//! on, the one that has had the least, by its weight, goes first. A turn takes
//! its bytes out of the member's bucket and of every one above it, at the very
//! moment at which they may move, so no window holds more than a rate and a
//! burst. A node whose bucket has too little sleeps until it has enough for a
//! while, and holds up nobody beside it.

use super::lane::{Place, steps};
use super::{Direction, NodeId, RateLimit, Tree};
use crate::timer::Tick;

/// How long a bucket that ran low is left to fill, unless the burst is less:
/// then it wakes, and serves whom it can. In microseconds.
const REST: u64 = 25_000;
/// In which time everybody has a turn, if the turns are not too short for
/// that; also the rest of a bucket that one member alone waits for. In
/// microseconds.
const ROUND: u64 = 50_000;
/// The shortest turn, in bytes, of members who want more, unless somebody
/// says otherwise.
pub(super) const TURN: u64 = 1024;

/// What members do.
impl<T: Copy> Tree<T> {
    /// How many bytes a member may move now, of as many as it wants: 0 lets it
    /// wait, and its turn will be told by [`next_granted`](Self::next_granted).
    /// `u64::MAX` without any limit. What it moved is told by
    /// [`spent`](Self::spent), and that it wants no more by
    /// [`settle`](Self::settle).
    ///
    /// ```
    /// # use ferrevent_core::limit::{Direction, RateLimit, RateLimits, Share, Tree};
    /// # use ferrevent_core::timer::Tick;
    /// # let mut tree = Tree::new();
    /// # let limits = RateLimits::both(RateLimit::new(1000)?);
    /// let one = tree.add_member(1, None, limits, Share::default(), Tick(0))?;
    /// assert_eq!(tree.ask(one, Direction::Read, 30, Tick(0)), 30);
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn ask(&mut self, id: NodeId, direction: Direction, wants: u64, now: Tick) -> u64 {
        let Some(index) = self.index(id) else {
            return u64::MAX;
        };
        if !self.is_below_limit(index, direction) {
            self.settle_index(index, direction, now);
            return u64::MAX;
        }
        let lane = self.lane_mut(index, direction);
        if lane.credit > 0 {
            return lane.credit.min(wants.max(1));
        }
        lane.wants = wants.max(1);
        if lane.place != Place::Idle {
            return 0;
        }
        if lane.busy == 0 {
            self.add_busy(Some(index), direction, |count| count + 1);
        }
        self.enqueue(index, direction);
        self.serve(direction, now);
        let credit = self.lane(index, direction).credit;
        if credit > 0 {
            // It need not be told.
            self.granted.retain(|granted| *granted != id);
        }
        credit
    }

    /// Whether a member has a limit, of its own or of a group above it.
    ///
    /// ```
    /// # use ferrevent_core::limit::{Direction, RateLimits, Share, Tree};
    /// # use ferrevent_core::timer::Tick;
    /// # let mut tree = Tree::new();
    /// let one = tree.add_member(1, None, RateLimits::NONE, Share::default(), Tick(0))?;
    /// assert!(!tree.is_limited(one, Direction::Read));
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn is_limited(&self, id: NodeId, direction: Direction) -> bool {
        self.index(id)
            .is_some_and(|index| self.is_below_limit(index, direction))
    }

    /// A member has moved bytes: what it was granted first, then what it was
    /// not, which is owed.
    ///
    /// ```
    /// # use ferrevent_core::limit::{Direction, RateLimit, RateLimits, Share, Tree};
    /// # use ferrevent_core::timer::Tick;
    /// # let mut tree = Tree::new();
    /// # let limits = RateLimits::both(RateLimit::new(1000)?);
    /// # let one = tree.add_member(1, None, limits, Share::default(), Tick(0))?;
    /// tree.spent(one, Direction::Read, 150, Tick(0));
    /// assert_eq!(tree.ask(one, Direction::Read, 1, Tick(0)), 0);
    /// assert_eq!(tree.wake_at(), Some(Tick(100_000)));
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn spent(&mut self, id: NodeId, direction: Direction, bytes: u64, now: Tick) {
        let Some(index) = self.index(id) else { return };
        let lane = self.lane_mut(index, direction);
        let owed = bytes.saturating_sub(lane.credit);
        lane.credit -= bytes - owed;
        let mut next = Some(index);
        while let Some(index) = next {
            let lane = self.lane_mut(index, direction);
            lane.moved += bytes;
            if owed > 0
                && let Some(bucket) = &mut lane.bucket
            {
                bucket.refill(now);
                bucket.take(owed);
            }
            next = self.nodes[index as usize].parent;
        }
    }

    /// Bytes that were told as moved were not, after all.
    ///
    /// ```
    /// # use ferrevent_core::limit::{Direction, RateLimit, RateLimits, Share, Tree};
    /// # use ferrevent_core::timer::Tick;
    /// # let mut tree = Tree::new();
    /// # let limits = RateLimits::both(RateLimit::new(1000)?);
    /// # let one = tree.add_member(1, None, limits, Share::default(), Tick(0))?;
    /// tree.spent(one, Direction::Write, 80, Tick(0));
    /// tree.unspent(one, Direction::Write, 50, Tick(0));
    /// assert_eq!(tree.moved(one, Direction::Write), Some(30));
    /// assert_eq!(tree.level(one, Direction::Write, Tick(0)), Some(70));
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn unspent(&mut self, id: NodeId, direction: Direction, bytes: u64, now: Tick) {
        let Some(index) = self.index(id) else { return };
        let mut next = Some(index);
        while let Some(index) = next {
            let lane = self.lane_mut(index, direction);
            lane.moved = lane.moved.saturating_sub(bytes);
            next = self.nodes[index as usize].parent;
        }
        self.give_back(index, direction, bytes, now);
        self.serve(direction, now);
    }

    /// A member wants no more for now: what it was granted and did not use
    /// the others have. Nothing happens to one that waits for its turn.
    ///
    /// ```
    /// # use ferrevent_core::limit::{Direction, RateLimit, RateLimits, Share, Tree};
    /// # use ferrevent_core::timer::Tick;
    /// # let mut tree = Tree::new();
    /// # let limits = RateLimits::both(RateLimit::new(1000)?);
    /// # let one = tree.add_member(1, None, limits, Share::default(), Tick(0))?;
    /// assert_eq!(tree.ask(one, Direction::Read, 100, Tick(0)), 100);
    /// tree.settle(one, Direction::Read, Tick(0));
    /// assert_eq!(tree.level(one, Direction::Read, Tick(0)), Some(100));
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn settle(&mut self, id: NodeId, direction: Direction, now: Tick) {
        let Some(index) = self.index(id) else { return };
        if self.settle_index(index, direction, now) {
            self.serve(direction, now);
        }
    }

    /// Lets the time pass: whoever's turn has come is told by
    /// [`next_granted`](Self::next_granted).
    ///
    /// ```
    /// # let mut tree: ferrevent_core::limit::Tree<u8> = Default::default();
    /// tree.pump(ferrevent_core::timer::Tick(5));
    /// assert_eq!(tree.next_granted(), None);
    /// ```
    pub fn pump(&mut self, now: Tick) {
        for direction in Direction::BOTH {
            while let Some((due, index)) = self.sleepers[direction as usize].first().copied()
                && due <= now
            {
                self.rouse(index, direction);
            }
            self.serve(direction, now);
        }
    }

    /// When the next turn comes, if anybody waits for one.
    ///
    /// ```
    /// # let tree: ferrevent_core::limit::Tree<u8> = Default::default();
    /// assert_eq!(tree.wake_at(), None);
    /// ```
    pub fn wake_at(&self) -> Option<Tick> {
        let first = |sleepers: &std::collections::BTreeSet<(Tick, u32)>| {
            sleepers.first().map(|(due, _)| *due)
        };
        self.sleepers.iter().filter_map(first).min()
    }

    /// A member whose turn has come while it waited, in the order of turns.
    ///
    /// ```
    /// # let mut tree: ferrevent_core::limit::Tree<u8> = Default::default();
    /// while let Some(member) = tree.next_granted() {
    ///     println!("{member} may go on");
    /// }
    /// ```
    pub fn next_granted(&mut self) -> Option<T> {
        while let Some(id) = self.granted.pop_front() {
            // It may be gone.
            if let Some(payload) = self.payload(id) {
                return Some(payload);
            }
        }
        None
    }
}

/// Queues.
impl<T: Copy> Tree<T> {
    /// Puts a node into its group's queue, and the group into its own.
    pub(super) fn enqueue(&mut self, index: u32, direction: Direction) {
        let mut next = index;
        loop {
            let node = &mut self.nodes[next as usize];
            let (share, parent) = (node.share, node.parent);
            let lane = &mut node.lanes[direction as usize];
            lane.place = Place::Queued;
            let mut tag = lane.tag;
            let Some(parent) = parent else {
                self.roots[direction as usize].push(next);
                return;
            };
            self.lane_mut(parent, direction)
                .admit(next, &mut tag, share);
            self.lane_mut(next, direction).tag = tag;
            if !self.is_idle(parent, direction) {
                return;
            }
            next = parent;
        }
    }

    /// Takes a node out of its group's queue, and the group out of its own if
    /// that leaves it with nobody. Whether it was there.
    pub(super) fn dequeue(&mut self, index: u32, direction: Direction) -> bool {
        if self.lane(index, direction).place != Place::Queued {
            return false;
        }
        let mut next = index;
        loop {
            let node = &mut self.nodes[next as usize];
            let (share, parent) = (node.share, node.parent);
            let lane = &mut node.lanes[direction as usize];
            lane.place = Place::Idle;
            let tag = lane.tag;
            let Some(parent) = parent else {
                self.roots[direction as usize].retain(|root| *root != next);
                return true;
            };
            let more = self.lane_mut(parent, direction).dismiss(next, tag, share);
            if more || self.lane(parent, direction).place != Place::Queued {
                return true;
            }
            next = parent;
        }
    }

    /// Ends a node's sleep.
    pub(super) fn rouse(&mut self, index: u32, direction: Direction) {
        let Place::Asleep { until, .. } = self.lane(index, direction).place else {
            return;
        };
        self.sleepers[direction as usize].remove(&(until, index));
        self.lane_mut(index, direction).place = Place::Idle;
        let goes_on = self.is_member(index) || self.lane(index, direction).has_queue();
        if goes_on {
            self.enqueue(index, direction);
        }
    }

    /// Takes a node out of everything it stands in.
    pub(super) fn withdraw(&mut self, index: u32, direction: Direction) {
        if let Place::Asleep { until, .. } = self.lane(index, direction).place {
            self.sleepers[direction as usize].remove(&(until, index));
            self.lane_mut(index, direction).place = Place::Idle;
        }
        self.dequeue(index, direction);
        if self.is_member(index) && self.lane(index, direction).busy > 0 {
            self.add_busy(Some(index), direction, |count| count - 1);
        }
    }

    fn is_below_limit(&self, index: u32, direction: Direction) -> bool {
        let mut next = Some(index);
        while let Some(index) = next {
            if self.lane(index, direction).bucket.is_some() {
                return true;
            }
            next = self.nodes[index as usize].parent;
        }
        false
    }
}

/// Turns.
impl<T: Copy> Tree<T> {
    pub(super) fn serve_all(&mut self, now: Tick) {
        for direction in Direction::BOTH {
            self.serve(direction, now);
        }
    }

    pub(super) fn serve(&mut self, direction: Direction, now: Tick) {
        while let Some(root) = self.roots[direction as usize].last().copied() {
            let mut path = std::mem::take(&mut self.path);
            self.serve_first(root, direction, now, &mut path);
            self.path = path;
        }
    }

    /// Gives the one whose turn it is its turn, or lets a node sleep that has
    /// not enough for it.
    fn serve_first(&mut self, root: u32, direction: Direction, now: Tick, path: &mut Vec<u32>) {
        path.clear();
        let mut next = Some(root);
        while let Some(index) = next {
            path.push(index);
            next = self.lane(index, direction).first();
        }
        let member = path[path.len() - 1];
        if !self.is_member(member) {
            // A group is queued only while somebody in it is.
            self.dequeue(member, direction);
            return;
        }
        let turn = self.turn(member, direction, path);
        // Alone, it has all there is: nobody is kept waiting by that.
        let alone = self.lane(root, direction).busy <= 1;
        let mut most = u64::MAX;
        for index in path.iter().copied() {
            let shortest = self.shortest_turn(index);
            let lane = self.lane_mut(index, direction);
            let Some(bucket) = &mut lane.bucket else {
                continue;
            };
            bucket.refill(now);
            let held = bucket.bytes();
            let least = if alone {
                turn.min(bucket.limit().bytes_in_micros(REST).max(shortest))
            } else {
                turn
            };
            if held < least && !(alone && lane.spares && held > 0) {
                self.sleep(index, direction, turn, alone);
                return;
            }
            most = most.min(held);
        }
        let wants = self.lane(member, direction).wants;
        let granted = most.min(if alone { wants } else { turn });
        self.grant(member, direction, granted);
    }

    /// The length of a member's turn.
    fn turn(&self, member: u32, direction: Direction, path: &[u32]) -> u64 {
        let mut turn = self.lane(member, direction).wants;
        for index in path.iter().copied() {
            let lane = self.lane(index, direction);
            let Some(bucket) = &lane.bucket else {
                continue;
            };
            let limit = bucket.limit();
            let even = limit.bytes_in_micros(ROUND) / u64::from(lane.busy.max(1));
            let even = even.max(self.shortest_turn(index));
            turn = turn.min(even).min(self.enough(index, limit));
        }
        turn.max(1)
    }

    fn grant(&mut self, member: u32, direction: Direction, bytes: u64) {
        let id = self.id(member);
        let mut next = Some(member);
        while let Some(index) = next {
            next = self.nodes[index as usize].parent;
            let lane = self.lane_mut(index, direction);
            if let Some(bucket) = &mut lane.bucket {
                bucket.take(bytes);
                lane.spares = bucket.bytes() > 0;
            }
            self.move_tag(index, direction, |tag, by| tag + by, bytes);
        }
        self.lane_mut(member, direction).credit += bytes;
        self.dequeue(member, direction);
        self.granted.push_back(id);
    }

    fn move_tag(
        &mut self,
        index: u32,
        direction: Direction,
        change: impl Fn(u128, u128) -> u128,
        bytes: u64,
    ) {
        let node = &mut self.nodes[index as usize];
        let (share, parent) = (node.share, node.parent);
        let Some(parent) = parent else { return };
        let lane = &mut node.lanes[direction as usize];
        let before = lane.tag;
        lane.tag = change(before, steps(bytes, share));
        let after = lane.tag;
        self.lane_mut(parent, direction)
            .retag(index, before, after, share);
    }

    /// Lets a node sleep until its bucket holds this turn, and until it has
    /// had its rest, if it has room for that: many small turns are served in
    /// one go, and so are the small pieces that one member alone writes.
    fn sleep(&mut self, index: u32, direction: Direction, turn: u64, alone: bool) {
        let Some(bucket) = &self.lane(index, direction).bucket else {
            return;
        };
        let limit = bucket.limit();
        let rest = limit.bytes_in_micros(if alone { ROUND } else { REST });
        let rest = rest.min(self.enough(index, limit));
        let bytes = turn.max(rest);
        let until = bucket.holds_at(bytes);
        self.dequeue(index, direction);
        self.lane_mut(index, direction).place = Place::Asleep { until, bytes };
        self.sleepers[direction as usize].insert((until, index));
    }

    /// The most that is waited for in a bucket: there must be room left for
    /// what comes in while whoever waits is late. A member waits for its own
    /// bucket and then for those above it, so a group's waits are shorter.
    fn enough(&self, index: u32, limit: RateLimit) -> u64 {
        let part = if self.is_member(index) { 2 } else { 4 };
        (limit.burst() / part).max(1)
    }

    /// Whether there was anything to give back.
    pub(super) fn settle_index(&mut self, index: u32, direction: Direction, now: Tick) -> bool {
        let lane = self.lane_mut(index, direction);
        if lane.busy == 0 || lane.place != Place::Idle || !self.is_member(index) {
            return false;
        }
        let left = std::mem::take(&mut self.lane_mut(index, direction).credit);
        self.add_busy(Some(index), direction, |count| count - 1);
        if left > 0 {
            self.give_back(index, direction, left, now);
        }
        left > 0
    }

    /// Puts bytes back into the buckets: who sleeps may wake sooner.
    fn give_back(&mut self, member: u32, direction: Direction, bytes: u64, now: Tick) {
        let mut next = Some(member);
        while let Some(index) = next {
            next = self.nodes[index as usize].parent;
            self.move_tag(index, direction, u128::saturating_sub, bytes);
            let lane = self.lane_mut(index, direction);
            let Some(bucket) = &mut lane.bucket else {
                continue;
            };
            bucket.refill(now);
            bucket.give_back(bytes);
            lane.spares = true;
            if let Place::Asleep { until, bytes } = lane.place {
                let sooner = bucket.holds_at(bytes);
                lane.place = Place::Asleep {
                    until: sooner,
                    bytes,
                };
                let sleepers = &mut self.sleepers[direction as usize];
                sleepers.remove(&(until, index));
                sleepers.insert((sooner, index));
            }
        }
    }
}
