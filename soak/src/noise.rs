//! Bytes that follow from their place in a stream.

use crate::dice::mix;

const WORD: usize = 8;

/// A stream of bytes in which each follows from a seed and its offset: one that
/// is lost, doubled, changed or out of place is found, and so is a byte of
/// another stream.
///
/// ```
/// use soak::Noise;
///
/// let mut bytes = [0; 100];
/// Noise::new(7).fill(&mut bytes);
/// let mut expected = Noise::new(7);
/// assert_eq!(expected.check(&bytes[..33]), None);
/// assert_eq!(expected.check(&bytes[33..]), None);
/// // The second byte is missing, which its successor tells.
/// assert_eq!(Noise::new(7).check(&[bytes[0], bytes[2]]), Some(1));
/// ```
#[derive(Clone, Debug)]
pub struct Noise {
    seed: u64,
    at: u64,
}

impl Noise {
    /// The stream of this seed, from its beginning.
    ///
    /// ```
    /// assert_eq!(soak::Noise::new(7).at(), 0);
    /// ```
    pub fn new(seed: u64) -> Self {
        Self {
            seed: mix(seed),
            at: 0,
        }
    }

    /// The offset of the next byte.
    ///
    /// ```
    /// let mut noise = soak::Noise::new(7);
    /// noise.fill(&mut [0; 5]);
    /// assert_eq!(noise.at(), 5);
    /// ```
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The next bytes.
    ///
    /// ```
    /// soak::Noise::new(7).fill(&mut [0; 5]);
    /// ```
    pub fn fill(&mut self, bytes: &mut [u8]) {
        let (head, body) = bytes.split_at_mut(self.to_next_word(bytes.len()));
        let word = self.word();
        for (byte, noise) in head.iter_mut().zip(&word[self.within_word()..]) {
            *byte = *noise;
        }
        self.at += head.len() as u64;
        for piece in body.chunks_mut(WORD) {
            piece.copy_from_slice(&self.word()[..piece.len()]);
            self.at += piece.len() as u64;
        }
    }

    /// Whether these are the next bytes: the offset of the first that is not.
    ///
    /// ```
    /// assert!(soak::Noise::new(7).check(&[0; 100]).is_some());
    /// ```
    #[must_use]
    pub fn check(&mut self, bytes: &[u8]) -> Option<u64> {
        let mut wrong = None;
        let (head, body) = bytes.split_at(self.to_next_word(bytes.len()));
        let within = self.within_word();
        self.check_piece(head, within, &mut wrong);
        for piece in body.chunks(WORD) {
            self.check_piece(piece, 0, &mut wrong);
        }
        wrong
    }

    fn check_piece(&mut self, piece: &[u8], within: usize, wrong: &mut Option<u64>) {
        let word = self.word();
        let expected = &word[within..within + piece.len()];
        if piece != expected && wrong.is_none() {
            let differs = piece.iter().zip(expected).position(|(a, b)| a != b);
            *wrong = Some(self.at + differs.unwrap_or(0) as u64);
        }
        self.at += piece.len() as u64;
    }

    /// How many of the next bytes complete a word that was begun.
    fn to_next_word(&self, len: usize) -> usize {
        ((WORD - self.within_word()) % WORD).min(len)
    }

    fn within_word(&self) -> usize {
        (self.at % WORD as u64) as usize
    }

    /// The word in which the next byte is.
    fn word(&self) -> [u8; WORD] {
        mix(self.seed.wrapping_add(self.at / WORD as u64)).to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dice;

    #[test]
    fn pieces_of_every_size_make_the_same_stream() {
        let mut whole = vec![0; 5000];
        Noise::new(3).fill(&mut whole);
        let mut dice = Dice::new(1);
        for _ in 0..200 {
            let (mut made, mut checked) = (Noise::new(3), Noise::new(3));
            let mut at = 0;
            while at < whole.len() {
                let len = (dice.between(0, 40) as usize).min(whole.len() - at);
                let mut piece = vec![0; len];
                made.fill(&mut piece);
                assert_eq!(piece, whole[at..at + len]);
                assert_eq!(checked.check(&piece), None);
                at += len;
            }
            assert_eq!(made.at(), 5000);
        }
    }

    #[test]
    fn every_changed_byte_is_found() {
        let mut whole = vec![0; 100];
        Noise::new(3).fill(&mut whole);
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            let mut noise = Noise::new(3);
            // Off the words' edges.
            assert_eq!(
                noise.check(&changed[..3]).or(noise.check(&changed[3..])),
                Some(at as u64)
            );
        }
    }
}
