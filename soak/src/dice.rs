//! Numbers that look random and follow from a seed.

/// A generator of random numbers (splitmix64: Steele, Lea, Flood, OOPSLA 2014).
///
/// ```
/// use soak::Dice;
/// assert_eq!(Dice::new(7).next(), Dice::new(7).next());
/// ```
#[derive(Clone, Debug)]
pub struct Dice(u64);

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

impl Dice {
    /// A generator that says the same for the same seed.
    ///
    /// ```
    /// let dice = soak::Dice::new(7);
    /// ```
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    ///
    /// ```
    /// let mut dice = soak::Dice::new(7);
    /// assert_ne!(dice.next(), dice.next());
    /// ```
    #[allow(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number from `low` to `high`, both included.
    ///
    /// ```
    /// assert!((3..=5).contains(&soak::Dice::new(7).between(3, 5)));
    /// ```
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        let span = high.saturating_sub(low).saturating_add(1);
        low + self.next() % span
    }

    /// A number from `low` to `high` of which every order of magnitude is as
    /// likely as another.
    ///
    /// ```
    /// assert!((1..=1 << 20).contains(&soak::Dice::new(7).magnitude(1, 1 << 20)));
    /// ```
    pub fn magnitude(&mut self, low: u64, high: u64) -> u64 {
        let bits = |number: u64| u64::from(u64::BITS - number.leading_zeros());
        let size = self.between(bits(low), bits(high));
        let top = 1u64.checked_shl(size as u32).unwrap_or(0).wrapping_sub(1);
        self.between(top / 2, top).clamp(low, high)
    }

    /// True `times` in a hundred.
    ///
    /// ```
    /// assert!(soak::Dice::new(7).percent(100));
    /// ```
    pub fn percent(&mut self, times: u64) -> bool {
        self.next() % 100 < times
    }
}

/// One number from another: a bijection under which neighbours differ in half
/// of their bits.
///
/// ```
/// assert_ne!(soak::mix(1), soak::mix(2));
/// ```
pub fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ number >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ number >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_within_its_bounds() {
        let mut dice = Dice::new(1);
        for _ in 0..10_000 {
            assert!((5..=9).contains(&dice.between(5, 9)));
            assert!((3..=70_000).contains(&dice.magnitude(3, 70_000)));
        }
        assert!((0..1000).any(|_| dice.magnitude(1, 1 << 30) < 1000));
        assert!((0..1000).any(|_| dice.magnitude(1, 1 << 30) > 1 << 28));
    }
}
