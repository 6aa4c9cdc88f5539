//! Looking at bytes where they are.

use std::{collections::vec_deque, io::IoSlice};

use super::{
    append::{check_filled, dense_segment},
    block::{Block, Extent},
    chain::{Buffer, FILES, FRONT},
    error::{BufferError, End},
    segment::{FileRangeRef, Segment},
};

/// One contiguous part of a buffer, as [`Buffer::chunks`] gives them.
///
/// ```
/// use ferrevent_core::buffer::{Buffer, Chunk};
///
/// let buffer = Buffer::from(b"abc".as_slice());
/// let in_memory = buffer.chunks().all(|chunk| matches!(chunk, Chunk::Bytes(_)));
/// assert!(in_memory);
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Chunk<'a> {
    /// Bytes in memory; never none.
    Bytes(&'a [u8]),
    /// Bytes in a file.
    File(FileRangeRef<'a>),
}

impl Chunk<'_> {
    /// The number of bytes; never 0.
    ///
    /// ```
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let buffer = Buffer::from(b"abc".as_slice());
    /// let lens: Vec<usize> = buffer.chunks().map(|chunk| chunk.len()).collect();
    /// assert_eq!(lens, [3]);
    /// ```
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        match self {
            Chunk::Bytes(bytes) => bytes.len(),
            Chunk::File(range) => range.len,
        }
    }
}

/// The parts of a buffer in order, from [`Buffer::chunks`].
///
/// ```
/// use ferrevent_core::buffer::{Buffer, Chunks};
///
/// let mut buffer = Buffer::from(b"abc".as_slice());
/// buffer.append_reference("def")?;
/// let mut chunks: Chunks<'_> = buffer.chunks();
/// assert_eq!(chunks.by_ref().count(), 2);
/// assert!(chunks.next().is_none());
/// # Ok::<(), ferrevent_core::buffer::BufferError>(())
/// ```
#[derive(Clone)]
pub struct Chunks<'a> {
    head: Option<&'a Segment>,
    rest: vec_deque::Iter<'a, Segment>,
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        loop {
            let segment = self.head.take().or_else(|| self.rest.next())?;
            if let Some(range) = segment.file_range() {
                return Some(Chunk::File(range));
            }
            // A reserved tail may have none yet.
            if !segment.is_empty() {
                return Some(Chunk::Bytes(segment.bytes()));
            }
        }
    }
}

impl Buffer {
    /// The bytes of the first segment: none if the buffer is empty or begins with a file range.
    ///
    /// ```
    /// use ferrevent_core::buffer::Buffer;
    /// assert_eq!(Buffer::from(b"abc".as_slice()).chunk(), b"abc");
    /// ```
    #[inline]
    pub fn chunk(&self) -> &[u8] {
        self.head.bytes()
    }

    /// All parts in order, file ranges included.
    ///
    /// ```
    /// use ferrevent_core::buffer::{Buffer, Chunk};
    ///
    /// let mut buffer = Buffer::from(b"abc".as_slice());
    /// buffer.append_reference("def")?;
    /// let parts: Vec<&[u8]> = buffer
    ///     .chunks()
    ///     .filter_map(|chunk| match chunk {
    ///         Chunk::Bytes(bytes) => Some(bytes),
    ///         Chunk::File(_) => None,
    ///     })
    ///     .collect();
    /// assert_eq!(parts, [b"abc", b"def"]);
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    pub fn chunks(&self) -> Chunks<'_> {
        let rest = self
            .rest
            .as_ref()
            .map(|rest| rest.segments.iter())
            .unwrap_or_default();
        Chunks {
            head: Some(&self.head),
            rest,
        }
    }

    /// Fills `slices` with the first segments, up to the first file range, and returns how many
    /// it set. The others are left as they were.
    ///
    /// ```
    /// use std::io::IoSlice;
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let mut buffer = Buffer::from(b"abc".as_slice());
    /// buffer.append_reference("def")?;
    /// let mut slices = [IoSlice::new(&[]); 8];
    /// assert_eq!(buffer.io_slices(&mut slices), 2);
    /// assert_eq!(&*slices[1], b"def");
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    pub fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(self.chunks()) {
            let Chunk::Bytes(bytes) = chunk else { break };
            *slice = IoSlice::new(bytes);
            count += 1;
        }
        count
    }

    /// Copies the first bytes to `target`, as many as fit, up to the first file range, and
    /// returns how many that were. The buffer keeps them. Works on a frozen front too.
    ///
    /// # Errors
    ///
    /// [`BufferError::FileRange`] if there is a file range right at the front, and `target` is not
    /// empty.
    ///
    /// ```
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let buffer = Buffer::from(b"abcdef".as_slice());
    /// let mut magic = [0; 2];
    /// assert_eq!(buffer.copy_out(&mut magic)?, 2);
    /// assert_eq!(magic, *b"ab");
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    pub fn copy_out(&self, target: &mut [u8]) -> Result<usize, BufferError> {
        let bytes = self.head.bytes();
        if target.len() <= bytes.len() {
            target.copy_from_slice(&bytes[..target.len()]);
            return Ok(target.len());
        }
        let mut done = 0;
        for segment in self.segments() {
            if segment.is_file() {
                return if done == 0 {
                    Err(BufferError::FileRange)
                } else {
                    Ok(done)
                };
            }
            let bytes = segment.bytes();
            let n = bytes.len().min(target.len() - done);
            target[done..done + n].copy_from_slice(&bytes[..n]);
            done += n;
            if done == target.len() {
                break;
            }
        }
        Ok(done)
    }

    /// The first `min(n, len)` bytes, or more, as one slice. They are copied together only if they
    /// are not in one segment already. Works on a frozen front too: what is pinned stays where it
    /// is.
    ///
    /// # Errors
    ///
    /// [`BufferError::FileRange`] if a file range is among these bytes; [`BufferError::TooLong`]
    /// beyond [`Buffer::MAX_EXTENT`].
    ///
    /// ```
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let mut buffer = Buffer::from(b"abc".as_slice());
    /// buffer.append_reference("def")?;
    /// assert_eq!(&buffer.make_contiguous(4)?[..4], b"abcd");
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    #[inline]
    pub fn make_contiguous(&mut self, n: usize) -> Result<&[u8], BufferError> {
        if n > self.head.bytes().len() {
            self.join_front(n.min(self.len))?;
        }
        Ok(self.head.bytes())
    }

    /// Sees to it that the first `n` bytes (or all, if there are fewer) lie in
    /// one piece that nobody else sees, so that [`front_mut`](Buffer::front_mut)
    /// gives them out. Bytes are copied only where they must be.
    ///
    /// # Errors
    ///
    /// As [`make_contiguous`](Buffer::make_contiguous); [`BufferError::Frozen`] if the front is
    /// frozen.
    ///
    /// ```
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let mut buffer = Buffer::from(b"abc".as_slice());
    /// let shared = buffer.share(3);
    /// buffer.make_mutable(2)?;
    /// buffer.front_mut().unwrap()[0] = b'x';
    /// assert!(buffer == *b"xbc" && shared == *b"abc");
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    pub fn make_mutable(&mut self, n: usize) -> Result<(), BufferError> {
        if self.flags & FRONT != 0 {
            return Err(BufferError::Frozen(End::Front));
        }
        let n = n.min(self.len);
        self.make_contiguous(n)?;
        if n == 0 || self.head.bytes_mut().is_some() {
            return Ok(());
        }
        let mut own = Segment::block(Extent::at_least(n), 0);
        own.fill(&self.head.bytes()[..n]);
        self.drop_front(n);
        self.push_front(own);
        Ok(())
    }

    fn join_front(&mut self, n: usize) -> Result<(), BufferError> {
        self.check_no_file(n)?;
        if n > Buffer::MAX_EXTENT {
            return Err(BufferError::TooLong {
                limit: Buffer::MAX_EXTENT,
            });
        }
        self.forget_reservation();
        if self.head.len() >= n {
            return Ok(());
        }
        let mut joined = self.pop_front();
        if !joined.make_room(n) {
            let mut wider = Segment::block(Extent::at_least(n), 0);
            wider.fill(joined.bytes());
            joined = wider;
        }
        while joined.len() < n {
            let bytes = self.head.bytes();
            let taken = joined.fill(&bytes[..bytes.len().min(n - joined.len())]);
            self.drop_front(taken);
        }
        self.push_front(joined);
        Ok(())
    }

    /// The bytes of the first segment, to change in place (decryption), if no share, pinned view
    /// or foreign owner has them too and the front is not frozen.
    ///
    /// ```
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let mut buffer = Buffer::from(b"secret".as_slice());
    /// buffer.front_mut().unwrap().make_ascii_uppercase();
    /// assert_eq!(buffer, *b"SECRET");
    ///
    /// let share = buffer.share(6);
    /// assert!(buffer.front_mut().is_none());
    /// # drop(share);
    /// ```
    pub fn front_mut(&mut self) -> Option<&mut [u8]> {
        if self.flags & FRONT != 0 || self.head.is_empty() {
            return None;
        }
        self.head.bytes_mut()
    }

    /// The file range that the buffer begins with, if it does. A range longer than 4 GiB comes in
    /// several parts.
    ///
    /// ```
    /// use std::{fs::File, sync::Arc};
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let mut buffer = Buffer::new();
    /// assert!(buffer.front_file().is_none());
    /// buffer.append_file(Arc::new(File::open("Cargo.toml")?), 5, 10)?;
    /// assert_eq!(buffer.front_file().map(|range| (range.offset, range.len)), Some((5, 10)));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn front_file(&self) -> Option<FileRangeRef<'_>> {
        self.head.file_range()
    }

    /// Replaces the first `filled` bytes of the file range at the front by as many bytes of a
    /// block, which the caller has read from there. The length does not change. Works on a frozen
    /// front too.
    ///
    /// Use this where a file cannot be sent as such: in front of a filter, or for a peek.
    ///
    /// # Errors
    ///
    /// [`BufferError::OutOfRange`] if `filled` is more than the block's capacity or than the file
    /// range at the front has, which is 0 if there is none. The block then goes back to the pool.
    ///
    /// ```
    /// use std::{fs::File, io::Read, sync::Arc};
    /// use ferrevent_core::buffer::{Block, BlockClass, Buffer};
    ///
    /// let mut buffer = Buffer::new();
    /// buffer.append_file(Arc::new(File::open("Cargo.toml")?), 0, 9)?;
    ///
    /// let mut block = Block::take(BlockClass::K4);
    /// let range = buffer.front_file().unwrap();
    /// let n = range.file.as_ref().read(&mut block.as_mut_slice()[..range.len])?;
    /// buffer.fill_front_file(block, n)?;
    /// assert_eq!(buffer, *b"[package]");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn fill_front_file(&mut self, block: Block, filled: usize) -> Result<(), BufferError> {
        check_filled(&block, filled)?;
        let limit = self.front_file().map_or(0, |range| range.len);
        if filled > limit {
            return Err(BufferError::OutOfRange {
                asked: filled,
                limit,
            });
        }
        if filled == 0 {
            return Ok(());
        }
        self.forget_reservation();
        self.drop_front(filled);
        // Draining may have emptied the buffer, or not: whether files remain is not known here.
        self.flags |= FILES;
        self.push_front(dense_segment(block, filled));
        Ok(())
    }
}
