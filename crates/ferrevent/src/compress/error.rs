//! What goes wrong with compression.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::RangeInclusive;

use super::Format;
use crate::CloseReason;

/// An error of compression. A stream that ends by one has
/// [`CloseReason::Failed`] with it inside: [`CompressError::of`] finds it.
///
/// ```
/// use ferrevent::CloseReason;
/// use ferrevent::compress::CompressError;
///
/// fn was_a_bomb(reason: &CloseReason) -> bool {
///     matches!(CompressError::of(reason), Some(CompressError::Bomb { .. }))
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum CompressError {
    /// The peer ended the connection within a frame, or before the first: what
    /// came may not be all that it wanted to send.
    Truncated(Format),
    /// What the peer sends does not begin as the format does.
    Foreign(Format),
    /// A frame is damaged.
    Corrupt {
        /// What it should be.
        format: Format,
        /// What the library says of it.
        problem: String,
    },
    /// A frame is of a kind that is not supported: it needs a dictionary, or
    /// is of a version before the frame format.
    Unsupported {
        /// What it is.
        format: Format,
        /// What about it.
        problem: String,
    },
    /// A frame needs more memory than [`Bounds::window`](super::Bounds::window).
    Window {
        /// What it is.
        format: Format,
        /// How much is allowed, in bytes.
        limit: usize,
    },
    /// More came out than [`Bounds::ratio`](super::Bounds::ratio) and
    /// [`Bounds::free`](super::Bounds::free) allow.
    Bomb {
        /// What it is.
        format: Format,
        /// So many bytes came.
        packed: u64,
        /// So many came out of them, and there was more.
        plain: u64,
    },
    /// There is no such level.
    Level {
        /// Of this format.
        format: Format,
        /// What was asked for.
        level: i32,
    },
    /// The library could not begin: there is no memory.
    OutOfMemory,
}

impl CompressError {
    /// The error of compression that a stream ended by.
    ///
    /// ```
    /// use ferrevent::CloseReason;
    /// use ferrevent::compress::CompressError;
    /// assert!(CompressError::of(&CloseReason::Finished).is_none());
    /// ```
    pub fn of(reason: &CloseReason) -> Option<&CompressError> {
        match reason {
            CloseReason::Failed { error, .. } => error.get_ref()?.downcast_ref(),
            _ => None,
        }
    }
}

impl fmt::Display for CompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CompressError::Truncated(format) => write!(
                f,
                "the peer ended the connection within {format} data: what it sent may be incomplete"
            ),
            CompressError::Foreign(format) => write!(f, "this is no {format}"),
            CompressError::Corrupt { format, problem } => {
                write!(f, "the {format} data is damaged: {problem}")
            }
            CompressError::Unsupported { format, problem } => {
                write!(f, "this kind of {format} data is not supported: {problem}")
            }
            CompressError::Window { format, limit } => write!(
                f,
                "the {format} data needs more memory than the {limit} bytes that are allowed"
            ),
            CompressError::Bomb {
                format,
                packed,
                plain,
            } => write!(
                f,
                "a decompression bomb: {packed} bytes of {format} have become {plain}, \
                 and that is more than is allowed"
            ),
            CompressError::Level { format, level } => {
                let levels: RangeInclusive<i32> = format.levels();
                let (low, high) = (levels.start(), levels.end());
                write!(
                    f,
                    "{format} has no level {level}: they go from {low} to {high}"
                )
            }
            CompressError::OutOfMemory => f.write_str("there is no memory for compression"),
        }
    }
}

impl Error for CompressError {}

impl From<CompressError> for io::Error {
    fn from(error: CompressError) -> Self {
        let kind = match &error {
            CompressError::Truncated(_) => io::ErrorKind::UnexpectedEof,
            CompressError::Level { .. } => io::ErrorKind::InvalidInput,
            CompressError::OutOfMemory => io::ErrorKind::OutOfMemory,
            _ => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, error)
    }
}
