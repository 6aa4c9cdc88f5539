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
        // The end of the segments so far from where a sequence may have begun: always at least one
        // byte too few for a whole one.
        let mut seam: Vec<u8> = Vec::new();
        let keep = needle.len() - 1;
        let mut position = range.start;
        for piece in self.pieces(range) {
            let piece = piece?;
            let carried = seam.len();
            if carried > 0 {
                seam.extend_from_slice(&piece[..piece.len().min(keep)]);
                if let Some(at) = find_in(&seam, needle) {
                    return Ok(Some(position - carried + at));
                }
            }
            if let Some(at) = find_in(piece, needle) {
                return Ok(Some(position + at));
            }
            position += piece.len();
            if piece.len() >= keep {
                seam.clear();
                seam.extend_from_slice(beginning(&piece[piece.len() - keep..], needle[0]));
            } else {
                seam.truncate(carried);
                seam.extend_from_slice(piece);
                seam.drain(..seam.len().saturating_sub(keep));
            }
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

/// The bytes from the first that is `first`.
fn beginning(bytes: &[u8], first: u8) -> &[u8] {
    let at = bytes.iter().position(|byte| *byte == first);
    at.map_or(&[], |at| &bytes[at..])
}

/// Looks for the first byte of the sequence, which is fastest when it is rare; once it has turned
/// out not to be, for the whole.
fn find_in(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let (first, last) = (*needle.first()?, bytes.len().checked_sub(needle.len())?);
    let mut from = 0;
    let mut misses = 0;
    while let Some(at) = memchr::memchr(first, &bytes[from..=last]) {
        from += at;
        if bytes[from..].starts_with(needle) {
            return Some(from);
        }
        from += 1;
        misses += 1;
        if from > last {
            return None;
        }
        if misses > MOST_MISSES && from / misses < RARE {
            return memmem::find(&bytes[from..], needle).map(|at| from + at);
        }
    }
    None
}

/// A first byte is rare while it comes no more than once in so many bytes.
const RARE: usize = 128;
/// So often it may come before that is asked.
const MOST_MISSES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// Every sequence of up to four letters of two, in texts of two letters cut in every way.
    #[test]
    fn sequences_of_frequent_letters_are_found() {
        for text in 0..256u32 {
            let text: Vec<u8> = (0..8)
                .map(|bit| b"ab"[(text >> bit & 1) as usize])
                .collect();
            for cut in 1..8 {
                let mut buffer = Buffer::new();
                buffer.append_reference(text[..cut].to_vec()).unwrap();
                buffer.append_reference(text[cut..].to_vec()).unwrap();
                for needle in ["ab", "ba", "aa", "aab", "abb", "aaab", "baab"] {
                    let expected = text
                        .windows(needle.len())
                        .position(|window| window == needle.as_bytes());
                    assert_eq!(buffer.find(needle.as_bytes(), 0), Ok(expected));
                }
            }
        }
    }

    #[test]
    fn a_frequent_first_letter_is_given_up() {
        let mut text = vec![b'a'; 10_000];
        text.extend_from_slice(b"aab");
        assert_eq!(find_in(&text, b"aab"), Some(10_000));
        assert_eq!(find_in(&text, b"aac"), None);
        assert_eq!(find_in(b"aa", b"aaa"), None);
    }
}
