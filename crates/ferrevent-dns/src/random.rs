//! What must not be guessed: ids, and the case of letters.

/// Bytes from a source that nobody can foretell, fetched many at a time.
pub(crate) struct Random {
    source: Box<Source>,
    pool: [u8; 256],
    used: usize,
}

type Source = dyn FnMut(&mut [u8]) + Send;

impl Random {
    pub(crate) fn new(source: impl FnMut(&mut [u8]) + Send + 'static) -> Self {
        let pool = [0; 256];
        Self {
            source: Box::new(source),
            used: pool.len(),
            pool,
        }
    }

    pub(crate) fn byte(&mut self) -> u8 {
        if self.used == self.pool.len() {
            (self.source)(&mut self.pool);
            self.used = 0;
        }
        let byte = std::mem::take(&mut self.pool[self.used]);
        self.used += 1;
        byte
    }

    pub(crate) fn id(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// Turns letters large or small at random.
    pub(crate) fn vary_case(&mut self, bytes: &mut [u8]) {
        let (mut coins, mut left) = (0, 0);
        for byte in bytes.iter_mut().filter(|byte| byte.is_ascii_alphabetic()) {
            if left == 0 {
                (coins, left) = (self.byte(), 8);
            }
            *byte = (*byte & !0x20) | ((coins & 1) << 5);
            (coins, left) = (coins >> 1, left - 1);
        }
    }
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random")
    }
}
