//! One call of a filter: where its bytes come from and where they go.

use crate::buffer::{Block, Buffer};

/// What a filter works on: a source, a target, and how much may go there.
///
/// ```
/// use std::io;
/// use ferrevent_core::filter::{Filter, Pass};
///
/// /// Says everything twice.
/// struct Stutter;
///
/// impl Filter for Stutter {
///     fn encode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
///         while pass.room() >= 2 && pass.available() > 0 {
///             let byte = pass.chunk()[0];
///             pass.source().drain(1)?;
///             pass.target().append(&[byte, byte])?;
///         }
///         Ok(())
///     }
///
///     fn decode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
///         while pass.room() > 0 && pass.available() >= 2 {
///             let mut pair = [0; 2];
///             pass.source().read(&mut pair)?;
///             pass.target().append(&pair[..1])?;
///         }
///         Ok(())
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Pass<'a> {
    source: &'a mut Buffer,
    target: &'a mut Buffer,
    /// How long the target may become.
    limit: usize,
    flush: bool,
    last: bool,
    ended: bool,
}

impl<'a> Pass<'a> {
    pub(crate) fn new(source: &'a mut Buffer, target: &'a mut Buffer, limit: usize) -> Self {
        Self {
            source,
            target,
            limit,
            flush: false,
            last: false,
            ended: false,
        }
    }

    pub(crate) fn flushing(mut self, on: bool) -> Self {
        self.flush = on;
        self
    }

    pub(crate) fn last(mut self, on: bool) -> Self {
        self.last = on;
        self
    }

    /// How many bytes there are to be taken.
    ///
    /// ```
    /// # use ferrevent_core::filter::Pass;
    /// fn anything(pass: &Pass<'_>) -> bool {
    ///     pass.available() > 0
    /// }
    /// ```
    pub fn available(&self) -> usize {
        self.source.len_in_memory()
    }

    /// The first of them, as many as lie in one piece: none only if there are
    /// none.
    ///
    /// ```
    /// # use ferrevent_core::filter::Pass;
    /// fn first(pass: &Pass<'_>) -> Option<u8> {
    ///     pass.chunk().first().copied()
    /// }
    /// ```
    pub fn chunk(&self) -> &[u8] {
        self.source.chunk()
    }

    /// Where they are to be taken from. What is left there is given again.
    /// It may hold a part of a file behind those that are
    /// [`available`](Self::available).
    ///
    /// ```
    /// # use ferrevent_core::filter::Pass;
    /// fn skip(pass: &mut Pass<'_>, n: usize) -> std::io::Result<()> {
    ///     pass.source().drain(n)?;
    ///     Ok(())
    /// }
    /// ```
    pub fn source(&mut self) -> &mut Buffer {
        self.source
    }

    /// Where the results go: to the end of it.
    ///
    /// ```
    /// # use ferrevent_core::filter::Pass;
    /// fn greet(pass: &mut Pass<'_>) -> std::io::Result<()> {
    ///     Ok(pass.target().append(b"hello")?)
    /// }
    /// ```
    pub fn target(&mut self) -> &mut Buffer {
        self.target
    }

    /// Both at once.
    ///
    /// ```
    /// # use ferrevent_core::filter::Pass;
    /// fn pass_on(pass: &mut Pass<'_>) -> std::io::Result<()> {
    ///     let n = pass.available().min(pass.room());
    ///     let (source, target) = pass.both();
    ///     source.move_to(target, n)?;
    ///     Ok(())
    /// }
    /// ```
    pub fn both(&mut self) -> (&mut Buffer, &mut Buffer) {
        (self.source, self.target)
    }

    /// How many more bytes may be put out now. A unit that cannot be divided
    /// may pass this, as long as it is not 0.
    ///
    /// ```
    /// # use ferrevent_core::filter::Pass;
    /// fn is_full(pass: &Pass<'_>) -> bool {
    ///     pass.room() == 0
    /// }
    /// ```
    pub fn room(&self) -> usize {
        self.limit.saturating_sub(self.target.len())
    }

    /// Whether the filter should hold nothing back of what it was given: the
    /// owner asked for a flush, or nothing more will come.
    ///
    /// ```
    /// # use ferrevent_core::filter::Pass;
    /// fn may_wait_for_more(pass: &Pass<'_>) -> bool {
    ///     !pass.flush()
    /// }
    /// ```
    pub fn flush(&self) -> bool {
        self.flush || self.last
    }

    /// Whether nothing will ever come behind the bytes that are there.
    ///
    /// ```
    /// # use ferrevent_core::filter::Pass;
    /// # use std::io;
    /// fn check(pass: &Pass<'_>) -> io::Result<()> {
    ///     if pass.is_last() && pass.available() > 0 {
    ///         return Err(io::ErrorKind::UnexpectedEof.into());
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn is_last(&self) -> bool {
        self.last
    }

    /// This direction is over: nothing more will be put out. What is still in
    /// the source, or comes there later, is dropped.
    ///
    /// ```
    /// # use ferrevent_core::filter::Pass;
    /// fn until_a_dot(pass: &mut Pass<'_>) {
    ///     if pass.chunk().first() == Some(&b'.') {
    ///         pass.end();
    ///     }
    /// }
    /// ```
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Lets `work` change bytes and puts them out: as many as are available
    /// and have room. They are changed where they lie, unless somebody else
    /// can see them.
    ///
    /// ```
    /// # use ferrevent_core::filter::Pass;
    /// fn upper(pass: &mut Pass<'_>) {
    ///     pass.map(|bytes| bytes.make_ascii_uppercase());
    /// }
    /// ```
    pub fn map(&mut self, mut work: impl FnMut(&mut [u8])) {
        loop {
            let n = self.chunk().len().min(self.room()).min(MAP_BYTES);
            if n == 0 {
                return;
            }
            let mut piece = Buffer::new();
            let moved = self.source.move_to(&mut piece, n);
            debug_assert!(moved.is_ok(), "the front of a source is never frozen");
            // A part may share its block with the rest, which is still to come.
            match piece.front_mut() {
                Some(bytes) => {
                    work(bytes);
                    let _ = self.target.append_buffer(&mut piece);
                }
                None => {
                    let mut block = Block::with_capacity_at_least(n);
                    let bytes = &mut block.as_mut_slice()[..n];
                    bytes.copy_from_slice(piece.chunk());
                    work(bytes);
                    let _ = self.target.append_block(block, n);
                }
            }
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }
}

/// Most bytes in one piece of [`Pass::map`].
const MAP_BYTES: usize = 64 * 1024;
