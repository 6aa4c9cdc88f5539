//! What can go wrong with a buffer, and which end of it is meant.

use std::{error, fmt, io};

/// One end of a [`Buffer`](super::Buffer).
///
/// ```
/// use ferrevent_core::buffer::{Buffer, BufferError, End};
///
/// let mut buffer = Buffer::from(b"abc".as_slice());
/// buffer.freeze(End::Front);
/// assert_eq!(buffer.drain(1), Err(BufferError::Frozen(End::Front)));
/// buffer.append(b"def")?;
/// # Ok::<(), BufferError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// Where bytes leave.
    Front,
    /// Where bytes arrive.
    Back,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            End::Front => "front",
            End::Back => "back",
        })
    }
}

/// Why a buffer refused an operation. The buffer is then as it was before.
///
/// Converts into an [`io::Error`] of kind [`io::ErrorKind::Other`].
///
/// ```
/// use ferrevent_core::buffer::{Buffer, BufferError, Eol};
///
/// let mut buffer = Buffer::from(b"a line without an end".as_slice());
/// let error = buffer.read_line(Eol::Lf, 8).unwrap_err();
/// assert_eq!(error, BufferError::TooLong { limit: 8 });
/// assert!(error.to_string().contains("8 bytes"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BufferError {
    /// This end is frozen: the bytes there are lent out, usually to the kernel.
    Frozen(End),
    /// A file range lies in the way: its bytes are not in memory.
    FileRange,
    /// A line is longer than the bound its reader gave, or the buffer would grow beyond
    /// [`Buffer::MAX_LEN`](super::Buffer::MAX_LEN), or one extent beyond
    /// [`Buffer::MAX_EXTENT`](super::Buffer::MAX_EXTENT).
    TooLong {
        /// The bound, in bytes.
        limit: usize,
    },
    /// A count names more bytes than there are.
    OutOfRange {
        /// The count given, in bytes.
        asked: usize,
        /// The largest count that would have been right, in bytes.
        limit: usize,
    },
}

impl fmt::Display for BufferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BufferError::Frozen(end) => {
                write!(
                    f,
                    "the {end} of the buffer is frozen; try again once it is unfrozen"
                )
            }
            BufferError::FileRange => f.write_str(
                "a file range lies in the way; have the backend fill it with its bytes first",
            ),
            BufferError::TooLong { limit } => {
                write!(
                    f,
                    "longer than {limit} bytes; raise the limit or refuse the sender"
                )
            }
            BufferError::OutOfRange { asked, limit } => {
                write!(
                    f,
                    "{asked} bytes were named where there are {limit}; name fewer"
                )
            }
        }
    }
}

impl error::Error for BufferError {}

impl From<BufferError> for io::Error {
    fn from(error: BufferError) -> Self {
        io::Error::other(error)
    }
}
