//! Searching for bytes and sequences.

use std::ops::Range;

use memchr::memmem;

use super::{chain::Buffer, error::BufferError};

impl Buffer {
    /// The position of the first byte `needle` at or after `from`.
    ///
    /// # Errors
    ///
    /// [`BufferError::FileRange`] if it is not found before a file range.
    ///
    /// ```
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let buffer = Buffer::from(b"a:b:c".as_slice());
    /// assert_eq!(buffer.find_byte(b':', 0)?, Some(1));
    /// assert_eq!(buffer.find_byte(b':', 2)?, Some(3));
    /// assert_eq!(buffer.find_byte(b':', 99)?, None);
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    pub fn find_byte(&self, needle: u8, from: usize) -> Result<Option<usize>, BufferError> {
        self.scan(from..self.len, |bytes| memchr::memchr(needle, bytes))
    }

    /// The position of the first sequence `needle` that begins at or after `from`. The sequence
    /// may lie across segments. An empty one is found at `from`, unless that is beyond the end.
    ///
    /// # Errors
    ///
    /// [`BufferError::FileRange`] if it is not found before a file range.
    ///
    /// ```
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let mut buffer = Buffer::from(b"head\r\n\r".as_slice());
    /// buffer.append_reference("\nbody")?;
    /// assert_eq!(buffer.find(b"\r\n\r\n", 0)?, Some(4));
    /// assert_eq!(buffer.find(b"\r\n\r\n", 5)?, None);
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    pub fn find(&self, needle: &[u8], from: usize) -> Result<Option<usize>, BufferError> {
        self.find_within(needle, from..self.len)
    }

    /// The position of the first sequence `needle` that lies wholly in `range`. What of the range
    /// is beyond the end is left out.
    ///
    /// # Errors
    ///
    /// [`BufferError::FileRange`] if it is not found before a file range that is in `range`.
    ///
    /// ```
    /// use ferrevent_core::buffer::Buffer;
    ///
    /// let buffer = Buffer::from(b"abcabc".as_slice());
    /// assert_eq!(buffer.find_within(b"bc", 0..3)?, Some(1));
    /// assert_eq!(buffer.find_within(b"bc", 2..5)?, None);
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    pub fn find_within(
        &self,
        needle: &[u8],
        range: Range<usize>,
    ) -> Result<Option<usize>, BufferError> {
        let range = range.start..range.end.min(self.len);
        if range.start > range.end {
            return Ok(None);
        }
        match needle {
            [] => return Ok(Some(range.start)),
            [byte] => return self.scan(range, |bytes| memchr::memchr(*byte, bytes)),
            _ => {}
        }
        let finder = memmem::Finder::new(needle);
        // The last bytes of the segments so far, in which a sequence may have begun: always one
        // byte too few for a whole one.
        let mut seam: Vec<u8> = Vec::new();
        let keep = needle.len() - 1;
        let mut position = range.start;
        for piece in self.pieces(range) {
            let piece = piece?;
            if !seam.is_empty() {
                let carried = seam.len();
                seam.extend_from_slice(&piece[..piece.len().min(keep)]);
                if let Some(at) = finder.find(&seam) {
                    return Ok(Some(position - carried + at));
                }
                seam.truncate(carried);
            }
            if let Some(at) = finder.find(piece) {
                return Ok(Some(position + at));
            }
            position += piece.len();
            if piece.len() >= keep {
                seam.clear();
            } else {
                seam.drain(..(seam.len() + piece.len()).saturating_sub(keep));
            }
            seam.extend_from_slice(&piece[piece.len().saturating_sub(keep)..]);
        }
        Ok(None)
    }

    /// The first position in `range` that `find` finds in a segment.
    pub(super) fn scan(
        &self,
        range: Range<usize>,
        find: impl Fn(&[u8]) -> Option<usize>,
    ) -> Result<Option<usize>, BufferError> {
        let mut position = range.start;
        for piece in self.pieces(range) {
            let piece = piece?;
            if let Some(at) = find(piece) {
                return Ok(Some(position + at));
            }
            position += piece.len();
        }
        Ok(None)
    }

    /// The byte at a position, if it is there and in memory.
    pub(super) fn byte_at(&self, position: usize) -> Option<u8> {
        let end = position.checked_add(1)?.min(self.len);
        self.pieces(position..end).next()?.ok()?.first().copied()
    }

    /// The parts of a range, up to and including the first file range, which is an error. None of
    /// them is without bytes.
    pub(super) fn pieces(
        &self,
        range: Range<usize>,
    ) -> impl Iterator<Item = Result<&[u8], BufferError>> {
        let mut skip = range.start;
        let mut left = range.end.min(self.len).saturating_sub(range.start);
        self.segments().filter_map(move |segment| {
            let len = segment.len();
            if left == 0 || skip >= len {
                skip = skip.saturating_sub(len);
                return None;
            }
            if segment.is_file() {
                left = 0;
                return Some(Err(BufferError::FileRange));
            }
            let n = left.min(len - skip);
            let piece = &segment.bytes()[skip..skip + n];
            left -= n;
            skip = 0;
            Some(Ok(piece))
        })
    }
}
