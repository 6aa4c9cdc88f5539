//! Blocks: the pooled memory that buffers are made of.

use std::{fmt, mem, sync::Arc};

use super::{append::SPARSE, pool};

/// The sizes in which blocks come.
///
/// ```
/// use ferrevent_core::buffer::BlockClass;
///
/// assert_eq!(BlockClass::K16.capacity(), 16 * 1024);
/// assert_eq!(BlockClass::fitting(513), BlockClass::K4);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockClass {
    /// 512 bytes.
    B512,
    /// 4 KiB.
    K4,
    /// 16 KiB.
    K16,
    /// 64 KiB.
    K64,
}

impl BlockClass {
    /// Every class, smallest first.
    ///
    /// ```
    /// use ferrevent_core::buffer::BlockClass;
    /// assert!(BlockClass::ALL.is_sorted());
    /// ```
    pub const ALL: [BlockClass; 4] = [
        BlockClass::B512,
        BlockClass::K4,
        BlockClass::K16,
        BlockClass::K64,
    ];

    /// The number of bytes a block of this class holds.
    ///
    /// ```
    /// use ferrevent_core::buffer::BlockClass;
    /// assert_eq!(BlockClass::B512.capacity(), 512);
    /// ```
    #[inline]
    pub const fn capacity(self) -> usize {
        match self {
            BlockClass::B512 => 512,
            BlockClass::K4 => 4 << 10,
            BlockClass::K16 => 16 << 10,
            BlockClass::K64 => 64 << 10,
        }
    }

    /// The smallest class that holds `n` bytes; [`BlockClass::K64`] when none does.
    ///
    /// ```
    /// use ferrevent_core::buffer::BlockClass;
    /// assert_eq!(BlockClass::fitting(0), BlockClass::B512);
    /// assert_eq!(BlockClass::fitting(1 << 30), BlockClass::K64);
    /// ```
    #[inline]
    pub const fn fitting(n: usize) -> BlockClass {
        if n <= BlockClass::B512.capacity() {
            BlockClass::B512
        } else if n <= BlockClass::K4.capacity() {
            BlockClass::K4
        } else if n <= BlockClass::K16.capacity() {
            BlockClass::K16
        } else {
            BlockClass::K64
        }
    }
}

/// A block of writable memory with a single owner, aligned to 64 bytes.
///
/// Blocks come from a bounded pool of the thread that takes them and go back to the pool of the
/// thread that drops their last byte. A block is zeroed when its memory is first allocated and
/// never again: what stands in a block that is taken is unspecified, often the bytes of its last
/// user. So show nobody more of a block than was filled.
///
/// The memory stays where it is while the `Block` moves, so a kernel may be writing to it.
///
/// ```
/// use ferrevent_core::buffer::{Block, BlockClass, Buffer};
///
/// let mut block = Block::take(BlockClass::K4);
/// block.as_mut_slice()[..5].copy_from_slice(b"hello");
/// let mut buffer = Buffer::new();
/// buffer.append_block(block, 5)?;
/// assert_eq!(buffer, *b"hello");
/// # Ok::<(), ferrevent_core::buffer::BufferError>(())
/// ```
pub struct Block {
    extent: Extent,
}

impl Block {
    /// Takes a block of `class` from the thread's pool, or allocates one.
    ///
    /// ```
    /// use ferrevent_core::buffer::{Block, BlockClass};
    /// assert_eq!(Block::take(BlockClass::K64).capacity(), 65536);
    /// ```
    #[inline]
    pub fn take(class: BlockClass) -> Block {
        Block {
            extent: Extent::take(class),
        }
    }

    /// Takes the smallest block that holds `n` bytes, but never more than 64 KiB: for a larger
    /// `n` the block is of [`BlockClass::K64`].
    ///
    /// ```
    /// use ferrevent_core::buffer::Block;
    /// assert_eq!(Block::with_capacity_at_least(5000).capacity(), 16384);
    /// assert_eq!(Block::with_capacity_at_least(1 << 20).capacity(), 65536);
    /// ```
    #[inline]
    pub fn with_capacity_at_least(n: usize) -> Block {
        Block::take(BlockClass::fitting(n))
    }

    /// The number of bytes the block holds.
    ///
    /// ```
    /// use ferrevent_core::buffer::{Block, BlockClass};
    /// assert_eq!(Block::take(BlockClass::K16).capacity(), 16384);
    /// ```
    #[inline]
    pub fn capacity(&self) -> usize {
        self.extent.capacity()
    }

    /// The class of the block.
    ///
    /// ```
    /// use ferrevent_core::buffer::{Block, BlockClass};
    /// assert_eq!(Block::take(BlockClass::K4).class(), BlockClass::K4);
    /// ```
    #[inline]
    pub fn class(&self) -> BlockClass {
        BlockClass::fitting(self.extent.capacity())
    }

    /// The whole block, to read.
    ///
    /// ```
    /// use ferrevent_core::buffer::{Block, BlockClass};
    /// let mut block = Block::take(BlockClass::B512);
    /// block.as_mut_slice()[0] = 7;
    /// assert_eq!(block.as_slice()[0], 7);
    /// ```
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        self.extent.bytes()
    }

    /// The whole block, to write: `capacity` bytes, the first one aligned to 64.
    ///
    /// ```
    /// use ferrevent_core::buffer::{Block, BlockClass};
    /// let mut block = Block::take(BlockClass::B512);
    /// assert_eq!(block.as_mut_slice().len(), 512);
    /// assert_eq!(block.as_mut_slice().as_ptr().align_offset(64), 0);
    /// ```
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // A `Block` is never shared, so the second arm is never taken.
        self.extent.bytes_mut().unwrap_or_default()
    }

    /// Takes a block with room for at least `n` bytes (see
    /// [`with_capacity_at_least`](Self::with_capacity_at_least)), has it filled from its start,
    /// and returns it with the number of bytes that `fill` says it wrote. When these are 1024 or
    /// fewer they come in a smaller block that suits them, and the larger one goes back to the
    /// pool at once.
    ///
    /// # Errors
    ///
    /// Those of `fill`; then no block is taken.
    ///
    /// ```
    /// use ferrevent_core::buffer::{Block, BlockClass};
    ///
    /// let mut source: &[u8] = b"hello";
    /// let (block, filled) =
    ///     Block::fill_with(16384, |room| std::io::Read::read(&mut source, room))?;
    /// assert_eq!(block.as_slice()[..filled], *b"hello");
    /// assert_eq!(block.class(), BlockClass::B512);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[inline]
    pub fn fill_with<E>(
        n: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<(Block, usize), E> {
        let mut block = Block::with_capacity_at_least(n);
        let filled = fill(block.as_mut_slice())?;
        if block.is_worth(filled) {
            return Ok((block, filled));
        }
        Ok((Block::copy_of(&block.as_slice()[..filled]), filled))
    }

    /// Whether `n` bytes are so many that they stay in this block: fewer are
    /// copied to a smaller one, lest ten bytes hold 16 KiB.
    ///
    /// ```
    /// use ferrevent_core::buffer::{Block, BlockClass};
    /// let block = Block::take(BlockClass::K16);
    /// assert!(block.is_worth(10_000));
    /// assert!(!block.is_worth(10));
    /// ```
    #[inline]
    pub fn is_worth(&self, n: usize) -> bool {
        n > SPARSE || self.fits(n)
    }

    /// A block with these bytes at its start, of the smallest class that has
    /// room for them; what is past 64 KiB is left out.
    ///
    /// ```
    /// use ferrevent_core::buffer::{Block, BlockClass};
    /// let block = Block::copy_of(b"hello");
    /// assert_eq!(block.class(), BlockClass::B512);
    /// assert_eq!(block.as_slice()[..5], *b"hello");
    /// ```
    #[inline]
    pub fn copy_of(bytes: &[u8]) -> Block {
        let mut block = Block::with_capacity_at_least(bytes.len());
        let room = block.as_mut_slice();
        let n = bytes.len().min(room.len());
        room[..n].copy_from_slice(&bytes[..n]);
        block
    }

    /// Whether no smaller block would hold `n` bytes.
    #[inline]
    pub(super) fn fits(&self, n: usize) -> bool {
        self.class() <= BlockClass::fitting(n)
    }

    #[inline]
    pub(super) fn into_extent(self) -> Extent {
        self.extent
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl AsMut<[u8]> for Block {
    fn as_mut(&mut self) -> &mut [u8] {
        self.as_mut_slice()
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block")
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}

/// A reference-counted piece of writable memory: a block of one of the classes, or an extent
/// larger than any class, which is not pooled.
pub(super) struct Extent {
    memory: Memory,
}

/// The payload of a block. The alignment keeps `memcpy` on whole cache lines.
#[repr(C, align(64))]
pub(super) struct Aligned<const N: usize>([u8; N]);

impl<const N: usize> Aligned<N> {
    /// Allocates a zeroed block.
    pub(super) fn fresh() -> Arc<Self> {
        Arc::new(Aligned([0; N]))
    }
}

enum Memory {
    /// Left behind in an extent that is being dropped.
    Gone,
    B512(Arc<Aligned<512>>),
    K4(Arc<Aligned<4096>>),
    K16(Arc<Aligned<16384>>),
    K64(Arc<Aligned<65536>>),
    Huge(Arc<Vec<u8>>),
}

impl Extent {
    #[inline]
    pub(super) fn take(class: BlockClass) -> Extent {
        let memory = match class {
            BlockClass::B512 => Memory::B512(pool::take()),
            BlockClass::K4 => Memory::K4(pool::take()),
            BlockClass::K16 => Memory::K16(pool::take()),
            BlockClass::K64 => Memory::K64(pool::take()),
        };
        Extent { memory }
    }

    /// An extent with at least `n` bytes from [`origin`](Self::origin) on.
    #[inline]
    pub(super) fn at_least(n: usize) -> Extent {
        if n <= BlockClass::K64.capacity() {
            return Extent::take(BlockClass::fitting(n));
        }
        Extent {
            memory: Memory::Huge(Arc::new(vec![0; n.saturating_add(ALIGNMENT)])),
        }
    }

    /// The first aligned position.
    #[inline]
    pub(super) fn origin(&self) -> usize {
        match &self.memory {
            // A large allocation begins 16 bytes into a page, where copying is slow.
            Memory::Huge(vec) => vec.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT),
            _ => 0,
        }
    }

    #[inline]
    pub(super) fn capacity(&self) -> usize {
        match &self.memory {
            Memory::Gone => 0,
            Memory::B512(_) => 512,
            Memory::K4(_) => 4096,
            Memory::K16(_) => 16384,
            Memory::K64(_) => 65536,
            Memory::Huge(vec) => vec.len(),
        }
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        match &self.memory {
            Memory::Gone => &[],
            Memory::B512(block) => &block.0,
            Memory::K4(block) => &block.0,
            Memory::K16(block) => &block.0,
            Memory::K64(block) => &block.0,
            Memory::Huge(vec) => vec,
        }
    }

    /// The memory, if this is its only owner.
    #[inline]
    pub(super) fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        match &mut self.memory {
            Memory::Gone => None,
            Memory::B512(block) => Arc::get_mut(block).map(|block| &mut block.0[..]),
            Memory::K4(block) => Arc::get_mut(block).map(|block| &mut block.0[..]),
            Memory::K16(block) => Arc::get_mut(block).map(|block| &mut block.0[..]),
            Memory::K64(block) => Arc::get_mut(block).map(|block| &mut block.0[..]),
            Memory::Huge(vec) => Arc::get_mut(vec).map(|vec| &mut vec[..]),
        }
    }

    /// Another owner of the same memory. Until one of them is dropped, neither may write.
    #[inline]
    pub(super) fn share(&self) -> Extent {
        let memory = match &self.memory {
            Memory::Gone => Memory::Gone,
            Memory::B512(block) => Memory::B512(Arc::clone(block)),
            Memory::K4(block) => Memory::K4(Arc::clone(block)),
            Memory::K16(block) => Memory::K16(Arc::clone(block)),
            Memory::K64(block) => Memory::K64(Arc::clone(block)),
            Memory::Huge(vec) => Memory::Huge(Arc::clone(vec)),
        };
        Extent { memory }
    }

    /// Whether both own the same memory.
    pub(super) fn same(&self, other: &Extent) -> bool {
        std::ptr::eq(self.bytes(), other.bytes())
    }
}

impl Drop for Extent {
    #[inline]
    fn drop(&mut self) {
        match mem::replace(&mut self.memory, Memory::Gone) {
            Memory::Gone => {}
            Memory::B512(block) => pool::give(block),
            Memory::K4(block) => pool::give(block),
            Memory::K16(block) => pool::give(block),
            Memory::K64(block) => pool::give(block),
            Memory::Huge(vec) => drop(vec),
        }
    }
}

const ALIGNMENT: usize = 64;

const _: () = assert!(size_of::<Extent>() <= 16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_payload_is_aligned() {
        for class in BlockClass::ALL {
            let block = Block::take(class);
            assert_eq!(block.as_slice().len(), class.capacity());
            assert_eq!(block.as_slice().as_ptr().align_offset(ALIGNMENT), 0);
        }
        let huge = Extent::at_least(100_000);
        let from_origin = &huge.bytes()[huge.origin()..];
        assert_eq!(from_origin.as_ptr().align_offset(ALIGNMENT), 0);
        assert!(from_origin.len() >= 100_000);
    }

    #[test]
    fn a_shared_extent_is_written_by_nobody() {
        let mut first = Extent::take(BlockClass::B512);
        let mut second = first.share();
        assert!(first.same(&second));
        assert!(first.bytes_mut().is_none() && second.bytes_mut().is_none());
        drop(second);
        assert!(first.bytes_mut().is_some());
    }
}
