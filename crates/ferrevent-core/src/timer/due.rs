//! The timers whose time has come, in the order in which they fire.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// A timer as it was when it became due.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Due {
    // The order of the fields is the order of firing.
    pub(super) deadline: u64,
    pub(super) seq: u64,
    pub(super) index: u32,
    pub(super) stamp: u32,
}

/// A sorted run, taken from the wheel a slot at a time, and a heap for the
/// few timers that are set when already due and do not belong at the end.
pub(super) struct DueList {
    run: VecDeque<Due>,
    late: BinaryHeap<Reverse<Due>>,
}

impl DueList {
    pub(super) const fn new() -> Self {
        Self {
            run: VecDeque::new(),
            late: BinaryHeap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.run.len() + self.late.len()
    }

    /// Adds one at the place where it belongs.
    pub(super) fn push(&mut self, due: Due) {
        // Timers set for "now" come in order, and never see the heap.
        if self.run.back().is_none_or(|last| *last < due) {
            self.run.push_back(due);
        } else {
            self.late.push(Reverse(due));
        }
    }

    /// Adds one anywhere; `sort` is called before the list is read.
    #[inline]
    pub(super) fn push_unsorted(&mut self, due: Due) {
        self.run.push_back(due);
    }

    pub(super) fn sort(&mut self) {
        let key = |due: &Due| (u128::from(due.deadline) << 64) | u128::from(due.seq);
        self.run.make_contiguous().sort_unstable_by_key(key);
    }

    #[inline]
    pub(super) fn first(&self) -> Option<&Due> {
        match (self.run.front(), self.late.peek()) {
            (Some(run), Some(Reverse(late))) => Some(run.min(late)),
            (Some(run), None) => Some(run),
            (None, late) => late.map(|Reverse(due)| due),
        }
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<Due> {
        let Some(Reverse(late)) = self.late.peek() else {
            return self.run.pop_front();
        };
        if self.run.front().is_some_and(|run| run < late) {
            return self.run.pop_front();
        }
        self.late.pop().map(|Reverse(due)| due)
    }

    pub(super) fn clear(&mut self) {
        self.run.clear();
        self.late.clear();
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Due) -> bool) {
        self.run.retain(&mut keep);
        self.late.retain(|Reverse(due)| keep(due));
    }

    pub(super) fn shrink(&mut self) {
        self.run.shrink_to_fit();
        self.late.shrink_to_fit();
    }
}

#[cfg(test)]
impl DueList {
    pub(super) fn allocated(&self) -> usize {
        (self.run.capacity() + self.late.capacity()) * size_of::<Due>()
    }
}
