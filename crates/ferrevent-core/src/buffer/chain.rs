//! The buffer itself: its shape, its ends, and what every operation goes through.

use std::{collections::VecDeque, mem};

use super::{
    block::{BlockClass, Extent},
    error::{BufferError, End},
    observe::{Change, Observers},
    pool,
    segment::Segment,
};

/// A queue of bytes: a chain of segments that are filled at the back and drained at the front.
///
/// A segment is a pooled block, a reference to memory of somebody else, or a part of a file.
/// Bytes move from buffer to buffer by moving segments, not by copying, save for small pieces.
/// A segment that has more than one owner (a share, a [`Pinned`](super::Pinned) view, a piece
/// that was split off) is never written; this is read off its reference count, so it ends by
/// itself with the last other owner.
///
/// An empty buffer owns no heap memory, unless it has observers or a reservation. The buffer is
/// 48 bytes, `Send`, and has no interior mutability.
///
/// # Errors
///
/// Every operation that can fail checks first and then does all of its work or none. Nothing
/// panics on a count that is out of range: reading operations take as much as there is
/// (`min(n, len)`), the others return [`BufferError::OutOfRange`].
///
/// ```
/// use ferrevent_core::buffer::{Buffer, Eol};
///
/// let mut input = Buffer::new();
/// input.append(b"HELO relay\r\nQUIT\r\n")?;
///
/// let mut output = Buffer::new();
/// while let Some(line) = input.read_line(Eol::Crlf, 1000)? {
///     output.append(b"> ")?;
///     output.append(&line)?;
/// }
/// assert_eq!(output, *b"> HELO relay> QUIT");
/// # Ok::<(), ferrevent_core::buffer::BufferError>(())
/// ```
pub struct Buffer {
    /// The first segment. There is none only if the buffer is empty; it has no bytes only if it
    /// is the last one and reserved.
    pub(super) head: Segment,
    /// The number of bytes in all segments.
    pub(super) len: usize,
    /// There while there are further segments or observers.
    pub(super) rest: Option<Box<Rest>>,
    /// The size of the reservation behind the last segment.
    pub(super) reserved: u32,
    pub(super) flags: u8,
}

/// What most buffers do not need.
#[derive(Default)]
pub(super) struct Rest {
    /// The segments after the first one; none of them is without bytes, save a reserved last one.
    pub(super) segments: VecDeque<Segment>,
    pub(super) observers: Observers,
}

/// The front is frozen.
pub(super) const FRONT: u8 = 1;
/// The back is frozen.
pub(super) const BACK: u8 = 2;
/// Room behind the last segment is reserved.
pub(super) const RESERVED: u8 = 4;
/// There are observers.
pub(super) const OBSERVED: u8 = 8;
/// There may be file ranges.
pub(super) const FILES: u8 = 16;

/// Pieces up to this size are copied rather than shared or kept in a segment of their own.
pub(super) const SMALL: usize = 512;

/// The largest block that is taken ahead of need.
const GROWTH: usize = BlockClass::K16.capacity();

/// The longest list of further segments that is kept for the next buffer that needs one.
const KEPT_SEGMENTS: usize = 64;

impl Buffer {
    /// The most bytes that a buffer can hold, references and file ranges included.
    ///
    /// ```
    /// use std::{fs::File, sync::Arc};
    /// use ferrevent_core::buffer::{Buffer, BufferError};
    ///
    /// let file = Arc::new(File::open("Cargo.toml")?);
    /// let refused = Buffer::new().append_file(file, 0, usize::MAX);
    /// assert_eq!(refused, Err(BufferError::TooLong { limit: Buffer::MAX_LEN }));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub const MAX_LEN: usize = if usize::BITS > 32 {
        1 << 44
    } else {
        usize::MAX >> 1
    };

    /// The most bytes that can be reserved at once or made contiguous: 1 GiB.
    ///
    /// ```
    /// use ferrevent_core::buffer::{Buffer, BufferError};
    ///
    /// let refused = Buffer::new().reserve(usize::MAX).map(|room| room.len());
    /// assert_eq!(refused, Err(BufferError::TooLong { limit: Buffer::MAX_EXTENT }));
    /// ```
    pub const MAX_EXTENT: usize = 1 << 30;

    /// An empty buffer. It owns no heap memory.
    ///
    /// ```
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// const EMPTY: Buffer = Buffer::new();
    /// assert!(EMPTY.is_empty());
    /// ```
    #[inline]
    pub const fn new() -> Buffer {
        Buffer {
            head: Segment::NONE,
            len: 0,
            rest: None,
            reserved: 0,
            flags: 0,
        }
    }

    /// The number of bytes, pinned ones, referenced ones and file ranges included.
    ///
    /// ```
    /// use ferrevent_core::buffer::Buffer;
    /// assert_eq!(Buffer::from(b"four".as_slice()).len(), 4);
    /// ```
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no byte.
    ///
    /// ```
    /// use ferrevent_core::buffer::Buffer;
    /// assert!(Buffer::new().is_empty());
    /// ```
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Keeps bytes from being added to or taken from this end until it is unfrozen.
    ///
    /// With a frozen front nothing can be drained, read, prepended or moved out; looking, finding,
    /// sharing and pinning go on. With a frozen back nothing can be appended. Freezing twice is
    /// the same as freezing once.
    ///
    /// ```
    /// use ferrevent_core::buffer::{Buffer, BufferError, End};
    ///
    /// let mut buffer = Buffer::new();
    /// buffer.freeze(End::Back);
    /// assert_eq!(buffer.append(b"x"), Err(BufferError::Frozen(End::Back)));
    /// buffer.unfreeze(End::Back);
    /// buffer.append(b"x")?;
    /// # Ok::<(), BufferError>(())
    /// ```
    #[inline]
    pub fn freeze(&mut self, end: End) {
        self.flags |= end.flag();
    }

    /// Ends a [`freeze`](Buffer::freeze). Does nothing if this end is not frozen.
    ///
    /// ```
    /// use ferrevent_core::buffer::{Buffer, End};
    ///
    /// let mut buffer = Buffer::from(b"abc".as_slice());
    /// buffer.freeze(End::Front);
    /// buffer.unfreeze(End::Front);
    /// buffer.drain(3)?;
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    #[inline]
    pub fn unfreeze(&mut self, end: End) {
        self.flags &= !end.flag();
    }

    /// Whether this end is frozen.
    ///
    /// ```
    /// use ferrevent_core::buffer::{Buffer, End};
    ///
    /// let mut buffer = Buffer::new();
    /// buffer.freeze(End::Front);
    /// assert!(buffer.is_frozen(End::Front) && !buffer.is_frozen(End::Back));
    /// ```
    #[inline]
    pub fn is_frozen(&self, end: End) -> bool {
        self.flags & end.flag() != 0
    }
}

/// What the operations are made of.
impl Buffer {
    /// What every operation that adds `n` bytes at the back begins with.
    #[inline]
    pub(super) fn begin_append(&mut self, n: usize) -> Result<(), BufferError> {
        if self.flags & (BACK | RESERVED) != 0 {
            self.thaw_or_refuse(End::Back)?;
        }
        self.check_len(n)
    }

    /// What every operation that adds or takes bytes at the front begins with.
    #[inline]
    pub(super) fn begin_front(&mut self) -> Result<(), BufferError> {
        if self.flags & (FRONT | RESERVED) != 0 {
            self.thaw_or_refuse(End::Front)?;
        }
        Ok(())
    }

    #[cold]
    fn thaw_or_refuse(&mut self, end: End) -> Result<(), BufferError> {
        if self.is_frozen(end) {
            return Err(BufferError::Frozen(end));
        }
        self.forget_reservation();
        Ok(())
    }

    /// Whether `n` more bytes can be counted.
    #[inline]
    pub(super) fn check_len(&self, n: usize) -> Result<(), BufferError> {
        if n > Buffer::MAX_LEN - self.len {
            return Err(BufferError::TooLong {
                limit: Buffer::MAX_LEN,
            });
        }
        Ok(())
    }

    #[inline]
    pub(super) fn forget_reservation(&mut self) {
        if self.flags & RESERVED != 0 {
            self.drop_reservation();
        }
    }

    #[cold]
    fn drop_reservation(&mut self) {
        self.flags &= !RESERVED;
        self.reserved = 0;
        self.pop_empty_tail();
    }

    /// Drops the last segment if it has no bytes.
    pub(super) fn pop_empty_tail(&mut self) {
        if self.tail_mut().is_empty() {
            let popped = self.rest.as_mut().and_then(|rest| rest.segments.pop_back());
            match popped {
                Some(_) => self.tidy_rest(),
                None => self.head = Segment::NONE,
            }
        }
    }

    /// The last segment, or none.
    #[inline]
    pub(super) fn tail_mut(&mut self) -> &mut Segment {
        match &mut self.rest {
            Some(rest) if !rest.segments.is_empty() => {
                let last = rest.segments.len() - 1;
                &mut rest.segments[last]
            }
            _ => &mut self.head,
        }
    }

    /// Whether there are segments after the first one.
    #[inline]
    pub(super) fn has_more(&self) -> bool {
        self.rest
            .as_ref()
            .is_some_and(|rest| !rest.segments.is_empty())
    }

    #[inline]
    pub(super) fn rest_mut(&mut self) -> &mut Rest {
        self.rest.get_or_insert_with(pool::take_rest)
    }

    /// Gives the list of further segments back once there are none.
    #[inline]
    pub(super) fn tidy_rest(&mut self) {
        if self.rest.as_ref().is_some_and(|rest| rest.is_unused())
            && let Some(rest) = self.rest.take()
        {
            pool::give_rest(rest);
        }
    }

    /// All segments in order.
    #[inline]
    pub(super) fn segments(&self) -> impl Iterator<Item = &Segment> {
        let rest = self
            .rest
            .as_ref()
            .map(|rest| rest.segments.iter())
            .unwrap_or_default();
        std::iter::once(&self.head).chain(rest)
    }

    /// Puts a segment behind the others and counts its bytes.
    #[inline]
    pub(super) fn push_back(&mut self, segment: Segment) {
        self.len += segment.len();
        if self.head.is_none() {
            self.head = segment;
        } else {
            self.rest_mut().segments.push_back(segment);
        }
    }

    /// Puts a segment in front of the others and counts its bytes.
    pub(super) fn push_front(&mut self, segment: Segment) {
        self.len += segment.len();
        let old = mem::replace(&mut self.head, segment);
        if !old.is_none() {
            self.rest_mut().segments.push_front(old);
        }
    }

    /// Takes the first segment out and counts its bytes off.
    #[inline]
    pub(super) fn pop_front(&mut self) -> Segment {
        let next = match &mut self.rest {
            None => Segment::NONE,
            Some(rest) => {
                let next = rest.segments.pop_front().unwrap_or(Segment::NONE);
                self.tidy_rest();
                next
            }
        };
        let first = mem::replace(&mut self.head, next);
        self.len -= first.len();
        if self.len == 0 {
            self.flags &= !FILES;
        }
        first
    }

    /// Drops the first `n` bytes, which must exist.
    #[inline]
    pub(super) fn drop_front(&mut self, n: usize) {
        if n < self.head.len() {
            self.head.advance(n);
            self.len -= n;
        } else {
            self.drop_segments(n);
        }
    }

    fn drop_segments(&mut self, mut n: usize) {
        while n > 0 {
            let len = self.head.len();
            if n < len {
                self.head.advance(n);
                self.len -= n;
                return;
            }
            n -= len;
            // The segment goes last, when the buffer is in order: its release hook may do anything.
            drop(self.pop_front());
        }
    }

    /// Copies bytes behind the others. The caller has checked.
    pub(super) fn copy_in(&mut self, mut data: &[u8]) {
        let n = self.tail_mut().fill(data);
        self.len += n;
        data = &data[n..];
        while !data.is_empty() {
            let mut segment = Segment::block(Extent::take(self.next_class(data.len())), 0);
            let n = segment.fill(data);
            data = &data[n..];
            self.push_back(segment);
        }
    }

    /// What block to take when `n` more bytes must go somewhere: small at first, because most
    /// buffers stay small, then larger, because those that grow go on growing.
    #[inline]
    pub(super) fn next_class(&self, n: usize) -> BlockClass {
        let ahead = if self.len < BlockClass::B512.capacity() {
            0
        } else {
            self.len * 2
        };
        BlockClass::fitting(n.max(ahead.min(GROWTH)))
    }

    /// What every operation that changed something ends with.
    #[inline]
    pub(super) fn changed(&mut self, before_len: usize, added: usize, removed: usize) {
        if self.flags & OBSERVED != 0 && added + removed > 0 {
            self.notify(Change {
                before_len,
                added,
                removed,
            });
        }
    }

    #[cold]
    fn notify(&mut self, change: Change) {
        if let Some(rest) = &mut self.rest {
            rest.observers.notify(&change);
        }
    }
}

impl Rest {
    fn is_unused(&self) -> bool {
        self.segments.is_empty() && self.observers.is_empty()
    }

    /// Whether it is worth keeping for another buffer.
    pub(super) fn is_plain(&self) -> bool {
        self.is_unused() && self.segments.capacity() <= KEPT_SEGMENTS
    }
}

impl End {
    #[inline]
    fn flag(self) -> u8 {
        match self {
            End::Front => FRONT,
            End::Back => BACK,
        }
    }
}

impl Drop for Buffer {
    #[inline]
    fn drop(&mut self) {
        if let Some(mut rest) = self.rest.take() {
            rest.observers = Observers::default();
            rest.segments.clear();
            pool::give_rest(rest);
        }
    }
}

const _: () = assert!(size_of::<Buffer>() <= 48);
