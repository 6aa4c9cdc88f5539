//! Where the timers wait that are not due: levels of 64 slots, each level 64
//! times coarser than the one below.

/// Bits of a deadline that choose the slot within a level.
const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
const LEVELS: usize = (u64::BITS as usize).div_ceil(BITS as usize);
/// Records in a chunk of half a kilobyte.
const CAPACITY: usize = 31;
/// Free chunks that a sweep passes over before it gives up for this time.
const SWEEP_AHEAD: usize = 16;
const NONE: u32 = u32::MAX;
const FREE: u16 = u16::MAX;

/// Says that a timer is to be looked at when `deadline` has come.
#[derive(Clone, Copy, Default)]
pub(super) struct Record {
    pub(super) deadline: u64,
    pub(super) index: u32,
    pub(super) stamp: u32,
}

#[derive(Clone, Copy)]
pub(super) struct Chunk {
    records: [Record; CAPACITY],
    /// The next chunk of the slot, or of the free list.
    next: u32,
    len: u16,
    /// The slot that this chunk belongs to, `FREE` in the free list.
    slot: u16,
}

#[derive(Clone, Copy)]
struct Slot {
    head: u32,
    /// Records in all chunks, stale ones included.
    len: u32,
    /// The earliest of them, or one still earlier that a sweep dropped.
    earliest: Record,
}

/// The first slot that has records.
#[derive(Clone, Copy)]
pub(super) struct First {
    slot: usize,
    pub(super) len: usize,
    /// No record of the wheel is earlier.
    pub(super) earliest: Record,
    /// The first and the last instant that the slot stands for.
    pub(super) start: u64,
    pub(super) last: u64,
}

pub(super) struct Wheel {
    /// No record is at or before this instant. The level and slot of a
    /// record are those of the highest digit (of `BITS` bits) in which its
    /// deadline differs from this; so all records of a level come before
    /// those of the levels above, and within a level slots are in order.
    settled: u64,
    /// The slots in use: a bit for a slot, a word for a level.
    occupied: [u64; LEVELS],
    /// The levels in use, a bit for each.
    levels: u32,
    /// As many levels as were ever needed.
    slots: Vec<Slot>,
    chunks: Vec<Chunk>,
    free: u32,
    records: usize,
    /// The chunk that the next sweep starts at.
    sweep_at: usize,
}

impl Wheel {
    pub(super) const fn new(settled: u64) -> Self {
        Self {
            settled,
            occupied: [0; LEVELS],
            levels: 0,
            slots: Vec::new(),
            chunks: Vec::new(),
            free: NONE,
            records: 0,
            sweep_at: 0,
        }
    }

    pub(super) const fn settled(&self) -> u64 {
        self.settled
    }

    /// Moves the settled instant forward. Either no record is before the
    /// end of the slot that it lies in, or it lies in a slot just taken.
    pub(super) fn settle(&mut self, instant: u64) {
        debug_assert!(instant >= self.settled);
        self.settled = instant;
    }

    /// Records, stale ones included.
    pub(super) const fn len(&self) -> usize {
        self.records
    }

    /// Adds a record whose deadline is after the settled instant.
    #[inline]
    pub(super) fn push(&mut self, record: Record) {
        debug_assert!(record.deadline > self.settled);
        // `| 1` changes no level and spares a case for zero.
        let level = ((record.deadline ^ self.settled) | 1).ilog2() / BITS;
        let digit = (record.deadline >> (level * BITS)) as usize % SLOTS;
        let number = level as usize * SLOTS + digit;
        if number >= self.slots.len() {
            self.grow_levels(level as usize);
        }
        self.occupied[level as usize] |= 1 << digit;
        self.levels |= 1 << level;
        self.records += 1;
        let slot = &mut self.slots[number];
        if slot.len == 0 || record.deadline < slot.earliest.deadline {
            slot.earliest = record;
        }
        slot.len += 1;
        // The order within a slot is of no concern: the due list sorts.
        if let Some(chunk) = self.chunks.get_mut(slot.head as usize)
            && let Some(place) = chunk.records.get_mut(chunk.len as usize)
        {
            *place = record;
            chunk.len += 1;
        } else {
            self.push_chunk(number, record);
        }
    }

    #[inline]
    pub(super) fn first(&self) -> Option<First> {
        if self.levels == 0 {
            return None;
        }
        let level = self.levels.trailing_zeros();
        let digit = self.occupied[level as usize].trailing_zeros();
        let number = level as usize * SLOTS + digit as usize;
        let shift = level * BITS;
        let above = u64::MAX.checked_shl(shift + BITS).unwrap_or(0);
        let start = (self.settled & above) | (u64::from(digit) << shift);
        let slot = &self.slots[number];
        Some(First {
            slot: number,
            len: slot.len as usize,
            earliest: slot.earliest,
            start,
            last: start | ((1 << shift) - 1),
        })
    }

    /// Whether a slot finer than `first` exists to move its records to.
    pub(super) const fn can_split(first: &First) -> bool {
        first.slot >= SLOTS
    }

    /// Empties the slot; its records are in the chain, to be unlinked.
    pub(super) fn take(&mut self, first: &First) -> Chain {
        self.records -= first.len;
        Chain(self.clear_slot(first.slot))
    }

    /// Frees the first chunk of a chain and returns what it held.
    #[inline]
    pub(super) fn unlink(&mut self, chain: &mut Chain) -> Option<Chunk> {
        let number = chain.0;
        // A copy, so that the place can be used again at once: a cascade
        // then needs hardly more memory than it frees.
        let chunk = *self.chunks.get(number as usize)?;
        chain.0 = chunk.next;
        self.release(number);
        Some(chunk)
    }

    /// Drops the stale records of one chunk, joins it with the next chunk of
    /// its slot if both fit in one, and moves on to another chunk.
    pub(super) fn sweep(&mut self, mut is_live: impl FnMut(&Record) -> bool) {
        let ahead = self.chunks.iter().skip(self.sweep_at).take(SWEEP_AHEAD);
        let Some(skip) = ahead.into_iter().position(|chunk| chunk.slot != FREE) else {
            self.sweep_at += SWEEP_AHEAD;
            if self.sweep_at >= self.chunks.len() {
                self.sweep_at = 0;
            }
            return;
        };
        let number = self.sweep_at + skip;
        self.sweep_at = number + 1;
        let chunk = &mut self.chunks[number];
        let dropped = chunk.retain(&mut is_live);
        let (slot, next, len) = (chunk.slot as usize, chunk.next, chunk.len as usize);
        self.records -= dropped;
        self.slots[slot].len -= dropped as u32;
        if self.slots[slot].len == 0 {
            let mut chain = Chain(self.clear_slot(slot));
            while self.unlink(&mut chain).is_some() {}
        } else if let Some(&second) = self.chunks.get(next as usize)
            && len + second.records().len() <= CAPACITY
        {
            let chunk = &mut self.chunks[number];
            chunk.extend(second.records());
            chunk.next = second.next;
            self.release(next);
        }
    }

    /// Removes everything, keeps the memory.
    pub(super) fn clear(&mut self) {
        while let Some(first) = self.first() {
            self.clear_slot(first.slot);
        }
        self.chunks.clear();
        self.free = NONE;
        self.records = 0;
    }

    pub(super) fn shrink(&mut self) {
        self.chunks.shrink_to_fit();
        if self.records == 0 {
            self.slots = Vec::new();
        }
    }

    /// All records, stale ones included.
    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        let used = self.chunks.iter().filter(|chunk| chunk.slot != FREE);
        used.flat_map(Chunk::records)
    }

    fn clear_slot(&mut self, number: usize) -> u32 {
        let (level, digit) = (number / SLOTS, number % SLOTS);
        self.occupied[level] &= !(1 << digit);
        if self.occupied[level] == 0 {
            self.levels &= !(1 << level);
        }
        let slot = &mut self.slots[number];
        slot.len = 0;
        std::mem::replace(&mut slot.head, NONE)
    }

    #[cold]
    fn grow_levels(&mut self, level: usize) {
        let empty = Slot {
            head: NONE,
            len: 0,
            earliest: Record::default(),
        };
        self.slots.resize((level + 1) * SLOTS, empty);
    }

    /// Puts a record in a new chunk at the head of the slot.
    #[inline(never)]
    fn push_chunk(&mut self, slot: usize, record: Record) {
        if self.free == NONE {
            // Fewer chunks than timers, of which there are fewer than 2^32.
            self.free = self.chunks.len() as u32;
            self.chunks.push(Chunk::EMPTY);
        }
        let number = self.free;
        // In place: what a used chunk held need not be overwritten.
        let chunk = &mut self.chunks[number as usize];
        self.free = chunk.next;
        chunk.next = std::mem::replace(&mut self.slots[slot].head, number);
        chunk.slot = slot as u16; // less than LEVELS * SLOTS
        chunk.len = 1;
        chunk.records[0] = record;
    }

    fn release(&mut self, number: u32) {
        let chunk = &mut self.chunks[number as usize];
        chunk.slot = FREE;
        chunk.next = self.free;
        self.free = number;
    }
}

/// The chunks of a slot that was emptied.
pub(super) struct Chain(u32);

impl Chunk {
    const EMPTY: Self = Self {
        records: [Record {
            deadline: 0,
            index: 0,
            stamp: 0,
        }; CAPACITY],
        next: NONE,
        len: 0,
        slot: FREE,
    };

    #[inline]
    pub(super) fn records(&self) -> &[Record] {
        &self.records[..self.len as usize]
    }

    /// Keeps the records that pass, returns how many did not.
    fn retain(&mut self, mut keep: impl FnMut(&Record) -> bool) -> usize {
        let before = self.len as usize;
        let mut kept = 0;
        for at in 0..before {
            let record = self.records[at];
            if keep(&record) {
                self.records[kept] = record;
                kept += 1;
            }
        }
        self.len = kept as u16;
        before - kept
    }

    fn extend(&mut self, records: &[Record]) {
        let len = self.len as usize;
        self.records[len..len + records.len()].copy_from_slice(records);
        self.len += records.len() as u16;
    }
}

#[cfg(test)]
impl Wheel {
    pub(super) fn allocated(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>() + self.chunks.capacity() * size_of::<Chunk>()
    }
}
