//! Adding bytes.

use std::{any::Any, fs::File, sync::Arc};

use bytes::Bytes;

use super::{
    block::{Block, BlockClass, Extent},
    chain::{BACK, Buffer, FILES, OBSERVED, RESERVED, SMALL},
    error::{BufferError, End},
    segment::{MAX_SEGMENT, Segment},
};

/// Blocks that arrive with no more than this are emptied into the tail or a smaller block.
pub(super) const SPARSE: usize = 1024;

impl Buffer {
    /// Copies `data` to the back.
    ///
    /// # Errors
    ///
    /// [`BufferError::Frozen`] if the back is frozen; [`BufferError::TooLong`] beyond
    /// [`Buffer::MAX_LEN`].
    ///
    /// ```
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let mut buffer = Buffer::new();
    /// buffer.append(b"ab")?;
    /// buffer.append(b"cd")?;
    /// assert_eq!(buffer, *b"abcd");
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    #[inline]
    pub fn append(&mut self, data: &[u8]) -> Result<(), BufferError> {
        if self.flags & (BACK | RESERVED | OBSERVED) == 0
            && data.len() <= Buffer::MAX_LEN - self.len
            && self.tail_mut().fill_all(data)
        {
            self.len += data.len();
            return Ok(());
        }
        if self.flags == 0 && self.head.is_none() && data.len() <= SMALL {
            self.begin_with(data);
            return Ok(());
        }
        self.append_slow(data)
    }

    /// The first bytes of an empty buffer, if they are few.
    fn begin_with(&mut self, data: &[u8]) {
        if !data.is_empty() {
            let mut segment = Segment::block(Extent::take(BlockClass::B512), 0);
            segment.fill(data);
            self.len = segment.len();
            self.head = segment;
        }
    }

    #[inline(never)]
    fn append_slow(&mut self, data: &[u8]) -> Result<(), BufferError> {
        self.begin_append(data.len())?;
        let before = self.len;
        self.copy_in(data);
        self.changed(before, data.len(), 0);
        Ok(())
    }

    /// Copies `data` to the front, into the room that draining left there if there is any.
    ///
    /// # Errors
    ///
    /// [`BufferError::Frozen`] if the front is frozen; [`BufferError::TooLong`] beyond
    /// [`Buffer::MAX_LEN`].
    ///
    /// ```
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let mut buffer = Buffer::from(b"body".as_slice());
    /// buffer.prepend(b"head ")?;
    /// assert_eq!(buffer, *b"head body");
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    pub fn prepend(&mut self, data: &[u8]) -> Result<(), BufferError> {
        self.begin_front()?;
        self.check_len(data.len())?;
        let before = self.len;
        let mut left = data;
        let n = self.head.fill_front(left);
        self.len += n;
        left = &left[..left.len() - n];
        while !left.is_empty() {
            let mut segment = Segment::block_from_behind(Extent::at_least(
                left.len().min(BlockClass::K64.capacity()),
            ));
            let n = segment.fill_front(left);
            left = &left[..left.len() - n];
            self.push_front(segment);
        }
        self.changed(before, data.len(), 0);
        Ok(())
    }

    /// Adopts the first `filled` bytes of a block at the back, without copying them; or, if there
    /// are at most 1024 of them, copies them into the room behind the last segment or into a
    /// smaller block and gives the block back to the pool at once, so that ten bytes never hold
    /// 16 KiB.
    ///
    /// # Errors
    ///
    /// [`BufferError::OutOfRange`] if `filled` is more than the block's capacity;
    /// [`BufferError::Frozen`] if the back is frozen; [`BufferError::TooLong`] beyond
    /// [`Buffer::MAX_LEN`]. The block then goes back to the pool.
    ///
    /// ```
    /// use ferrevent_core::buffer::{Block, BlockClass, Buffer};
    ///
    /// let mut block = Block::take(BlockClass::K16);
    /// block.as_mut_slice()[..2000].fill(7);
    /// let mut buffer = Buffer::new();
    /// buffer.append_block(block, 2000)?;
    /// assert_eq!(buffer.chunk(), [7; 2000]);
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    pub fn append_block(&mut self, block: Block, filled: usize) -> Result<(), BufferError> {
        check_filled(&block, filled)?;
        self.begin_append(filled)?;
        let before = self.len;
        let dense = filled > SPARSE || (before == 0 && block.fits(filled));
        if dense && filled > 0 {
            self.push_back(Segment::block(block.into_extent(), filled));
        } else if self.tail_mut().fill_all(&block.as_slice()[..filled]) {
            self.len += filled;
        } else if filled > 0 {
            self.push_back(dense_segment(block, filled));
        }
        self.changed(before, filled, 0);
        Ok(())
    }

    /// Adds a reference to `bytes` at the back. Up to 512 bytes are copied instead, and the
    /// reference is dropped.
    ///
    /// # Errors
    ///
    /// [`BufferError::Frozen`] if the back is frozen; [`BufferError::TooLong`] beyond
    /// [`Buffer::MAX_LEN`].
    ///
    /// ```
    /// use bytes::Bytes;
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let page = Bytes::from(vec![b'.'; 100_000]);
    /// let mut buffer = Buffer::new();
    /// buffer.append_bytes(page.clone())?;
    /// assert_eq!(buffer.chunk().as_ptr(), page.as_ptr());
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    #[inline]
    pub fn append_bytes(&mut self, bytes: Bytes) -> Result<(), BufferError> {
        if bytes.len() <= SMALL {
            return self.append(&bytes);
        }
        self.append_foreign(bytes)
    }

    /// Adds a reference to memory of somebody else at the back, however short it is. The owner is
    /// dropped when the last of its bytes has left this and every other buffer and view.
    ///
    /// # Errors
    ///
    /// [`BufferError::Frozen`] if the back is frozen; [`BufferError::TooLong`] beyond
    /// [`Buffer::MAX_LEN`]. The owner is then dropped.
    ///
    /// ```
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let mut buffer = Buffer::new();
    /// buffer.append_reference("a constant")?;
    /// buffer.append_reference(vec![b'!'; 3])?;
    /// assert_eq!(buffer, *b"a constant!!!");
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    #[inline]
    pub fn append_reference<T>(&mut self, data: T) -> Result<(), BufferError>
    where
        T: AsRef<[u8]> + Send + Sync + 'static,
    {
        // What `Bytes` can hold without a box of its own. All this is decided at compile time.
        let any: &dyn Any = &data;
        let bytes = if let Some(data) = any.downcast_ref::<&'static [u8]>() {
            Bytes::from_static(data)
        } else if let Some(data) = any.downcast_ref::<&'static str>() {
            Bytes::from_static(data.as_bytes())
        } else {
            Bytes::from_owner(data)
        };
        self.append_foreign(bytes)
    }

    /// As [`append_reference`](Buffer::append_reference), and calls `release` once, after the last
    /// of the bytes has left this and every other buffer, [share](Buffer::share) and
    /// [pinned view](Buffer::pin), and after `data` was dropped.
    ///
    /// The hook runs on the thread and inside the operation that drops the last byte. It must not
    /// panic.
    ///
    /// # Errors
    ///
    /// As [`append_reference`](Buffer::append_reference); `release` is then called at once.
    ///
    /// ```
    /// use std::sync::{Arc, atomic::{AtomicBool, Ordering::Relaxed}};
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let released = Arc::new(AtomicBool::new(false));
    /// let flag = Arc::clone(&released);
    /// let mut buffer = Buffer::new();
    /// buffer.append_reference_with("borrowed", move || flag.store(true, Relaxed))?;
    /// buffer.drain(7)?;
    /// assert!(!released.load(Relaxed));
    /// buffer.drain(1)?;
    /// assert!(released.load(Relaxed));
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    pub fn append_reference_with<T, F>(&mut self, data: T, release: F) -> Result<(), BufferError>
    where
        T: AsRef<[u8]> + Send + Sync + 'static,
        F: FnOnce() + Send + 'static,
    {
        let release = Release(Some(release));
        self.append_foreign(Bytes::from_owner(Hooked {
            data,
            _release: release,
        }))
    }

    #[inline]
    fn append_foreign(&mut self, bytes: Bytes) -> Result<(), BufferError> {
        if self.flags == 0 && self.head.is_none() && bytes.len() <= MAX_SEGMENT {
            if !bytes.is_empty() {
                self.len = bytes.len();
                self.head = Segment::foreign(bytes);
            }
            return Ok(());
        }
        self.append_foreign_slow(bytes)
    }

    fn append_foreign_slow(&mut self, mut bytes: Bytes) -> Result<(), BufferError> {
        let n = bytes.len();
        self.begin_append(n)?;
        let before = self.len;
        while bytes.len() > MAX_SEGMENT {
            self.push_back(Segment::foreign(bytes.split_to(MAX_SEGMENT)));
        }
        if !bytes.is_empty() {
            self.push_back(Segment::foreign(bytes));
        }
        self.changed(before, n, 0);
        Ok(())
    }

    /// Adds `len` bytes of a file, from `offset` on, at the back. They count as bytes of the
    /// buffer but are not read: a backend sends them from the file, or
    /// [fills](Buffer::fill_front_file) them with blocks.
    ///
    /// Whether the file has these bytes shows when they are sent.
    ///
    /// # Errors
    ///
    /// [`BufferError::Frozen`] if the back is frozen; [`BufferError::TooLong`] beyond
    /// [`Buffer::MAX_LEN`] or if `offset + len` is more than [`i64::MAX`], which no file can be.
    ///
    /// ```
    /// use std::{fs::File, sync::Arc};
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let mut buffer = Buffer::from(b"head".as_slice());
    /// buffer.append_file(Arc::new(File::open("Cargo.toml")?), 0, 20)?;
    /// assert_eq!(buffer.len(), 24);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn append_file(
        &mut self,
        file: Arc<File>,
        offset: u64,
        len: usize,
    ) -> Result<(), BufferError> {
        let limit = i64::MAX as u64;
        if offset > limit || len as u64 > limit - offset {
            let limit = usize::try_from(limit.saturating_sub(offset)).unwrap_or(usize::MAX);
            return Err(BufferError::TooLong {
                limit: limit.min(Buffer::MAX_LEN),
            });
        }
        self.begin_append(len)?;
        let before = self.len;
        let mut offset = offset;
        let mut left = len;
        while left > 0 {
            let n = left.min(MAX_SEGMENT);
            self.push_back(Segment::file(Arc::clone(&file), offset, n));
            offset += n as u64;
            left -= n;
        }
        if len > 0 {
            self.flags |= FILES;
        }
        self.changed(before, len, 0);
        Ok(())
    }

    /// Room for at least `n` bytes, and at least one, in one extent behind the last byte, to be
    /// written and then [committed](Buffer::commit).
    ///
    /// The room often is larger than asked for. What stands in it is unspecified. A reservation
    /// lasts until the next operation that changes the buffer: bytes that were written but not
    /// committed by then are forgotten. A buffer that is empty but for a reservation does own
    /// memory; `commit(0)` gives it back.
    ///
    /// # Errors
    ///
    /// [`BufferError::Frozen`] if the back is frozen; [`BufferError::TooLong`] beyond
    /// [`Buffer::MAX_EXTENT`] or [`Buffer::MAX_LEN`].
    ///
    /// ```
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let mut buffer = Buffer::new();
    /// let room = buffer.reserve(100)?;
    /// room[..3].copy_from_slice(b"abc");
    /// buffer.commit(3)?;
    /// assert_eq!(buffer, *b"abc");
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    pub fn reserve(&mut self, n: usize) -> Result<&mut [u8], BufferError> {
        if n > Buffer::MAX_EXTENT {
            return Err(BufferError::TooLong {
                limit: Buffer::MAX_EXTENT,
            });
        }
        self.begin_append(n)?;
        if self.tail_mut().room_mut().len() < n.max(1) {
            let n = n.max(self.next_class(n).capacity());
            self.push_back(Segment::block(Extent::at_least(n), 0));
        }
        let most = Buffer::MAX_LEN - self.len;
        let reserved = self.tail_mut().room_mut().len().min(most);
        self.reserved = reserved as u32;
        self.flags |= RESERVED;
        Ok(&mut self.tail_mut().room_mut()[..reserved])
    }

    /// Counts the first `n` bytes of the reserved room as bytes of the buffer, and ends the
    /// reservation. Without a reservation only `commit(0)` succeeds.
    ///
    /// # Errors
    ///
    /// [`BufferError::OutOfRange`] if `n` is more than was reserved; [`BufferError::Frozen`] if
    /// the back was frozen since. The reservation then goes on.
    ///
    /// ```
    /// use ferrevent_core::buffer::{Buffer, BufferError};
    ///
    /// let mut buffer = Buffer::new();
    /// let room = buffer.reserve(8)?.len();
    /// let refused = Err(BufferError::OutOfRange { asked: room + 1, limit: room });
    /// assert_eq!(buffer.commit(room + 1), refused);
    /// assert_eq!(buffer.commit(8), Ok(()));
    /// assert_eq!(buffer.len(), 8);
    /// # Ok::<(), BufferError>(())
    /// ```
    pub fn commit(&mut self, n: usize) -> Result<(), BufferError> {
        if self.is_frozen(End::Back) {
            return Err(BufferError::Frozen(End::Back));
        }
        let limit = self.reserved as usize;
        if n > limit {
            return Err(BufferError::OutOfRange { asked: n, limit });
        }
        let before = self.len;
        if n > 0 {
            self.tail_mut().extend(n);
            self.len += n;
        }
        self.forget_reservation();
        self.changed(before, n, 0);
        Ok(())
    }
}

/// Whether a block can hold this many bytes.
pub(super) fn check_filled(block: &Block, filled: usize) -> Result<(), BufferError> {
    let limit = block.capacity();
    if filled > limit {
        return Err(BufferError::OutOfRange {
            asked: filled,
            limit,
        });
    }
    Ok(())
}

/// A segment of the first `filled` bytes of a block, in a smaller block if they are few.
pub(super) fn dense_segment(block: Block, filled: usize) -> Segment {
    if block.is_worth(filled) {
        return Segment::block(block.into_extent(), filled);
    }
    let mut segment = Segment::block(Extent::take(BlockClass::fitting(filled)), 0);
    segment.fill(&block.as_slice()[..filled]);
    segment
}

/// Foreign memory with a release hook. The fields are dropped in this order.
struct Hooked<T, F: FnOnce()> {
    data: T,
    _release: Release<F>,
}

impl<T: AsRef<[u8]>, F: FnOnce()> AsRef<[u8]> for Hooked<T, F> {
    fn as_ref(&self) -> &[u8] {
        self.data.as_ref()
    }
}

struct Release<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for Release<F> {
    fn drop(&mut self) {
        if let Some(release) = self.0.take() {
            release();
        }
    }
}
