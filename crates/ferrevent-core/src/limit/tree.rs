//! The tree: who is in which group, and under what limits.

use std::collections::BTreeSet;

use super::lane::{Lane, Place};
use super::schedule::TURN;
use super::{Bucket, Direction, LimitError, RateLimit, RateLimits, Share};
use crate::timer::Tick;

/// A member or a group of a [`Tree`]; never valid twice.
///
/// ```
/// use ferrevent_core::limit::{RateLimits, Share, Tree};
/// use ferrevent_core::timer::Tick;
/// let mut tree: Tree<&str> = Tree::new();
/// let id = tree.add_group(None, RateLimits::NONE, Share::default(), Tick(0))?;
/// tree.release(id, Tick(0));
/// assert!(!tree.contains(id));
/// # Ok::<(), ferrevent_core::limit::LimitError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeId {
    index: u32,
    generation: u32,
}

/// Everything that is limited, by groups in groups of any depth. `T` tells
/// the members apart.
///
/// ```
/// use ferrevent_core::limit::{Direction, RateLimit, RateLimits, Share, Tree};
/// use ferrevent_core::timer::Tick;
///
/// let mut tree = Tree::new();
/// let limits = RateLimits::both(RateLimit::new(1_000_000)?.with_burst(20_000)?);
/// let group = tree.add_group(None, limits, Share::default(), Tick(0))?;
/// let one = tree.add_member("one", Some(group), RateLimits::NONE, Share::default(), Tick(0))?;
///
/// // The burst may move at once.
/// assert_eq!(tree.ask(one, Direction::Write, 20_000, Tick(0)), 20_000);
/// tree.spent(one, Direction::Write, 20_000, Tick(0));
/// // For more it waits its turn.
/// assert_eq!(tree.ask(one, Direction::Write, 5_000, Tick(0)), 0);
/// assert_eq!(tree.wake_at(), Some(Tick(5_000)));
/// tree.pump(Tick(5_000));
/// assert_eq!(tree.next_granted(), Some("one"));
/// assert_eq!(tree.ask(one, Direction::Write, 5_000, Tick(5_000)), 5_000);
/// # Ok::<(), ferrevent_core::limit::LimitError>(())
/// ```
#[derive(Debug)]
pub struct Tree<T> {
    pub(super) nodes: Vec<Node<T>>,
    free: Vec<u32>,
    used: usize,
    pub(super) sleepers: [BTreeSet<(Tick, u32)>; 2],
    /// The roots that can go on.
    pub(super) roots: [Vec<u32>; 2],
    /// Members whose turn has come, in its order.
    pub(super) granted: std::collections::VecDeque<NodeId>,
    pub(super) path: Vec<u32>,
}

#[derive(Debug)]
pub(super) struct Node<T> {
    generation: u32,
    pub(super) parent: Option<u32>,
    /// None: a group, or nothing.
    payload: Option<T>,
    pub(super) share: Share,
    /// The shortest turn of those in it who want more, in bytes.
    shortest_turn: u64,
    children: u32,
    held: bool,
    used: bool,
    pub(super) lanes: [Lane; 2],
}

impl<T: Copy> Default for Tree<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Who is in it.
impl<T: Copy> Tree<T> {
    /// An empty one.
    ///
    /// ```
    /// # use ferrevent_core::limit::Tree;
    /// let tree: Tree<u32> = Tree::new();
    /// assert!(tree.is_empty());
    /// ```
    pub fn new() -> Self {
        Self {
            nodes: Vec::new(),
            free: Vec::new(),
            used: 0,
            sleepers: [BTreeSet::new(), BTreeSet::new()],
            roots: [Vec::new(), Vec::new()],
            granted: std::collections::VecDeque::new(),
            path: Vec::new(),
        }
    }

    /// A group, inside another or none.
    ///
    /// # Errors
    /// [`LimitError::Gone`] for a parent that is no more, [`LimitError::Full`].
    ///
    /// ```
    /// # use ferrevent_core::limit::{RateLimits, Share, Tree};
    /// # use ferrevent_core::timer::Tick;
    /// let mut tree: Tree<u32> = Tree::new();
    /// let all = tree.add_group(None, RateLimits::NONE, Share::default(), Tick(0))?;
    /// let some = tree.add_group(Some(all), RateLimits::NONE, Share::default(), Tick(0))?;
    /// assert_eq!(tree.parent(some), Some(all));
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn add_group(
        &mut self,
        parent: Option<NodeId>,
        limits: RateLimits,
        share: Share,
        now: Tick,
    ) -> Result<NodeId, LimitError> {
        self.add(None, parent, limits, share, now)
    }

    /// A member: something that moves bytes.
    ///
    /// # Errors
    /// [`LimitError::Gone`] for a parent that is no more or is no group,
    /// [`LimitError::Full`].
    ///
    /// ```
    /// # use ferrevent_core::limit::{Direction, RateLimits, Share, Tree};
    /// # use ferrevent_core::timer::Tick;
    /// let mut tree = Tree::new();
    /// let one = tree.add_member('a', None, RateLimits::NONE, Share::default(), Tick(0))?;
    /// assert_eq!(tree.ask(one, Direction::Read, 1, Tick(0)), u64::MAX, "no limit");
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn add_member(
        &mut self,
        payload: T,
        parent: Option<NodeId>,
        limits: RateLimits,
        share: Share,
        now: Tick,
    ) -> Result<NodeId, LimitError> {
        self.add(Some(payload), parent, limits, share, now)
    }

    fn add(
        &mut self,
        payload: Option<T>,
        parent: Option<NodeId>,
        limits: RateLimits,
        share: Share,
        now: Tick,
    ) -> Result<NodeId, LimitError> {
        if share.weight == 0 {
            return Err(LimitError::ZeroWeight);
        }
        let parent = match parent {
            Some(parent) => Some(self.group(parent)?),
            None => None,
        };
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.nodes.len()).map_err(|_| LimitError::Full)?;
                self.nodes.push(Node {
                    generation: 0,
                    parent: None,
                    payload: None,
                    share,
                    shortest_turn: TURN,
                    children: 0,
                    held: false,
                    used: false,
                    lanes: Default::default(),
                });
                index
            }
        };
        self.used += 1;
        let node = &mut self.nodes[index as usize];
        node.generation = node.generation.wrapping_add(1);
        node.parent = parent;
        node.payload = payload;
        node.share = share;
        node.shortest_turn = TURN;
        node.children = 0;
        node.held = true;
        node.used = true;
        for direction in Direction::BOTH {
            let limit = limits.of(direction);
            let bucket = limit.map(|limit| Bucket::full(limit, now));
            node.lanes[direction as usize] = Lane::new(bucket);
        }
        let generation = node.generation;
        if let Some(parent) = parent {
            self.nodes[parent as usize].children += 1;
        }
        Ok(NodeId { index, generation })
    }

    /// Lets a member or a group go: a group stays as long as something is in
    /// it. What a member did not use of its turn the others have.
    ///
    /// ```
    /// # use ferrevent_core::limit::{RateLimits, Share, Tree};
    /// # use ferrevent_core::timer::Tick;
    /// let mut tree = Tree::new();
    /// let group = tree.add_group(None, RateLimits::NONE, Share::default(), Tick(0))?;
    /// let one = tree.add_member(1, Some(group), RateLimits::NONE, Share::default(), Tick(0))?;
    /// tree.release(group, Tick(0));
    /// assert!(tree.contains(group), "there is somebody in it");
    /// tree.release(one, Tick(0));
    /// assert!(tree.is_empty());
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn release(&mut self, id: NodeId, now: Tick) {
        let Some(index) = self.index(id) else { return };
        self.nodes[index as usize].held = false;
        self.remove_unless_needed(index, now);
        self.serve_all(now);
    }

    fn remove_unless_needed(&mut self, index: u32, now: Tick) {
        let node = &self.nodes[index as usize];
        if node.held || node.children > 0 {
            return;
        }
        for direction in Direction::BOTH {
            self.settle_index(index, direction, now);
            self.withdraw(index, direction);
        }
        let node = &mut self.nodes[index as usize];
        node.used = false;
        node.payload = None;
        node.lanes = Default::default();
        let parent = node.parent.take();
        self.free.push(index);
        self.used -= 1;
        if let Some(parent) = parent {
            self.nodes[parent as usize].children -= 1;
            self.remove_unless_needed(parent, now);
        }
    }

    /// Whether it is still there.
    ///
    /// ```
    /// # use ferrevent_core::limit::{RateLimits, Share, Tree};
    /// # use ferrevent_core::timer::Tick;
    /// # let mut tree = Tree::new();
    /// let one = tree.add_member(1, None, RateLimits::NONE, Share::default(), Tick(0))?;
    /// assert!(tree.contains(one));
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn contains(&self, id: NodeId) -> bool {
        self.index(id).is_some()
    }

    /// How many members and groups there are.
    ///
    /// ```
    /// # let tree: ferrevent_core::limit::Tree<u8> = Default::default();
    /// assert_eq!(tree.len(), 0);
    /// ```
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether there is nothing in it.
    ///
    /// ```
    /// # let tree: ferrevent_core::limit::Tree<u8> = Default::default();
    /// assert!(tree.is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }
}

/// What changes while it runs.
impl<T: Copy> Tree<T> {
    /// Sets other limits. What is in the buckets stays, as far as they have
    /// room; with `reset` they are full at once. A bucket that was not there
    /// before is full.
    ///
    /// # Errors
    /// [`LimitError::Gone`].
    ///
    /// ```
    /// # use ferrevent_core::limit::{Direction, RateLimit, RateLimits, Share, Tree};
    /// # use ferrevent_core::timer::Tick;
    /// # let mut tree = Tree::new();
    /// # let one = tree.add_member(1, None, RateLimits::NONE, Share::default(), Tick(0))?;
    /// tree.set_limits(one, RateLimits::both(RateLimit::new(500)?), false, Tick(0))?;
    /// assert_eq!(tree.level(one, Direction::Read, Tick(0)), Some(50));
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn set_limits(
        &mut self,
        id: NodeId,
        limits: RateLimits,
        reset: bool,
        now: Tick,
    ) -> Result<(), LimitError> {
        let index = self.index(id).ok_or(LimitError::Gone)?;
        let mut anew = false;
        for direction in Direction::BOTH {
            let lane = self.lane_mut(index, direction);
            let bucket = &mut lane.bucket;
            let had = bucket.is_some();
            lane.spares |= reset || !had;
            match (limits.of(direction), bucket.as_mut()) {
                (Some(limit), Some(bucket)) => bucket.set(limit, reset, now),
                (limit, _) => *bucket = limit.map(|limit| Bucket::full(limit, now)),
            }
            anew |= bucket.is_some() != had;
            self.rouse(index, direction);
        }
        if anew {
            self.tell_members(index);
        }
        self.serve_all(now);
        Ok(())
    }

    /// Sets what part of its group it gets.
    ///
    /// # Errors
    /// [`LimitError::Gone`], [`LimitError::ZeroWeight`].
    ///
    /// ```
    /// # use ferrevent_core::limit::{RateLimits, Share, Tree};
    /// # use ferrevent_core::timer::Tick;
    /// # let mut tree = Tree::new();
    /// # let one = tree.add_member(1, None, RateLimits::NONE, Share::default(), Tick(0))?;
    /// tree.set_share(one, Share::weighing(3)?, Tick(0))?;
    /// assert_eq!(tree.share(one), Some(Share::weighing(3)?));
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn set_share(&mut self, id: NodeId, share: Share, now: Tick) -> Result<(), LimitError> {
        if share.weight == 0 {
            return Err(LimitError::ZeroWeight);
        }
        let index = self.index(id).ok_or(LimitError::Gone)?;
        let queued = Direction::BOTH.map(|direction| self.dequeue(index, direction));
        let before = std::mem::replace(&mut self.nodes[index as usize].share, share);
        for direction in Direction::BOTH {
            if before.priority != share.priority {
                // What it has had beside others says nothing here.
                self.lane_mut(index, direction).tag = 0;
            }
            if queued[direction as usize] {
                self.enqueue(index, direction);
            }
        }
        self.serve_all(now);
        Ok(())
    }

    /// Sets how many bytes a member of a group gets at a time at least, while
    /// several want more than there is. Less costs more reads and writes; with
    /// more each waits longer. 1024 unless it is set; at least 1.
    ///
    /// # Errors
    /// [`LimitError::Gone`].
    ///
    /// ```
    /// # use ferrevent_core::limit::{RateLimits, Share, Tree};
    /// # use ferrevent_core::timer::Tick;
    /// # let mut tree: Tree<u32> = Tree::new();
    /// let group = tree.add_group(None, RateLimits::NONE, Share::default(), Tick(0))?;
    /// tree.set_shortest_turn(group, 64)?;
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn set_shortest_turn(&mut self, id: NodeId, bytes: u64) -> Result<(), LimitError> {
        let index = self.index(id).ok_or(LimitError::Gone)?;
        self.nodes[index as usize].shortest_turn = bytes.max(1);
        Ok(())
    }

    /// Moves a member or a group, with everything in it, into another group
    /// or into none. What it was granted stays its own.
    ///
    /// # Errors
    /// [`LimitError::Gone`], and [`LimitError::Cycle`] for a group that would
    /// come to lie in itself.
    ///
    /// ```
    /// # use ferrevent_core::limit::{LimitError, RateLimits, Share, Tree};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut tree: Tree<u8> = Tree::new();
    /// let all = tree.add_group(None, RateLimits::NONE, Share::default(), now)?;
    /// let some = tree.add_group(Some(all), RateLimits::NONE, Share::default(), now)?;
    /// assert_eq!(tree.set_parent(all, Some(some), now), Err(LimitError::Cycle));
    /// tree.set_parent(some, None, now)?;
    /// assert_eq!(tree.parent(some), None);
    /// # Ok::<(), LimitError>(())
    /// ```
    pub fn set_parent(
        &mut self,
        id: NodeId,
        parent: Option<NodeId>,
        now: Tick,
    ) -> Result<(), LimitError> {
        let index = self.index(id).ok_or(LimitError::Gone)?;
        let parent = match parent {
            Some(parent) => Some(self.group(parent)?),
            None => None,
        };
        let mut above = parent;
        while let Some(group) = above {
            if group == index {
                return Err(LimitError::Cycle);
            }
            above = self.nodes[group as usize].parent;
        }
        let old = self.nodes[index as usize].parent;
        if old == parent {
            return Ok(());
        }
        let queued = Direction::BOTH.map(|direction| self.dequeue(index, direction));
        for direction in Direction::BOTH {
            let busy = self.lane(index, direction).busy;
            self.add_busy(old, direction, |count| count - busy);
            self.add_busy(parent, direction, |count| count + busy);
            // In the new group it starts as somebody who comes anew.
            self.lane_mut(index, direction).tag = 0;
        }
        self.nodes[index as usize].parent = parent;
        if let Some(parent) = parent {
            self.nodes[parent as usize].children += 1;
        }
        for direction in Direction::BOTH {
            if queued[direction as usize] {
                self.enqueue(index, direction);
            }
        }
        if let Some(old) = old {
            self.nodes[old as usize].children -= 1;
            self.remove_unless_needed(old, now);
        }
        self.tell_members(index);
        self.serve_all(now);
        Ok(())
    }
}

/// What can be read.
impl<T: Copy> Tree<T> {
    /// Its limits.
    ///
    /// ```
    /// # use ferrevent_core::limit::{RateLimits, Share, Tree};
    /// # use ferrevent_core::timer::Tick;
    /// # let mut tree = Tree::new();
    /// # let one = tree.add_member(1, None, RateLimits::NONE, Share::default(), Tick(0))?;
    /// assert_eq!(tree.limits(one), Some(RateLimits::NONE));
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn limits(&self, id: NodeId) -> Option<RateLimits> {
        let index = self.index(id)?;
        let limit = |direction| -> Option<RateLimit> {
            let bucket = self.lane(index, direction).bucket.as_ref()?;
            Some(bucket.limit())
        };
        Some(RateLimits {
            read: limit(Direction::Read),
            write: limit(Direction::Write),
        })
    }

    /// What part of its group it gets.
    ///
    /// ```
    /// # use ferrevent_core::limit::{RateLimits, Share, Tree};
    /// # use ferrevent_core::timer::Tick;
    /// # let mut tree = Tree::new();
    /// # let one = tree.add_member(1, None, RateLimits::NONE, Share::default(), Tick(0))?;
    /// assert_eq!(tree.share(one), Some(Share::default()));
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn share(&self, id: NodeId) -> Option<Share> {
        Some(self.nodes[self.index(id)? as usize].share)
    }

    /// The group it is in.
    ///
    /// ```
    /// # use ferrevent_core::limit::{RateLimits, Share, Tree};
    /// # use ferrevent_core::timer::Tick;
    /// # let mut tree = Tree::new();
    /// # let one = tree.add_member(1, None, RateLimits::NONE, Share::default(), Tick(0))?;
    /// assert_eq!(tree.parent(one), None);
    /// # Ok::<(), ferrevent_core::limit::LimitError>(())
    /// ```
    pub fn parent(&self, id: NodeId) -> Option<NodeId> {
        let parent = self.nodes[self.index(id)? as usize].parent?;
        Some(self.id(parent))
    }
}

/// Inside.
impl<T: Copy> Tree<T> {
    pub(super) fn index(&self, id: NodeId) -> Option<u32> {
        let node = self.nodes.get(id.index as usize)?;
        (node.used && node.generation == id.generation).then_some(id.index)
    }

    pub(super) fn id(&self, index: u32) -> NodeId {
        NodeId {
            index,
            generation: self.nodes[index as usize].generation,
        }
    }

    pub(super) fn payload(&self, id: NodeId) -> Option<T> {
        self.nodes[self.index(id)? as usize].payload
    }

    pub(super) fn shortest_turn(&self, index: u32) -> u64 {
        self.nodes[index as usize].shortest_turn
    }

    pub(super) fn is_member(&self, index: u32) -> bool {
        self.nodes[index as usize].payload.is_some()
    }

    #[inline]
    pub(super) fn lane(&self, index: u32, direction: Direction) -> &Lane {
        &self.nodes[index as usize].lanes[direction as usize]
    }

    #[inline]
    pub(super) fn lane_mut(&mut self, index: u32, direction: Direction) -> &mut Lane {
        &mut self.nodes[index as usize].lanes[direction as usize]
    }

    /// Lets the members in a group ask anew: they may have a limit now that
    /// they had not, or the other way round.
    fn tell_members(&mut self, group: u32) {
        if self.is_member(group) {
            return;
        }
        for index in 0..self.nodes.len() as u32 {
            let mut above = self.nodes[index as usize].parent;
            while above.is_some_and(|above| above != group) {
                above = above.and_then(|above| self.nodes[above as usize].parent);
            }
            if above.is_some() && self.is_member(index) {
                let id = self.id(index);
                self.granted.push_back(id);
            }
        }
    }

    fn group(&self, id: NodeId) -> Result<u32, LimitError> {
        self.index(id)
            .filter(|index| !self.is_member(*index))
            .ok_or(LimitError::Gone)
    }

    pub(super) fn add_busy(
        &mut self,
        from: Option<u32>,
        direction: Direction,
        change: impl Fn(u32) -> u32,
    ) {
        let mut next = from;
        while let Some(index) = next {
            let lane = self.lane_mut(index, direction);
            lane.busy = change(lane.busy);
            next = self.nodes[index as usize].parent;
        }
    }

    /// Whether it stands nowhere.
    pub(super) fn is_idle(&self, index: u32, direction: Direction) -> bool {
        self.lane(index, direction).place == Place::Idle
    }
}
