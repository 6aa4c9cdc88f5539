use std::num::NonZeroU32;

/// Names one timer of one [`TimerQueue`](super::TimerQueue): 8 bytes, also
/// as an `Option`.
///
/// An id stays the same while its timer is re-armed and is dead once the
/// timer was fired or removed; every call answers a dead id with `false` or
/// `None`. The place of a dead timer is used again under another id. (An id
/// could be taken for a live one only after 2³¹ timers in its very place.)
///
/// ```
/// use ferrevent_core::timer::{Tick, TimerQueue};
/// let mut timers = TimerQueue::new(Tick::ZERO);
/// let id = timers.insert(Tick(10), "ten");
/// assert_eq!(timers.remove(id), Some("ten"));
/// assert_eq!(timers.remove(id), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TimerId {
    pub(super) index: u32,
    pub(super) generation: NonZeroU32,
}

impl TimerId {
    pub(super) fn new(index: u32, generation: u32) -> Self {
        Self {
            index,
            // The generation of a taken place is odd, so never zero.
            generation: NonZeroU32::new(generation).unwrap_or(NonZeroU32::MIN),
        }
    }
}
