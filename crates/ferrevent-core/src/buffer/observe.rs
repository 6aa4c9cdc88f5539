//! Observers: closures that are told how a buffer's length changes.

use std::sync::atomic::{AtomicU64, Ordering};

use super::chain::{Buffer, OBSERVED};

/// What one operation did to the length of a buffer.
///
/// ```
/// use ferrevent_core::buffer::Change;
///
/// let change = Change { before_len: 10, added: 0, removed: 4 };
/// assert_eq!(change.after_len(), 6);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The length before, in bytes.
    pub before_len: usize,
    /// How many bytes the operation added, at either end.
    pub added: usize,
    /// How many bytes the operation removed.
    pub removed: usize,
}

impl Change {
    /// The length after the operation, in bytes.
    ///
    /// ```
    /// use ferrevent_core::buffer::Change;
    /// assert_eq!(Change { before_len: 0, added: 5, removed: 0 }.after_len(), 5);
    /// ```
    pub fn after_len(&self) -> usize {
        self.before_len + self.added - self.removed
    }
}

/// Names an observer, to be removed with [`Buffer::unobserve`]. No two are alike.
///
/// ```
/// use ferrevent_core::buffer::Buffer;
///
/// let mut buffer = Buffer::new();
/// let first = buffer.observe(|_| ());
/// let second = buffer.observe(|_| ());
/// assert_ne!(first, second);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ObserverId(u64);

impl Buffer {
    /// Has `observer` called after each operation that changes the length of this buffer.
    ///
    /// It is called once an operation, after all its work, in the order of registration; an
    /// operation between two buffers is told to the observers of both. Operations that fail or
    /// change nothing are not told, nor is what happens when the buffer is dropped. The observer
    /// cannot reach the buffer, so no operation ever runs inside another one.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use ferrevent_core::buffer::{Buffer, Change};
    ///
    /// let (sender, changes) = mpsc::channel();
    /// let mut buffer = Buffer::new();
    /// buffer.observe(move |change| sender.send(*change).unwrap());
    /// buffer.append(b"abc")?;
    /// buffer.drain(2)?;
    /// assert_eq!(changes.try_recv(), Ok(Change { before_len: 0, added: 3, removed: 0 }));
    /// assert_eq!(changes.try_recv(), Ok(Change { before_len: 3, added: 0, removed: 2 }));
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    pub fn observe(&mut self, observer: impl FnMut(&Change) + Send + 'static) -> ObserverId {
        // Unique over all buffers, so that an old name never removes somebody else's observer.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = ObserverId(NEXT.fetch_add(1, Ordering::Relaxed));
        self.flags |= OBSERVED;
        self.rest_mut()
            .observers
            .list
            .push((id, Box::new(observer)));
        id
    }

    /// Removes an observer. Says whether there was one of that name.
    ///
    /// ```
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let mut buffer = Buffer::new();
    /// let id = buffer.observe(|_| ());
    /// assert!(buffer.unobserve(id));
    /// assert!(!buffer.unobserve(id));
    /// ```
    pub fn unobserve(&mut self, id: ObserverId) -> bool {
        let Some(rest) = &mut self.rest else {
            return false;
        };
        let list = &mut rest.observers.list;
        let Some(position) = list.iter().position(|(other, _)| *other == id) else {
            return false;
        };
        let removed = list.remove(position);
        if list.is_empty() {
            // Without its memory too, lest a list kept for another buffer carry it on.
            *list = Vec::new();
            self.flags &= !OBSERVED;
            self.tidy_rest();
        }
        drop(removed);
        true
    }
}

type Observer = Box<dyn FnMut(&Change) + Send>;

#[derive(Default)]
pub(super) struct Observers {
    list: Vec<(ObserverId, Observer)>,
}

impl Observers {
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn notify(&mut self, change: &Change) {
        for (_, observer) in &mut self.list {
            observer(change);
        }
    }
}
