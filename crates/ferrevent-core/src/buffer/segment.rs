//! Segments: the links of a buffer's chain.

use std::{fs::File, mem, ops::Range, ptr, sync::Arc};

use bytes::Bytes;

use super::{block::Extent, pool};

/// A run of consecutive bytes somewhere: `start..end` of its storage.
///
/// Whether it may be written is never noted anywhere: it may if it is the only owner of a block.
pub(super) struct Segment {
    storage: Storage,
    start: u32,
    end: u32,
}

/// A part of a file whose bytes are not in memory.
///
/// ```
/// use std::{fs::File, sync::Arc};
/// use ferrevent_core::buffer::Buffer;
///
/// let file = Arc::new(File::open("Cargo.toml")?);
/// let mut buffer = Buffer::new();
/// buffer.append_file(file, 2, 10)?;
/// buffer.drain(3)?;
/// let range = buffer.front_file().unwrap();
/// assert_eq!((range.offset, range.len), (5, 7));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FileRangeRef<'a> {
    /// The file.
    pub file: &'a Arc<File>,
    /// Where the range begins, in bytes from the start of the file.
    pub offset: u64,
    /// How many bytes it has. The file itself may turn out to be shorter.
    pub len: usize,
}

/// The most bytes in one segment. Longer references and file ranges become several segments.
pub(super) const MAX_SEGMENT: usize = if usize::BITS > 32 {
    0xffff_f000
} else {
    0x4000_0000
};

enum Storage {
    None,
    Block(Extent),
    Foreign(Foreign),
    File(Arc<FileSource>),
}

/// Memory of somebody else. Each segment has a handle of its own to it, in a box that goes back
/// to the pool.
struct Foreign(
    /// None only while it is being dropped.
    Option<Box<Option<Bytes>>>,
);

impl Foreign {
    #[inline]
    fn new(bytes: Bytes) -> Foreign {
        Foreign(Some(pool::take_box(bytes)))
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        self.handle().map_or(&[], |bytes| bytes)
    }

    #[inline]
    fn handle(&self) -> Option<&Bytes> {
        self.0.as_ref()?.as_ref().as_ref()
    }

    fn share(&self) -> Foreign {
        Foreign(self.handle().cloned().map(pool::take_box))
    }
}

impl Drop for Foreign {
    #[inline]
    fn drop(&mut self) {
        if let Some(mut bytes) = self.0.take() {
            // The memory goes first: its release hook may do anything.
            drop(bytes.take());
            pool::give_box(bytes);
        }
    }
}

/// Where a file segment's position 0 is.
struct FileSource {
    file: Arc<File>,
    offset: u64,
}

impl Segment {
    /// What an empty buffer has for a first segment.
    pub(super) const NONE: Segment = Segment {
        storage: Storage::None,
        start: 0,
        end: 0,
    };

    /// The first `filled` bytes of a block.
    #[inline]
    pub(super) fn block(extent: Extent, filled: usize) -> Segment {
        let start = extent.origin();
        Segment::new(Storage::Block(extent), start..start + filled)
    }

    /// No bytes, with all the room in front of them.
    pub(super) fn block_from_behind(extent: Extent) -> Segment {
        let end = extent.capacity();
        Segment::new(Storage::Block(extent), end..end)
    }

    /// At most [`MAX_SEGMENT`] bytes of foreign memory.
    #[inline]
    pub(super) fn foreign(bytes: Bytes) -> Segment {
        let len = bytes.len();
        Segment::new(Storage::Foreign(Foreign::new(bytes)), 0..len)
    }

    /// At most [`MAX_SEGMENT`] bytes of a file.
    pub(super) fn file(file: Arc<File>, offset: u64, len: usize) -> Segment {
        Segment::new(Storage::File(Arc::new(FileSource { file, offset })), 0..len)
    }

    #[inline]
    fn new(storage: Storage, range: Range<usize>) -> Segment {
        debug_assert!(range.end <= MAX_SEGMENT || range.is_empty());
        Segment {
            storage,
            start: range.start as u32,
            end: range.end as u32,
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    #[inline]
    pub(super) fn is_none(&self) -> bool {
        matches!(self.storage, Storage::None)
    }

    #[inline]
    pub(super) fn is_file(&self) -> bool {
        matches!(self.storage, Storage::File(_))
    }

    #[inline]
    pub(super) fn is_block(&self) -> bool {
        matches!(self.storage, Storage::Block(_))
    }

    /// Leaves [`Segment::NONE`] behind.
    #[inline]
    pub(super) fn take(&mut self) -> Segment {
        mem::replace(self, Segment::NONE)
    }

    /// The bytes; none for a file range.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        let range = self.start as usize..self.end as usize;
        match &self.storage {
            Storage::None | Storage::File(_) => &[],
            Storage::Block(extent) => &extent.bytes()[range],
            Storage::Foreign(foreign) => &foreign.bytes()[range],
        }
    }

    /// The bytes, to change in place, if this is their only owner.
    pub(super) fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        let Storage::Block(extent) = &mut self.storage else {
            return None;
        };
        extent
            .bytes_mut()
            .map(|bytes| &mut bytes[self.start as usize..self.end as usize])
    }

    /// The foreign memory itself, if that is what `..n` of this segment is.
    pub(super) fn foreign_bytes(&self, n: usize) -> Option<Bytes> {
        let Storage::Foreign(foreign) = &self.storage else {
            return None;
        };
        let start = self.start as usize;
        foreign.handle().map(|bytes| bytes.slice(start..start + n))
    }

    pub(super) fn file_range(&self) -> Option<FileRangeRef<'_>> {
        let Storage::File(source) = &self.storage else {
            return None;
        };
        Some(FileRangeRef {
            file: &source.file,
            offset: source.offset + u64::from(self.start),
            len: self.len(),
        })
    }

    /// Drops the first `n` bytes, which must exist.
    #[inline]
    pub(super) fn advance(&mut self, n: usize) {
        debug_assert!(n <= self.len());
        self.start += n as u32;
    }

    /// Counts `n` bytes that were written to the [room](Self::room_mut) behind.
    #[inline]
    pub(super) fn extend(&mut self, n: usize) {
        self.end += n as u32;
    }

    /// The same first `n` bytes once more, by reference.
    #[inline]
    pub(super) fn share(&self, n: usize) -> Segment {
        debug_assert!(n <= self.len());
        let storage = match &self.storage {
            Storage::None => Storage::None,
            Storage::Block(extent) => Storage::Block(extent.share()),
            Storage::Foreign(foreign) => Storage::Foreign(foreign.share()),
            Storage::File(source) => Storage::File(Arc::clone(source)),
        };
        Segment {
            storage,
            start: self.start,
            end: self.start + n as u32,
        }
    }

    /// Takes `next` into this segment if it continues it in the same memory or file.
    pub(super) fn join(&mut self, next: &Segment) -> bool {
        let same = match (&self.storage, &next.storage) {
            (Storage::Block(a), Storage::Block(b)) => a.same(b),
            (Storage::Foreign(a), Storage::Foreign(b)) => ptr::eq(a.bytes(), b.bytes()),
            (Storage::File(a), Storage::File(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        let joins = same && self.end == next.start;
        if joins {
            self.end = next.end;
        }
        joins
    }

    /// The room behind the bytes, if this is the only owner.
    #[inline]
    pub(super) fn room_mut(&mut self) -> &mut [u8] {
        match &mut self.storage {
            Storage::Block(extent) if extent.capacity() != self.end as usize => {
                match extent.bytes_mut() {
                    Some(bytes) => &mut bytes[self.end as usize..],
                    None => &mut [],
                }
            }
            _ => &mut [],
        }
    }

    /// Copies as much of the start of `data` as there is room for behind, and says how much.
    #[inline]
    pub(super) fn fill(&mut self, data: &[u8]) -> usize {
        let room = self.room_mut();
        let n = data.len().min(room.len());
        room[..n].copy_from_slice(&data[..n]);
        self.end += n as u32;
        n
    }

    /// Copies all of `data` behind if there is room for it.
    #[inline]
    pub(super) fn fill_all(&mut self, data: &[u8]) -> bool {
        // Looking at the size first spares the look at the reference count.
        let Storage::Block(extent) = &mut self.storage else {
            return false;
        };
        let end = self.end as usize;
        if extent.capacity() - end < data.len() {
            return false;
        }
        let Some(bytes) = extent.bytes_mut() else {
            return false;
        };
        bytes[end..end + data.len()].copy_from_slice(data);
        self.end += data.len() as u32;
        true
    }

    /// Copies as much of the end of `data` as there is room for in front, and says how much.
    pub(super) fn fill_front(&mut self, data: &[u8]) -> usize {
        let start = self.start as usize;
        let Storage::Block(extent) = &mut self.storage else {
            return 0;
        };
        if start == 0 {
            return 0;
        }
        let Some(bytes) = extent.bytes_mut() else {
            return 0;
        };
        let n = data.len().min(start);
        bytes[start - n..start].copy_from_slice(&data[data.len() - n..]);
        self.start -= n as u32;
        n
    }

    /// Makes room for `n` bytes in all, moving those there are to the start of the block if
    /// need be. Says whether that could be done.
    pub(super) fn make_room(&mut self, n: usize) -> bool {
        let range = self.start as usize..self.end as usize;
        let Storage::Block(extent) = &mut self.storage else {
            return false;
        };
        let origin = extent.origin();
        if extent.capacity() - origin < n {
            return false;
        }
        let missing = n.saturating_sub(range.len());
        let Some(bytes) = extent.bytes_mut() else {
            return false;
        };
        if bytes.len() - range.end < missing {
            let len = range.len();
            bytes.copy_within(range, origin);
            self.start = origin as u32;
            self.end = (origin + len) as u32;
        }
        true
    }
}

const _: () = assert!(size_of::<Segment>() <= 24);
