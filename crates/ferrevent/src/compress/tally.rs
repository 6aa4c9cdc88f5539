//! What compression came to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counts of one compressed stream. They are read from anywhere, while it
/// runs and when it is gone.
///
/// ```
/// use ferrevent::compress::{Compression, Format};
/// use ferrevent::Stream;
/// fn opened(stream: &Stream<'_>) {
///     let tally = stream.compression().map(|it| it.tally());
///     println!("{:?}", tally.map(|it| it.sent()));
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    plain_sent: AtomicU64,
    packed_sent: AtomicU64,
    plain_received: AtomicU64,
    packed_received: AtomicU64,
}

/// Bytes of one direction, before and after.
///
/// ```
/// use ferrevent::compress::Passed;
/// let passed = Passed { plain: 3000, packed: 1000 };
/// assert_eq!(passed.ratio(), Some(3.0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// As the handler has them.
    pub plain: u64,
    /// Compressed.
    pub packed: u64,
}

impl Passed {
    /// How many bytes became one, or came of it; none before the first.
    ///
    /// ```
    /// use ferrevent::compress::Passed;
    /// assert_eq!(Passed::default().ratio(), None);
    /// ```
    pub fn ratio(&self) -> Option<f64> {
        (self.packed > 0).then(|| self.plain as f64 / self.packed as f64)
    }
}

impl Tally {
    /// What was written and taken to be compressed, and what became of it as
    /// far as it was put out.
    ///
    /// ```
    /// use ferrevent::compress::Tally;
    /// fn print(tally: &Tally) {
    ///     println!("{} bytes became {}", tally.sent().plain, tally.sent().packed);
    /// }
    /// ```
    pub fn sent(&self) -> Passed {
        Passed {
            plain: self.0.plain_sent.load(Ordering::Relaxed),
            packed: self.0.packed_sent.load(Ordering::Relaxed),
        }
    }

    /// What came out of what was received, and what was taken for that.
    ///
    /// ```
    /// use ferrevent::compress::Tally;
    /// fn print(tally: &Tally) {
    ///     println!("{:?}", tally.received().ratio());
    /// }
    /// ```
    pub fn received(&self) -> Passed {
        Passed {
            plain: self.0.plain_received.load(Ordering::Relaxed),
            packed: self.0.packed_received.load(Ordering::Relaxed),
        }
    }

    pub(super) fn note_sent(&self, passed: Passed) {
        self.0.plain_sent.store(passed.plain, Ordering::Relaxed);
        self.0.packed_sent.store(passed.packed, Ordering::Relaxed);
    }

    pub(super) fn note_received(&self, passed: Passed) {
        self.0.plain_received.store(passed.plain, Ordering::Relaxed);
        self.0
            .packed_received
            .store(passed.packed, Ordering::Relaxed);
    }
}
