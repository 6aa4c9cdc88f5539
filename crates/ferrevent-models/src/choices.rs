//! Where the operations come from.

use std::fmt::Debug;

use arbitrary::Unstructured;

/// Bytes, read as one choice after another. When they are over, every choice
/// is the first.
///
/// ```
/// use ferrevent_models::Choices;
///
/// let mut choices = Choices::new(&[7, 1]);
/// assert_eq!(choices.below(5), 2);
/// assert!(choices.flag() && choices.is_over());
/// assert_eq!(choices.below(5), 0);
/// ```
#[derive(Debug)]
pub struct Choices<'a>(Unstructured<'a>);

impl<'a> Choices<'a> {
    /// Choices from these bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(Unstructured::new(bytes))
    }

    /// Whether all bytes have been read.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// A number from 0 to `bound - 1`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let last = bound.saturating_sub(1);
        self.0.int_in_range(0..=last).unwrap_or(0)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.arbitrary().unwrap_or(0)
    }

    /// Yes or no.
    pub fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    /// A length: mostly small, sometimes tiny or large.
    pub fn size(&mut self) -> usize {
        match self.below(10) {
            0 => self.below(70_000),
            1..=3 => self.below(5_000),
            4..=5 => self.below(8),
            _ => self.below(200),
        }
    }

    /// The bytes that no choice was made by.
    #[must_use]
    pub fn rest(self) -> &'a [u8] {
        self.0.take_rest()
    }

    /// All operations that the bytes are.
    pub fn all<T>(mut self, mut next: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let mut operations = Vec::new();
        while !self.is_over() {
            operations.push(next(&mut self));
        }
        operations
    }
}

/// Bytes that are always the same for one seed.
///
/// ```
/// use ferrevent_models::random_bytes;
/// assert_ne!(random_bytes(1, 8), random_bytes(2, 8));
/// ```
#[must_use]
pub fn random_bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let word = |_| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(word).collect();
    bytes.truncate(len);
    bytes
}

/// Does every operation, and shows all up to the one that failed, if one does.
pub(crate) fn perform<T: Debug>(operations: &[T], mut act: impl FnMut(&T)) {
    for (n, operation) in operations.iter().enumerate() {
        let shown = ShownOnPanic(&operations[..=n]);
        act(operation);
        std::mem::forget(shown);
    }
}

struct ShownOnPanic<'a, T: Debug>(&'a [T]);

impl<T: Debug> Drop for ShownOnPanic<'_, T> {
    fn drop(&mut self) {
        eprintln!("after these operations:");
        for operation in self.0 {
            eprintln!("    {operation:?}");
        }
    }
}
