//! Reading lines.

use super::{
    chain::{Buffer, FRONT, RESERVED},
    error::BufferError,
};

/// What ends a line.
///
/// ```
/// use ferrevent_core::buffer::{Buffer, Eol};
///
/// let mut buffer = Buffer::from(b"one\ntwo\r\n\r\nthree\n".as_slice());
/// assert_eq!(buffer.read_line(Eol::CrlfStrict, 100)?.unwrap(), b"one\ntwo");
/// assert_eq!(buffer.read_line(Eol::Crlf, 100)?.unwrap(), b"");
/// assert_eq!(buffer.read_line(Eol::Any, 100)?.unwrap(), b"three");
/// # Ok::<(), ferrevent_core::buffer::BufferError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Eol {
    /// Any run of CR and LF characters, as long as it is in the buffer by now. What arrives of
    /// the run later ends an empty line.
    Any,
    /// An LF, with a CR before it or not. Most line protocols want this one.
    Crlf,
    /// A CR followed by an LF.
    CrlfStrict,
    /// An LF.
    Lf,
    /// A zero byte.
    Nul,
}

/// Where a line ends: what [`Buffer::find_line_end`] found.
///
/// ```
/// use ferrevent_core::buffer::{Buffer, Eol, LineEnd};
///
/// let buffer = Buffer::from(b"one\r\ntwo".as_slice());
/// assert_eq!(buffer.find_line_end(Eol::Crlf, 0)?, Some(LineEnd { position: 3, len: 2 }));
/// # Ok::<(), ferrevent_core::buffer::BufferError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineEnd {
    /// The position of its first character, in bytes from the front of the buffer.
    pub position: usize,
    /// How many characters it has.
    pub len: usize,
}

impl Buffer {
    /// The first line end at or after `from`. Characters before `from` are not part of it.
    ///
    /// # Errors
    ///
    /// [`BufferError::FileRange`] if it is not found before a file range.
    ///
    /// ```
    /// use ferrevent_core::buffer::{Buffer, Eol};
    ///
    /// let buffer = Buffer::from(b"one\ntwo\r\n".as_slice());
    /// let end = buffer.find_line_end(Eol::CrlfStrict, 0)?.unwrap();
    /// assert_eq!((end.position, end.len), (7, 2));
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    pub fn find_line_end(&self, eol: Eol, from: usize) -> Result<Option<LineEnd>, BufferError> {
        // Mostly it is in the first segment.
        if from == 0
            && let Some(end) = eol.first_in(self.head.bytes(), self.head.len() < self.len)
        {
            return Ok(Some(end));
        }
        self.line_end_within(eol, from, self.len)
    }

    /// Takes the next line and its end out and returns the line, without the end; `None` if there
    /// is no whole line yet, and nothing is taken.
    ///
    /// # Errors
    ///
    /// [`BufferError::TooLong`] if the line has more than `max` bytes before its end, also if that
    /// end has not arrived yet; [`BufferError::Frozen`] if the front is frozen;
    /// [`BufferError::FileRange`] if a file range comes before the line's end. Nothing is taken.
    ///
    /// ```
    /// use ferrevent_core::buffer::{Buffer, Eol};
    ///
    /// let mut buffer = Buffer::from(b"one\r\ntw".as_slice());
    /// assert_eq!(buffer.read_line(Eol::Crlf, 100)?, Some(b"one".to_vec()));
    /// assert_eq!(buffer.read_line(Eol::Crlf, 100)?, None);
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    pub fn read_line(&mut self, eol: Eol, max: usize) -> Result<Option<Vec<u8>>, BufferError> {
        self.with_line(eol, max, <[u8]>::to_vec)
    }

    /// As [`read_line`](Buffer::read_line), but puts the line behind what is in `line`, and says
    /// whether there was one.
    ///
    /// # Errors
    ///
    /// As [`read_line`](Buffer::read_line).
    ///
    /// ```
    /// use ferrevent_core::buffer::{Buffer, Eol};
    ///
    /// let mut buffer = Buffer::from(b"one\ntwo\n".as_slice());
    /// let mut line = Vec::new();
    /// while buffer.read_line_into(&mut line, Eol::Lf, 100)? {
    ///     println!("{}", line.escape_ascii());
    ///     line.clear();
    /// }
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    pub fn read_line_into(
        &mut self,
        line: &mut Vec<u8>,
        eol: Eol,
        max: usize,
    ) -> Result<bool, BufferError> {
        let read = self.with_line(eol, max, |bytes| line.extend_from_slice(bytes))?;
        Ok(read.is_some())
    }

    /// As [`read_line`](Buffer::read_line), but shows the line to `f` where it is, and returns
    /// what `f` returned. A line that lies in several segments is copied together first.
    ///
    /// # Errors
    ///
    /// As [`read_line`](Buffer::read_line); [`BufferError::TooLong`] also if a line in several
    /// segments is longer than [`Buffer::MAX_EXTENT`].
    ///
    /// ```
    /// use ferrevent_core::buffer::{Buffer, Eol};
    ///
    /// let mut buffer = Buffer::from(b"QUIT\r\n".as_slice());
    /// assert_eq!(buffer.with_line(Eol::Crlf, 100, |line| line == b"QUIT")?, Some(true));
    /// assert!(buffer.is_empty());
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    #[inline]
    pub fn with_line<R>(
        &mut self,
        eol: Eol,
        max: usize,
        f: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>, BufferError> {
        if self.flags & (FRONT | RESERVED) != 0 {
            self.begin_front()?;
        }
        let Some(end) = self.next_line_end(eol, max)? else {
            return Ok(None);
        };
        let line = &self.make_contiguous(end.position)?[..end.position];
        let result = f(line);
        let before = self.len;
        let taken = end.position + end.len;
        self.drop_front(taken);
        self.changed(before, 0, taken);
        Ok(Some(result))
    }

    /// Takes all whole lines out, shows each to `f` without its end, and returns how many there
    /// were. Observers are told once.
    ///
    /// A line that is longer than `max`, or a file range in a line, ends this after the lines
    /// before it; the next call then returns the error.
    ///
    /// # Errors
    ///
    /// Those of [`with_line`](Buffer::with_line), for the first line.
    ///
    /// ```
    /// use ferrevent_core::buffer::{Buffer, Eol};
    ///
    /// let mut buffer = Buffer::from(b"1\n2\n3\nrest".as_slice());
    /// let mut longest = 0;
    /// let count = buffer.for_each_line(Eol::Lf, 100, |line| longest = line.len().max(longest))?;
    /// assert_eq!((count, longest), (3, 1));
    /// assert_eq!(buffer, *b"rest");
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    pub fn for_each_line(
        &mut self,
        eol: Eol,
        max: usize,
        mut f: impl FnMut(&[u8]),
    ) -> Result<usize, BufferError> {
        self.begin_front()?;
        let before = self.len;
        let mut count = 0;
        let outcome = loop {
            let more = self.has_more();
            let bytes = self.head.bytes();
            let mut done = 0;
            while let Some(end) = eol.first_in(&bytes[done..], more)
                && end.position <= max
            {
                f(&bytes[done..done + end.position]);
                done += end.position + end.len;
                count += 1;
            }
            self.drop_front(done);
            // What is left of the segment has no line end, or a line that is too long, or goes on
            // in the next one.
            let end = match self.next_line_end(eol, max) {
                Ok(Some(end)) => end,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            match self.make_contiguous(end.position) {
                Ok(line) => f(&line[..end.position]),
                Err(error) => break Err(error),
            }
            self.drop_front(end.position + end.len);
            count += 1;
        };
        self.changed(before, 0, before - self.len);
        match outcome {
            Err(error) if count == 0 => Err(error),
            _ => Ok(count),
        }
    }

    /// The end of the line at the front, if it is there and the line not longer than `max`.
    #[inline]
    fn next_line_end(&self, eol: Eol, max: usize) -> Result<Option<LineEnd>, BufferError> {
        let bytes = self.head.bytes();
        let window = &bytes[..bytes.len().min(max.saturating_add(2))];
        match eol.first_in(window, window.len() < self.len) {
            Some(end) if end.position <= max => Ok(Some(end)),
            _ => self.next_line_end_slow(eol, max),
        }
    }

    #[inline(never)]
    fn next_line_end_slow(&self, eol: Eol, max: usize) -> Result<Option<LineEnd>, BufferError> {
        // One character more than the line may be, or two, is all that has to be looked at.
        let window = max.saturating_add(eol.longest()).min(self.len);
        let too_long = Err(BufferError::TooLong { limit: max });
        match self.line_end_within(eol, 0, window)? {
            Some(end) if end.position > max => too_long,
            Some(end) => Ok(Some(end)),
            None if self.len <= max => Ok(None),
            // The CR may yet turn out to be the first half of the end.
            None if eol.longest() == 2
                && self.len == max + 1
                && self.byte_at(max) == Some(b'\r') =>
            {
                Ok(None)
            }
            None => too_long,
        }
    }

    /// The first line end whose last needed character is before `to`.
    fn line_end_within(
        &self,
        eol: Eol,
        from: usize,
        to: usize,
    ) -> Result<Option<LineEnd>, BufferError> {
        let found = match eol {
            Eol::Any => self.scan(from..to, |bytes| memchr::memchr2(b'\r', b'\n', bytes))?,
            Eol::Nul => self.scan(from..to, |bytes| memchr::memchr(0, bytes))?,
            Eol::CrlfStrict => self.find_within(b"\r\n", from..to)?,
            Eol::Lf | Eol::Crlf => self.scan(from..to, |bytes| memchr::memchr(b'\n', bytes))?,
        };
        let Some(position) = found else {
            return Ok(None);
        };
        let end = match eol {
            Eol::Lf | Eol::Nul => LineEnd { position, len: 1 },
            Eol::CrlfStrict => LineEnd { position, len: 2 },
            Eol::Crlf if position > from && self.byte_at(position - 1) == Some(b'\r') => LineEnd {
                position: position - 1,
                len: 2,
            },
            Eol::Crlf => LineEnd { position, len: 1 },
            Eol::Any => LineEnd {
                position,
                len: self.run_of_line_ends(position),
            },
        };
        Ok(Some(end))
    }

    /// How many CR and LF characters there are from a position on, up to a file range.
    fn run_of_line_ends(&self, from: usize) -> usize {
        let mut run = 0;
        for piece in self.pieces(from..self.len) {
            let Ok(piece) = piece else { break };
            let n = leading_line_ends(piece);
            run += n;
            if n < piece.len() {
                break;
            }
        }
        run
    }
}

impl Eol {
    /// The most characters an end has beside those that run on.
    fn longest(self) -> usize {
        match self {
            Eol::Crlf | Eol::CrlfStrict => 2,
            Eol::Any | Eol::Lf | Eol::Nul => 1,
        }
    }

    /// The first line end in `bytes`, if it can be told from these alone: with `more` bytes behind
    /// them a run that reaches the end may go on.
    #[inline]
    fn first_in(self, bytes: &[u8], more: bool) -> Option<LineEnd> {
        match self {
            Eol::Crlf => {
                let position = memchr::memchr(b'\n', bytes)?;
                if position > 0 && bytes[position - 1] == b'\r' {
                    return Some(LineEnd {
                        position: position - 1,
                        len: 2,
                    });
                }
                Some(LineEnd { position, len: 1 })
            }
            Eol::Lf => memchr::memchr(b'\n', bytes).map(|position| LineEnd { position, len: 1 }),
            Eol::Nul => memchr::memchr(0, bytes).map(|position| LineEnd { position, len: 1 }),
            Eol::CrlfStrict => {
                let mut from = 0;
                loop {
                    let position = from + memchr::memchr(b'\n', &bytes[from..])?;
                    if position > 0 && bytes[position - 1] == b'\r' {
                        return Some(LineEnd {
                            position: position - 1,
                            len: 2,
                        });
                    }
                    from = position + 1;
                }
            }
            Eol::Any => {
                let position = memchr::memchr2(b'\r', b'\n', bytes)?;
                let len = leading_line_ends(&bytes[position..]);
                if more && position + len == bytes.len() {
                    return None;
                }
                Some(LineEnd { position, len })
            }
        }
    }
}

fn leading_line_ends(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .take_while(|byte| matches!(byte, b'\r' | b'\n'))
        .count()
}
