//! The timers themselves, at fixed places, so that an id finds its timer in
//! one step.

use super::TimerId;

/// One timer, or a free place. 32 bytes with an 8-byte payload.
#[derive(Clone, Copy)]
pub(super) struct Entry<T> {
    pub(super) deadline: u64,
    /// Orders timers of one deadline: greater was set later.
    pub(super) seq: u64,
    pub(super) payload: T,
    /// Odd while the place is taken, even while it is free.
    generation: u32,
    /// The one record (see `wheel`) that stands for this timer carries this
    /// value; records with another value are stale.
    pub(super) stamp: u32,
}

pub(super) struct Slab<T> {
    entries: Vec<Entry<T>>,
    /// Free places. A stack beside the entries rather than a list threaded
    /// through them: after a million timers fired in random order, following
    /// such a list would be a chain of cache misses.
    free: Vec<u32>,
    /// Where the generations of a new place start, so that ids given out
    /// before `shrink` dropped a place stay dead when it comes back.
    first_generation: u32,
}

impl<T: Copy> Slab<T> {
    pub(super) const fn new() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            first_generation: 1,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Takes a place; its stamp is one that no record of it carries.
    pub(super) fn insert(&mut self, deadline: u64, seq: u64, payload: T) -> (TimerId, u32) {
        let Some(index) = self.free.pop() else {
            return self.grow(deadline, seq, payload);
        };
        let entry = &mut self.entries[index as usize];
        entry.deadline = deadline;
        entry.seq = seq;
        entry.payload = payload;
        entry.generation = entry.generation.wrapping_add(1);
        (TimerId::new(index, entry.generation), entry.stamp)
    }

    pub(super) fn find(&self, id: TimerId) -> Option<&Entry<T>> {
        self.entries
            .get(id.index as usize)
            .filter(|entry| entry.generation == id.generation.get())
    }

    pub(super) fn find_mut(&mut self, id: TimerId) -> Option<&mut Entry<T>> {
        self.entries
            .get_mut(id.index as usize)
            .filter(|entry| entry.generation == id.generation.get())
    }

    /// The timer that a record stands for; `None` if the record is stale.
    pub(super) fn recorded(&self, index: u32, stamp: u32) -> Option<&Entry<T>> {
        self.entries
            .get(index as usize)
            .filter(|entry| entry.stamp == stamp && entry.generation & 1 == 1)
    }

    pub(super) fn remove(&mut self, id: TimerId) -> Option<T> {
        let entry = self.find_mut(id)?;
        entry.generation = entry.generation.wrapping_add(1);
        entry.stamp = entry.stamp.wrapping_add(1);
        let payload = entry.payload;
        self.free.push(id.index);
        Some(payload)
    }

    /// The id of the timer at `index`, if the place is taken.
    pub(super) fn id_at(&self, index: u32) -> Option<TimerId> {
        let entry = self.entries.get(index as usize)?;
        (entry.generation & 1 == 1).then(|| TimerId::new(index, entry.generation))
    }

    pub(super) fn payloads(&self) -> impl Iterator<Item = T> {
        let taken = self
            .entries
            .iter()
            .filter(|entry| entry.generation & 1 == 1);
        taken.map(|entry| entry.payload)
    }

    /// Drops the free places at the end and gives the memory back.
    pub(super) fn shrink(&mut self) {
        while let Some(entry) = self.entries.last()
            && entry.generation & 1 == 0
        {
            // Even, so the next one is odd: taken.
            self.first_generation = self.first_generation.max(entry.generation.wrapping_add(1));
            self.entries.pop();
        }
        let len = self.entries.len();
        self.free.retain(|&index| (index as usize) < len);
        self.free.shrink_to_fit();
        self.entries.shrink_to_fit();
    }

    fn grow(&mut self, deadline: u64, seq: u64, payload: T) -> (TimerId, u32) {
        let index = self.entries.len();
        assert!(index < u32::MAX as usize, "2^32 - 1 timers are pending");
        self.entries.push(Entry {
            deadline,
            seq,
            payload,
            generation: self.first_generation,
            stamp: 0,
        });
        (TimerId::new(index as u32, self.first_generation), 0)
    }
}

#[cfg(test)]
impl<T: Copy> Slab<T> {
    pub(super) fn allocated(&self) -> usize {
        self.entries.capacity() * size_of::<Entry<T>>() + self.free.capacity() * size_of::<u32>()
    }
}
