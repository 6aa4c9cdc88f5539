//! The table of everything registered: slots with generational keys.

use ferrevent_os::Token;

/// A table whose keys are never valid twice: a key that outlives its entry
/// finds nothing.
#[derive(Debug)]
pub(super) struct Table<T> {
    slots: Vec<Slot<T>>,
    free: Option<u32>,
    used: usize,
}

/// Generations end before the bit that marks keys of other things.
const GENERATIONS: u32 = u32::MAX >> 1;

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    content: Content<T>,
}

#[derive(Debug)]
enum Content<T> {
    /// Nothing, and the next free slot.
    Free(Option<u32>),
    Used(T),
    /// Taken out for a while by [`Table::take`]; the key stays valid.
    Taken,
}

impl<T> Table<T> {
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: None,
            used: 0,
        }
    }

    /// How many entries there are, those taken out included.
    pub(super) fn len(&self) -> usize {
        self.used
    }

    /// Makes an entry that knows its own key. `None` when four billion
    /// entries exist already.
    pub(super) fn insert_with(&mut self, make: impl FnOnce(Token) -> T) -> Option<Token> {
        let index = match self.free {
            Some(index) => index,
            None => {
                // The last index is kept out of use, so that no token is the
                // one a backend keeps for itself.
                let index = u32::try_from(self.slots.len())
                    .ok()
                    .filter(|i| *i < u32::MAX)?;
                if self.slots.len() == self.slots.capacity() {
                    // Grow by an eighth: doubling would leave idle memory as
                    // large as the table.
                    let more = (self.slots.len() / 8).max(16);
                    self.slots.reserve_exact(more);
                }
                self.slots.push(Slot {
                    generation: 1,
                    content: Content::Free(None),
                });
                index
            }
        };
        let slot = self.slots.get_mut(index as usize)?;
        if let Content::Free(next) = slot.content {
            self.free = next;
        }
        let token = token(index, slot.generation);
        slot.content = Content::Used(make(token));
        self.used += 1;
        Some(token)
    }

    pub(super) fn get_mut(&mut self, key: Token) -> Option<&mut T> {
        match &mut self.slot_mut(key)?.content {
            Content::Used(entry) => Some(entry),
            _ => None,
        }
    }

    /// Whether the entry was taken out, and its key is still valid.
    #[inline]
    pub(super) fn is_out(&self, key: Token) -> bool {
        let (index, generation) = split(key);
        self.slots.get(index as usize).is_some_and(|slot| {
            slot.generation == generation && matches!(slot.content, Content::Taken)
        })
    }

    /// Whether the key is valid, be its entry taken out or not.
    pub(super) fn contains(&self, key: Token) -> bool {
        let (index, generation) = split(key);
        self.slots
            .get(index as usize)
            .is_some_and(|slot| slot.generation == generation)
    }

    /// Takes an entry out for a while; its key stays valid.
    pub(super) fn take(&mut self, key: Token) -> Option<T> {
        let slot = self.slot_mut(key)?;
        match std::mem::replace(&mut slot.content, Content::Taken) {
            Content::Used(entry) => Some(entry),
            other => {
                slot.content = other;
                None
            }
        }
    }

    /// Puts an entry back where it was taken out.
    pub(super) fn put_back(&mut self, key: Token, entry: T) {
        if let Some(slot) = self.slot_mut(key) {
            slot.content = Content::Used(entry);
        }
    }

    /// Ends a key; returns its entry unless that is taken out.
    pub(super) fn remove(&mut self, key: Token) -> Option<T> {
        let (index, _) = split(key);
        let free = self.free;
        let slot = self.slot_mut(key)?;
        slot.generation = (slot.generation.wrapping_add(1) & GENERATIONS).max(1);
        let content = std::mem::replace(&mut slot.content, Content::Free(free));
        self.free = Some(index);
        self.used -= 1;
        match content {
            Content::Used(entry) => Some(entry),
            _ => None,
        }
    }

    /// Every key and entry, those taken out excepted.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (Token, &mut T)> {
        self.slots
            .iter_mut()
            .enumerate()
            .filter_map(|(index, slot)| match &mut slot.content {
                Content::Used(entry) => Some((token(index as u32, slot.generation), entry)),
                _ => None,
            })
    }

    /// The key of the entry in a place.
    pub(super) fn key_of(&self, place: u32) -> Option<Token> {
        let slot = self.slots.get(place as usize)?;
        Some(token(place, slot.generation))
    }

    fn slot_mut(&mut self, key: Token) -> Option<&mut Slot<T>> {
        let (index, generation) = split(key);
        self.slots
            .get_mut(index as usize)
            .filter(|slot| slot.generation == generation)
    }
}

fn token(index: u32, generation: u32) -> Token {
    Token(u64::from(generation) << 32 | u64::from(index))
}

/// The place that a key tells of.
pub(super) fn place_of(token: Token) -> u32 {
    split(token).0
}

fn split(token: Token) -> (u32, u32) {
    (token.0 as u32, (token.0 >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_finds_nothing() {
        let mut table = Table::new();
        let first = table.insert_with(|_| 'a').unwrap();
        assert_eq!(table.remove(first), Some('a'));
        let second = table.insert_with(|_| 'b').unwrap();
        assert_ne!(first, second);
        assert_eq!(table.get_mut(first), None);
        assert_eq!(table.get_mut(second), Some(&mut 'b'));
        assert_eq!(table.remove(first), None);
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn an_entry_taken_out_keeps_its_key() {
        let mut table = Table::new();
        let key = table.insert_with(|_| 1).unwrap();
        assert_eq!(table.take(key), Some(1));
        assert_eq!(table.take(key), None);
        assert!(table.contains(key));
        table.put_back(key, 2);
        assert_eq!(table.get_mut(key), Some(&mut 2));
        let key = table.insert_with(|_| 3).unwrap();
        assert_eq!(table.take(key), Some(3));
        assert_eq!(table.remove(key), None);
        table.put_back(key, 3);
        assert!(!table.contains(key));
    }
}
