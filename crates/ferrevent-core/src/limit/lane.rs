//! A node's state for one direction.

use std::collections::BTreeSet;

use super::{Bucket, Share};
use crate::timer::Tick;

/// Steps of a tag for a byte at weight one: what rounding loses of a share is
/// less than one part in a billion.
const STEPS: u128 = 1 << 32;

#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) bucket: Option<Bucket>,
    /// Somebody has left something in the bucket: one member alone has that,
    /// be it ever so little. What has come in since it was empty is left to
    /// gather.
    pub(super) spares: bool,
    pub(super) place: Place,
    /// What it has had of its group, by its weight: the least goes first.
    pub(super) tag: u128,
    /// Of a group: whose turn it is, one class for each priority.
    classes: Vec<Class>,
    /// Members at or below it that want to move something.
    pub(super) busy: u32,
    /// Of a member: how much it wants at most.
    pub(super) wants: u64,
    /// Of a member: what it was granted and has not used. The buckets have
    /// given it already.
    pub(super) credit: u64,
    pub(super) moved: u64,
}

/// Where a node stands in its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// It wants nothing, or nobody below it can go on.
    #[default]
    Idle,
    /// In its group's queue, or among the roots.
    Queued,
    /// Until its own bucket holds so many bytes.
    Asleep { until: Tick, bytes: u64 },
}

/// The children of one priority that can go on: the one with the least tag
/// goes first.
#[derive(Debug)]
struct Class {
    priority: u8,
    /// The tag of the one served last: who comes back starts from here, and
    /// has saved up nothing.
    clock: u128,
    queue: BTreeSet<(u128, u32)>,
}

impl Lane {
    pub(super) fn new(bucket: Option<Bucket>) -> Self {
        Self {
            bucket,
            spares: true,
            ..Self::default()
        }
    }

    /// Puts a child into the queue.
    pub(super) fn admit(&mut self, child: u32, tag: &mut u128, share: Share) {
        let class = self.class(share.priority);
        *tag = (*tag).max(class.clock);
        class.queue.insert((*tag, child));
    }

    /// Takes a child out of the queue. Whether any is left.
    pub(super) fn dismiss(&mut self, child: u32, tag: u128, share: Share) -> bool {
        self.class(share.priority).queue.remove(&(tag, child));
        self.has_queue()
    }

    /// Puts a child, whose tag was this, to its new place in the queue; a tag
    /// that has grown was served.
    pub(super) fn retag(&mut self, child: u32, before: u128, after: u128, share: Share) {
        let class = self.class(share.priority);
        if after > before {
            class.clock = class.clock.max(before);
        }
        if class.queue.remove(&(before, child)) {
            class.queue.insert((after, child));
        }
    }

    pub(super) fn first(&self) -> Option<u32> {
        let mut queues = self.classes.iter().map(|class| &class.queue);
        queues.find_map(|queue| queue.first()).map(|(_, id)| *id)
    }

    pub(super) fn has_queue(&self) -> bool {
        self.classes.iter().any(|class| !class.queue.is_empty())
    }

    fn class(&mut self, priority: u8) -> &mut Class {
        let place = self
            .classes
            .binary_search_by_key(&priority, |class| class.priority);
        let index = place.unwrap_or_else(|index| {
            let class = Class {
                priority,
                clock: 0,
                queue: BTreeSet::new(),
            };
            self.classes.insert(index, class);
            index
        });
        &mut self.classes[index]
    }
}

/// How far so many bytes move a tag.
pub(super) fn steps(bytes: u64, share: Share) -> u128 {
    u128::from(bytes) * STEPS / u128::from(share.weight.max(1))
}
