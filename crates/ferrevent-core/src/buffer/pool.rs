//! The memory that a thread keeps at hand for its buffers.
//!
//! Giving memory back to the allocator at every turn of a loop, and taking it again, costs more
//! than the copying. Each thread therefore keeps a bounded number of blocks of each class. A
//! block whose last owner is dropped goes to the pool of the thread that drops it; when two
//! threads drop the last two owners at the same moment it may go to the allocator instead.

use std::{cell::RefCell, sync::Arc};

use bytes::Bytes;

use super::{block::Aligned, chain::Rest};

/// The most bytes of blocks that one thread keeps unused, over all classes: 4 MiB.
///
/// ```
/// use ferrevent_core::buffer::{POOL_LIMIT, pooled_bytes};
/// assert!(pooled_bytes() <= POOL_LIMIT);
/// ```
pub const POOL_LIMIT: usize =
    limit::B512 * 512 + limit::K4 * (4 << 10) + limit::K16 * (16 << 10) + limit::K64 * (64 << 10);

/// The number of bytes of blocks that this thread keeps unused, at most [`POOL_LIMIT`].
///
/// ```
/// use ferrevent_core::buffer::{Block, BlockClass, pooled_bytes, trim_pool};
///
/// trim_pool();
/// drop(Block::take(BlockClass::K4));
/// assert_eq!(pooled_bytes(), 4096);
/// ```
pub fn pooled_bytes() -> usize {
    let bytes = POOL.try_with(|pool| {
        let pool = pool.borrow();
        pool.b512.len() * 512
            + pool.k4.len() * (4 << 10)
            + pool.k16.len() * (16 << 10)
            + pool.k64.len() * (64 << 10)
    });
    bytes.unwrap_or(0)
}

/// Gives everything that this thread keeps unused back to the allocator.
///
/// ```
/// use ferrevent_core::buffer::{Block, BlockClass, pooled_bytes, trim_pool};
///
/// drop(Block::take(BlockClass::K4));
/// trim_pool();
/// assert_eq!(pooled_bytes(), 0);
/// ```
pub fn trim_pool() {
    // The old pool is dropped after the borrow has ended.
    drop(POOL.try_with(|pool| pool.replace(Pool::new())));
}

/// Takes a block of this type from the pool, or allocates one.
#[inline]
pub(super) fn take<T: Pooled>() -> Arc<T> {
    match POOL.try_with(|pool| T::shelf(&mut pool.borrow_mut()).pop()) {
        Ok(Some(block)) => block,
        // Also once the thread's locals have been destroyed.
        _ => T::fresh(),
    }
}

/// Puts a block into the pool if nobody else owns it and there is room.
#[inline]
pub(super) fn give<T: Pooled>(block: Arc<T>) {
    // The only owner stays the only one: nobody else has anything to clone. Whoever writes next
    // goes through `Arc::get_mut`, which synchronises with the owners that have gone.
    if Arc::strong_count(&block) == 1 {
        // If the locals have been destroyed the closure is dropped, and the block with it.
        let _ = POOL.try_with(move |pool| {
            let mut pool = pool.borrow_mut();
            let shelf = T::shelf(&mut pool);
            if shelf.len() < T::LIMIT {
                shelf.push(block);
            }
        });
    }
}

/// Takes an empty list of further segments.
#[inline]
pub(super) fn take_rest() -> Box<Rest> {
    match POOL.try_with(|pool| pool.borrow_mut().rests.pop()) {
        Ok(Some(rest)) => rest,
        _ => Box::default(),
    }
}

/// Gives back a list of further segments, which must be empty.
#[inline]
pub(super) fn give_rest(rest: Box<Rest>) {
    if rest.is_plain() {
        let _ = POOL.try_with(move |pool| {
            let rests = &mut pool.borrow_mut().rests;
            if rests.len() < limit::REST {
                rests.push(rest);
            }
        });
    }
}

/// Puts a handle to foreign memory into a box.
#[inline]
pub(super) fn take_box(bytes: Bytes) -> Box<Option<Bytes>> {
    match POOL.try_with(|pool| pool.borrow_mut().boxes.pop()) {
        Ok(Some(mut empty)) => {
            *empty = Some(bytes);
            empty
        }
        _ => Box::new(Some(bytes)),
    }
}

/// Gives back a box, whose content must be gone.
#[inline]
pub(super) fn give_box(empty: Box<Option<Bytes>>) {
    let _ = POOL.try_with(move |pool| {
        let boxes = &mut pool.borrow_mut().boxes;
        if boxes.len() < limit::BOXES {
            boxes.push(empty);
        }
    });
}

/// A block that has a shelf in the pool.
pub(super) trait Pooled: Sized {
    /// How many blocks the shelf holds.
    const LIMIT: usize;

    fn shelf(pool: &mut Pool) -> &mut Vec<Arc<Self>>;

    fn fresh() -> Arc<Self>;
}

macro_rules! pooled {
    ($size:literal, $shelf:ident, $limit:expr) => {
        impl Pooled for Aligned<$size> {
            const LIMIT: usize = $limit;

            #[inline]
            fn shelf(pool: &mut Pool) -> &mut Vec<Arc<Self>> {
                &mut pool.$shelf
            }

            #[cold]
            fn fresh() -> Arc<Self> {
                Aligned::fresh()
            }
        }
    };
}

pooled!(512, b512, limit::B512);
pooled!(4096, k4, limit::K4);
pooled!(16384, k16, limit::K16);
pooled!(65536, k64, limit::K64);

/// How many of each a thread keeps.
mod limit {
    pub(super) const B512: usize = 512;
    pub(super) const K4: usize = 128;
    pub(super) const K16: usize = 104;
    pub(super) const K64: usize = 26;
    pub(super) const REST: usize = 32;
    pub(super) const BOXES: usize = 64;
}

pub(super) struct Pool {
    b512: Vec<Arc<Aligned<512>>>,
    k4: Vec<Arc<Aligned<4096>>>,
    k16: Vec<Arc<Aligned<16384>>>,
    k64: Vec<Arc<Aligned<65536>>>,
    #[expect(
        clippy::vec_box,
        reason = "the boxes are what is kept, to be handed out again"
    )]
    rests: Vec<Box<Rest>>,
    #[expect(clippy::vec_box, reason = "as above")]
    boxes: Vec<Box<Option<Bytes>>>,
}

impl Pool {
    const fn new() -> Pool {
        Pool {
            b512: Vec::new(),
            k4: Vec::new(),
            k16: Vec::new(),
            k64: Vec::new(),
            rests: Vec::new(),
            boxes: Vec::new(),
        }
    }
}

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool::new()) };
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::{
        super::{Block, BlockClass, Buffer},
        *,
    };

    #[test]
    fn the_limit_is_four_mebibytes() {
        assert_eq!(POOL_LIMIT, 4 << 20);
    }

    #[test]
    fn the_pool_is_bounded() {
        trim_pool();
        for class in BlockClass::ALL {
            let blocks: Vec<Block> = (0..1000).map(|_| Block::take(class)).collect();
            drop(blocks);
            assert!(pooled_bytes() <= POOL_LIMIT);
        }
        assert_eq!(pooled_bytes(), POOL_LIMIT);
        trim_pool();
        assert_eq!(pooled_bytes(), 0);
    }

    #[test]
    fn a_block_goes_to_the_thread_that_drops_it() {
        trim_pool();
        let block = thread::spawn(|| Block::take(BlockClass::K16))
            .join()
            .unwrap();
        drop(block);
        assert_eq!(pooled_bytes(), 16384);
    }

    #[test]
    fn buffers_outlive_the_pool() {
        thread_local! {
            static LATE: RefCell<Option<Buffer>> = const { RefCell::new(None) };
        }
        // Locals are destroyed in an order that nobody promises: try both.
        for pool_first in [false, true] {
            let worker = thread::spawn(move || {
                if pool_first {
                    drop(Block::take(BlockClass::K4));
                }
                LATE.with_borrow_mut(|late| {
                    let mut buffer = Buffer::from([1; 10_000].as_slice());
                    buffer.append(&[2; 100_000]).unwrap();
                    *late = Some(buffer);
                });
            });
            worker.join().unwrap();
        }
    }
}
