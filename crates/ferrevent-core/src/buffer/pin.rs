//! Pinned views: what the kernel reads from while a send is under way.

use std::{fmt, io::IoSlice};

use super::{
    chain::Buffer,
    segment::{FileRangeRef, Segment},
};

/// A reference-counted view of the bytes at the front of a buffer.
///
/// The bytes stay where they are, unchanged, until the view is dropped, whatever happens to the
/// buffer: a kernel may be reading them. They still count as bytes of the buffer. Usually its
/// front is [frozen](Buffer::freeze) while there is a view, and what was sent is then drained.
///
/// A view shows either bytes in memory or one file range. One segment costs no allocation.
///
/// ```
/// use ferrevent_core::buffer::{Buffer, End};
///
/// let mut output = Buffer::from(b"response".as_slice());
/// let pinned = output.pin(usize::MAX, 16);
/// output.freeze(End::Front);
///
/// // ... the kernel takes 4 bytes of:
/// assert_eq!(pinned.single(), Some(b"response".as_slice()));
///
/// drop(pinned);
/// output.unfreeze(End::Front);
/// output.drain(4)?;
/// assert_eq!(output, *b"onse");
/// # Ok::<(), ferrevent_core::buffer::BufferError>(())
/// ```
pub struct Pinned {
    first: Segment,
    more: Vec<Segment>,
    len: usize,
}

/// The most segments that one view holds.
const MAX_SEGMENTS: usize = 64;

impl Buffer {
    /// A view of the first bytes: at most `max_bytes` of them, in at most `max_segments` segments
    /// (and never more than 64), up to the first file range. If the buffer begins with a file
    /// range, the view is of that range alone.
    ///
    /// Freezing the front for as long as the view lasts is up to the caller.
    ///
    /// ```
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let buffer = Buffer::from(b"abcdef".as_slice());
    /// assert_eq!(buffer.pin(4, 1).len(), 4);
    /// assert!(buffer.pin(4, 0).is_empty());
    /// ```
    #[inline]
    pub fn pin(&self, max_bytes: usize, max_segments: usize) -> Pinned {
        let mut pinned = Pinned {
            first: Segment::NONE,
            more: Vec::new(),
            len: 0,
        };
        let n = self.head.len().min(max_bytes);
        if n == 0 || max_segments == 0 {
            return pinned;
        }
        pinned.first = self.head.share(n);
        pinned.len = n;
        if n < max_bytes && max_segments > 1 && self.has_more() && !self.head.is_file() {
            self.pin_more(&mut pinned, max_bytes, max_segments.min(MAX_SEGMENTS));
        }
        pinned
    }

    fn pin_more(&self, pinned: &mut Pinned, max_bytes: usize, max_segments: usize) {
        for segment in self.segments().take(max_segments).skip(1) {
            let n = segment.len().min(max_bytes - pinned.len);
            if n == 0 || segment.is_file() {
                break;
            }
            pinned.more.push(segment.share(n));
            pinned.len += n;
        }
    }
}

impl Pinned {
    /// The number of bytes, in memory or in the file range.
    ///
    /// ```
    /// use ferrevent_core::buffer::Buffer;
    /// assert_eq!(Buffer::from(b"abc".as_slice()).pin(9, 1).len(), 3);
    /// ```
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no byte.
    ///
    /// ```
    /// use ferrevent_core::buffer::Buffer;
    /// assert!(Buffer::new().pin(9, 1).is_empty());
    /// ```
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All the bytes, if they are in memory in one piece and there is at least one.
    ///
    /// ```
    /// use ferrevent_core::buffer::Buffer;
    /// assert_eq!(Buffer::from(b"abc".as_slice()).pin(2, 1).single(), Some(b"ab".as_slice()));
    /// ```
    #[inline]
    pub fn single(&self) -> Option<&[u8]> {
        let bytes = self.first.bytes();
        (!bytes.is_empty() && bytes.len() == self.len).then_some(bytes)
    }

    /// The file range, if that is what the view is of.
    ///
    /// ```
    /// use std::{fs::File, sync::Arc};
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let mut buffer = Buffer::new();
    /// buffer.append_file(Arc::new(File::open("Cargo.toml")?), 0, 10)?;
    /// let pinned = buffer.pin(4, 1);
    /// assert_eq!(pinned.file_range().map(|range| range.len), Some(4));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[inline]
    pub fn file_range(&self) -> Option<FileRangeRef<'_>> {
        self.first.file_range()
    }

    /// Fills `slices` with the bytes after the first `skip`, and returns how many slices it set:
    /// none if there are no more bytes, or if the view is of a file range.
    ///
    /// ```
    /// use std::io::IoSlice;
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let mut buffer = Buffer::from(b"abc".as_slice());
    /// buffer.append_reference("def")?;
    /// let pinned = buffer.pin(usize::MAX, 16);
    /// let mut slices = [IoSlice::new(&[]); 16];
    /// assert_eq!(pinned.io_slices(4, &mut slices), 1);
    /// assert_eq!(&*slices[0], b"ef");
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    pub fn io_slices<'a>(&'a self, skip: usize, slices: &mut [IoSlice<'a>]) -> usize {
        let mut skip = skip;
        let mut count = 0;
        for segment in std::iter::once(&self.first).chain(&self.more) {
            let bytes = segment.bytes();
            if skip >= bytes.len() {
                skip -= bytes.len();
                continue;
            }
            let Some(slice) = slices.get_mut(count) else {
                break;
            };
            *slice = IoSlice::new(&bytes[skip..]);
            skip = 0;
            count += 1;
        }
        count
    }
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinned")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}
