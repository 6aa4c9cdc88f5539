//! Taking bytes out, and moving them from buffer to buffer.

use std::mem;

use bytes::Bytes;

use super::{
    chain::{Buffer, FILES, FRONT, OBSERVED, RESERVED, SMALL},
    error::{BufferError, End},
    segment::Segment,
};

impl Buffer {
    /// Drops the first `min(n, len)` bytes and returns how many that were.
    ///
    /// # Errors
    ///
    /// [`BufferError::Frozen`] if the front is frozen.
    ///
    /// ```
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let mut buffer = Buffer::from(b"abcdef".as_slice());
    /// assert_eq!(buffer.drain(4)?, 4);
    /// assert_eq!(buffer.drain(4)?, 2);
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    #[inline]
    pub fn drain(&mut self, n: usize) -> Result<usize, BufferError> {
        if self.flags & (FRONT | RESERVED | OBSERVED) == 0 && n < self.head.len() {
            self.head.advance(n);
            self.len -= n;
            return Ok(n);
        }
        if self.flags == 0 && n == self.len && self.rest.is_none() {
            self.len = 0;
            self.head = Segment::NONE;
            return Ok(n);
        }
        self.begin_front()?;
        let before = self.len;
        let n = n.min(before);
        self.drop_front(n);
        self.changed(before, 0, n);
        Ok(n)
    }

    /// Drops all bytes.
    ///
    /// # Errors
    ///
    /// [`BufferError::Frozen`] if the front is frozen.
    ///
    /// ```
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let mut buffer = Buffer::from(b"abc".as_slice());
    /// buffer.clear()?;
    /// assert!(buffer.is_empty());
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    pub fn clear(&mut self) -> Result<(), BufferError> {
        self.drain(usize::MAX).map(drop)
    }

    /// Moves the first bytes to `target`, as many as fit, up to the first file range, and returns
    /// how many that were.
    ///
    /// # Errors
    ///
    /// [`BufferError::Frozen`] if the front is frozen; [`BufferError::FileRange`] if there is a
    /// file range right at the front, and `target` is not empty.
    ///
    /// ```
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let mut buffer = Buffer::from(b"abcdef".as_slice());
    /// let mut target = [0; 4];
    /// assert_eq!(buffer.read(&mut target)?, 4);
    /// assert_eq!(target, *b"abcd");
    /// assert_eq!(buffer, *b"ef");
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    pub fn read(&mut self, target: &mut [u8]) -> Result<usize, BufferError> {
        self.begin_front()?;
        let before = self.len;
        let n = self.copy_out(target)?;
        self.drop_front(n);
        self.changed(before, 0, n);
        Ok(n)
    }

    /// Moves the first `min(n, len)` bytes into a vector.
    ///
    /// # Errors
    ///
    /// [`BufferError::Frozen`] if the front is frozen; [`BufferError::FileRange`] if a file range
    /// is among these bytes, and nothing is taken.
    ///
    /// ```
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let mut buffer = Buffer::from(b"abcdef".as_slice());
    /// assert_eq!(buffer.take_vec(2)?, b"ab");
    /// assert_eq!(buffer.take_vec(10)?, b"cdef");
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    pub fn take_vec(&mut self, n: usize) -> Result<Vec<u8>, BufferError> {
        self.begin_front()?;
        let n = n.min(self.len);
        self.check_no_file(n)?;
        let mut taken = Vec::with_capacity(n);
        self.move_into(n, &mut taken);
        Ok(taken)
    }

    /// Takes the first `min(n, len)` bytes as [`Bytes`], without copying them if they are in
    /// foreign memory in one piece.
    ///
    /// # Errors
    ///
    /// [`BufferError::Frozen`] if the front is frozen; [`BufferError::FileRange`] if a file range
    /// is among these bytes, and nothing is taken.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let page = Bytes::from(vec![b'.'; 100_000]);
    /// let mut buffer = Buffer::from(page.clone());
    /// assert_eq!(buffer.take_bytes(60_000)?.as_ptr(), page.as_ptr());
    /// assert_eq!(buffer.len(), 40_000);
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    pub fn take_bytes(&mut self, n: usize) -> Result<Bytes, BufferError> {
        self.begin_front()?;
        let before = self.len;
        let n = n.min(before);
        if n <= self.head.len()
            && let Some(bytes) = self.head.foreign_bytes(n)
        {
            self.drop_front(n);
            self.changed(before, 0, n);
            return Ok(bytes);
        }
        self.take_vec(n).map(Bytes::from)
    }

    /// Moves the first `n` bytes, which must exist and be in memory, behind those of a vector.
    pub(super) fn move_into(&mut self, n: usize, target: &mut Vec<u8>) {
        let before = self.len;
        let mut left = n;
        while left > 0 {
            let bytes = self.head.bytes();
            let piece = &bytes[..left.min(bytes.len())];
            target.extend_from_slice(piece);
            left -= piece.len();
            self.drop_front(piece.len());
        }
        self.changed(before, 0, n);
    }

    /// Whether the first `n` bytes, which must exist, are in memory.
    pub(super) fn check_no_file(&self, n: usize) -> Result<(), BufferError> {
        if self.flags & FILES == 0 || n <= self.len_in_memory() {
            return Ok(());
        }
        Err(BufferError::FileRange)
    }

    /// The number of bytes before the first file range.
    pub(crate) fn len_in_memory(&self) -> usize {
        if self.flags & FILES == 0 {
            return self.len;
        }
        self.segments()
            .take_while(|segment| !segment.is_file())
            .map(Segment::len)
            .sum()
    }

    /// Moves all bytes of `source` to the back of this buffer, without copying more than small
    /// pieces.
    ///
    /// # Errors
    ///
    /// [`BufferError::Frozen`] if the front of `source` or the back of this buffer is frozen;
    /// [`BufferError::TooLong`] beyond [`Buffer::MAX_LEN`].
    ///
    /// ```
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let mut input = Buffer::from(b"echo".as_slice());
    /// let mut output = Buffer::new();
    /// output.append_buffer(&mut input)?;
    /// assert!(input.is_empty());
    /// assert_eq!(output, *b"echo");
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    #[inline]
    pub fn append_buffer(&mut self, source: &mut Buffer) -> Result<(), BufferError> {
        let (before, source_before) = (self.len, source.len);
        check_move(self, End::Back, source, source_before)?;
        if before == 0 {
            mem::swap(&mut self.head, &mut source.head);
            if let Some(rest) = &mut source.rest
                && !rest.segments.is_empty()
            {
                mem::swap(&mut self.rest_mut().segments, &mut rest.segments);
                source.tidy_rest();
            }
            self.len = mem::take(&mut source.len);
            self.flags |= source.flags & FILES;
            source.flags &= !FILES;
        } else {
            self.flags |= source.flags & FILES;
            while source.len > 0 {
                self.push_moved(source.pop_front());
            }
        }
        self.changed(before, source_before, 0);
        source.changed(source_before, 0, source_before);
        Ok(())
    }

    /// Moves all bytes of `source` to the front of this buffer, without copying them.
    ///
    /// # Errors
    ///
    /// [`BufferError::Frozen`] if the front of either is frozen; [`BufferError::TooLong`] beyond
    /// [`Buffer::MAX_LEN`].
    ///
    /// ```
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let mut head = Buffer::from(b"head ".as_slice());
    /// let mut body = Buffer::from(b"body".as_slice());
    /// body.prepend_buffer(&mut head)?;
    /// assert_eq!(body, *b"head body");
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    pub fn prepend_buffer(&mut self, source: &mut Buffer) -> Result<(), BufferError> {
        let (before, source_before) = (self.len, source.len);
        check_move(self, End::Front, source, source_before)?;
        self.flags |= source.flags & FILES;
        while let Some(last) = source.pop_back() {
            self.push_front(last);
        }
        self.changed(before, source_before, 0);
        source.changed(source_before, 0, source_before);
        Ok(())
    }

    /// Moves the first `min(n, len)` bytes to the back of `target` and returns how many that
    /// were. A segment that has to be split is shared by the two buffers, or copied if the piece
    /// is no more than 512 bytes.
    ///
    /// # Errors
    ///
    /// [`BufferError::Frozen`] if the front of this buffer or the back of `target` is frozen;
    /// [`BufferError::TooLong`] if `target` would grow beyond [`Buffer::MAX_LEN`].
    ///
    /// ```
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let mut input = Buffer::from(b"head body".as_slice());
    /// let mut head = Buffer::new();
    /// assert_eq!(input.move_to(&mut head, 5)?, 5);
    /// assert_eq!(head, *b"head ");
    /// assert_eq!(input, *b"body");
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    pub fn move_to(&mut self, target: &mut Buffer, n: usize) -> Result<usize, BufferError> {
        let before = self.len;
        if n >= before {
            return target.append_buffer(self).map(|()| before);
        }
        check_move(target, End::Back, self, n)?;
        let target_before = target.len;
        target.flags |= self.flags & FILES;
        let mut left = n;
        while left > 0 {
            let len = self.head.len();
            if left >= len {
                left -= len;
                target.push_moved(self.pop_front());
                continue;
            }
            if left <= SMALL && self.head.is_block() {
                target.copy_in(&self.head.bytes()[..left]);
            } else {
                target.push_moved(self.head.share(left));
            }
            self.drop_front(left);
            left = 0;
        }
        target.forget_files_if_empty();
        target.changed(target_before, n, 0);
        self.changed(before, 0, n);
        Ok(n)
    }

    /// A buffer of the first `min(n, len)` bytes, by reference: nothing is copied, and neither
    /// buffer sees what happens to the other. Works on a frozen front too.
    ///
    /// While the share lasts its segments are not written, so what is appended here goes to a
    /// new block.
    ///
    /// ```
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let mut buffer = Buffer::from(b"broadcast".as_slice());
    /// let copy = buffer.share(5);
    /// buffer.drain(9)?;
    /// assert_eq!(copy, *b"broad");
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    pub fn share(&self, n: usize) -> Buffer {
        let mut copy = Buffer::new();
        let mut left = n.min(self.len);
        for segment in self.segments() {
            if left == 0 {
                break;
            }
            let n = left.min(segment.len());
            copy.push_back(segment.share(n));
            left -= n;
        }
        copy.flags = self.flags & FILES;
        copy.forget_files_if_empty();
        copy
    }

    /// Adds a segment of another buffer at the back.
    fn push_moved(&mut self, segment: Segment) {
        let n = segment.len();
        let tail = self.tail_mut();
        let small = n <= SMALL && segment.is_block();
        if tail.join(&segment) || small && tail.fill_all(segment.bytes()) {
            self.len += n;
        } else {
            self.push_back(segment);
        }
    }

    /// Takes the last segment out.
    fn pop_back(&mut self) -> Option<Segment> {
        let last = self.rest.as_mut().and_then(|rest| rest.segments.pop_back());
        let last = match last {
            Some(last) => {
                self.tidy_rest();
                last
            }
            None if self.head.is_none() => return None,
            None => self.head.take(),
        };
        self.len -= last.len();
        self.forget_files_if_empty();
        Some(last)
    }

    fn forget_files_if_empty(&mut self) {
        if self.len == 0 {
            self.flags &= !FILES;
        }
    }
}

/// What every move of `n` bytes from the front of `source` to an end of `target` begins with.
#[inline]
fn check_move(
    target: &mut Buffer,
    end: End,
    source: &mut Buffer,
    n: usize,
) -> Result<(), BufferError> {
    if source.is_frozen(End::Front) {
        return Err(BufferError::Frozen(End::Front));
    }
    if target.is_frozen(end) {
        return Err(BufferError::Frozen(end));
    }
    target.check_len(n)?;
    target.forget_reservation();
    source.forget_reservation();
    Ok(())
}
