//! The provided buffers: blocks lent to the kernel before there is anything to
//! receive, in a ring that it takes them from (io_uring_register_buf_ring(3)).
//!
//! The kernel owns every block that is published; one that it filled is named
//! by a completion, and is ours from then on. So a connection that is idle
//! owns none.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use ferrevent_core::buffer::{Block, BlockClass};
use io_uring::types::BufRingEntry;

use super::ring::Ring;

/// The number under which the buffers are registered.
pub(super) const GROUP: u16 = 0;
/// Places in the ring: so many blocks can be lent at most.
const PLACES: u16 = 1024;
/// Blocks that are lent at first. The kernel is lent as many again each time
/// that more receives than half as many found none, until there has been
/// nothing to do for a while. A few that take many each do not count: they can
/// wait, and the fewer blocks go round, the more of them are in the caches.
const AT_FIRST: u16 = 64;
const CLASS: BlockClass = BlockClass::K16;
/// Bytes of each.
pub(super) const BUFFER: usize = CLASS.capacity();

#[derive(Debug)]
pub(super) struct Buffers {
    /// Shared with the kernel: the entries, and the tail inside the first.
    entries: Pages,
    tail: u16,
    /// What is lent, by buffer id. Ids past the end were never lent.
    lent: Vec<Lent>,
    /// The id at each place of the ring, as the kernel sees it.
    ids: Box<[u16]>,
    most: u16,
    /// Receives that found no buffer since completions were taken last.
    starved: usize,
}

#[derive(Debug)]
struct Lent {
    block: Block,
    /// Where in the ring it was published last.
    place: u16,
}

impl Buffers {
    /// Registers buffers with a ring.
    pub(super) fn new(ring: &Ring, small: bool) -> io::Result<Self> {
        let entries = Pages::new(usize::from(PLACES) * size_of::<BufRingEntry>())?;
        // SAFETY: the pages hold PLACES entries, begin at a page, and are
        // unmapped only after the ring has been closed (see `Backend`).
        unsafe {
            ring.inner().submitter().register_buf_ring_with_flags(
                entries.start.as_ptr() as u64,
                PLACES,
                GROUP,
                0,
            )?;
        }
        let mut buffers = Self {
            entries,
            tail: 0,
            lent: Vec::new(),
            ids: vec![0; usize::from(PLACES)].into(),
            most: if small { 2 } else { PLACES },
            starved: 0,
        };
        buffers.lend_more(if small { 1 } else { AT_FIRST });
        Ok(buffers)
    }

    /// Takes back the buffers that a completion fills with so many bytes: the
    /// one that it names, and those that were published after it.
    pub(super) fn take(&mut self, id: u16, len: usize, mut sink: impl FnMut(Block, usize)) {
        let Some(first) = self.lent.get(usize::from(id)) else {
            return;
        };
        let (mut place, mut left) = (first.place, len);
        while left > 0 {
            let id = self.ids[usize::from(place & (PLACES - 1))];
            let Some(lent) = self.lent.get_mut(usize::from(id)) else {
                break;
            };
            let len = left.min(BUFFER);
            let block = if lent.block.is_worth(len) {
                std::mem::replace(&mut lent.block, Block::take(CLASS))
            } else {
                Block::copy_of(&lent.block.as_slice()[..len])
            };
            sink(block, len);
            self.publish(id);
            (place, left) = (place.wrapping_add(1), left - len);
        }
        self.tell();
    }

    /// Gives a buffer back to the kernel that it had taken in vain.
    pub(super) fn put_back(&mut self, id: u16) {
        if usize::from(id) < self.lent.len() {
            self.publish(id);
            self.tell();
        }
    }

    /// Whether more are lent than in the beginning.
    pub(super) fn are_many(&self) -> bool {
        self.lent.len() > usize::from(AT_FIRST)
    }

    /// Completions are about to be taken.
    pub(super) fn begin(&mut self) {
        self.starved = 0;
    }

    /// The kernel ran out of buffers for one receive more: if that are many,
    /// it gets as many buffers again.
    pub(super) fn ran_out(&mut self) {
        self.starved += 1;
        if self.starved <= self.lent.len() / 2 {
            return;
        }
        self.starved = 0;
        let lent = u16::try_from(self.lent.len()).unwrap_or(self.most);
        self.lend_more(lent.min(self.most - lent.min(self.most)));
    }

    fn lend_more(&mut self, count: u16) {
        for _ in 0..count {
            let id = self.lent.len() as u16;
            let block = Block::take(CLASS);
            self.lent.push(Lent { block, place: 0 });
            self.publish(id);
        }
        self.tell();
    }

    /// Writes an entry behind the others.
    fn publish(&mut self, id: u16) {
        let Some(lent) = self.lent.get_mut(usize::from(id)) else {
            return;
        };
        lent.place = self.tail;
        let memory = lent.block.as_mut_slice();
        let place = usize::from(self.tail & (PLACES - 1));
        self.ids[place] = id;
        // SAFETY: `place` is below PLACES, and there are that many entries.
        // The kernel reads an entry only after the tail has passed it, and it
        // has at most PLACES of them, so this one is ours now. An entry's
        // fourth field, the tail if it is the first, is not touched.
        unsafe {
            let entry = &mut *self.entries.start.as_ptr().add(place);
            entry.set_addr(memory.as_mut_ptr() as u64);
            entry.set_len(memory.len() as u32);
            entry.set_bid(id);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    /// Lets the kernel see what was published.
    fn tell(&self) {
        // SAFETY: the tail lies inside the pages, is aligned, and is only ever
        // written here, while the kernel reads it: an atomic store does that.
        let tail = unsafe {
            AtomicU16::from_ptr(BufRingEntry::tail(self.entries.start.as_ptr()).cast_mut())
        };
        tail.store(self.tail, Ordering::Release);
    }
}

/// Anonymous memory that begins at a page.
#[derive(Debug)]
struct Pages {
    start: NonNull<BufRingEntry>,
    len: usize,
}

// SAFETY: it is plain memory, and whoever holds the `Buffers` holds it alone.
unsafe impl Send for Pages {}

impl Pages {
    fn new(len: usize) -> io::Result<Self> {
        // SAFETY: asks for new memory at no particular place.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, len })
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and nobody's any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
