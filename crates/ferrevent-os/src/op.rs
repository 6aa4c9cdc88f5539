//! Operations and their completions: the boundary between the engine and
//! every kernel interface.
//!
//! An operation is submitted on a [`Port`](crate::Port) and completes exactly
//! once, unless its port is closed first: then the backend keeps whatever the
//! kernel may still touch and tells nobody. A receive carries no buffer: its
//! completion brings filled blocks. A send owns the bytes that it sends,
//! pinned by reference count, until it completes.

use std::io;

use ferrevent_core::buffer::{Block, Buffer, BufferError, Pinned};
use socket2::SockAddr;

use crate::sys::fd::OwnedFd;

/// The engine's key for a port, a watch or nothing at all; a backend only
/// gives it back. Generations make stale ones harmless, so a backend need not
/// search its queues when a port closes.
///
/// ```
/// use ferrevent_os::Token;
/// assert_ne!(Token(1), Token(2));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u64);

/// What may be asked of a port.
///
/// ```
/// use ferrevent_core::buffer::Buffer;
/// use ferrevent_os::Op;
/// let op = Op::Send(Buffer::from(&b"hello"[..]).pin(usize::MAX, 16));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Op {
    /// Receive what has come, at least a byte.
    Receive,
    /// Send these bytes, or the first of them.
    Send(Pinned),
    /// Take a pending connection from a listening socket.
    Accept,
    /// Connect the socket to this address.
    Connect(Box<SockAddr>),
}

/// The name of an operation, without what it carries. A port has at most one
/// of each kind in flight.
///
/// ```
/// use ferrevent_os::{Op, OpKind};
/// assert_eq!(Op::Receive.kind(), OpKind::Receive);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is the operation of that name")]
pub enum OpKind {
    Receive,
    Send,
    Accept,
    Connect,
}

impl Op {
    /// Which kind this is.
    ///
    /// ```
    /// use ferrevent_os::{Op, OpKind};
    /// assert_eq!(Op::Accept.kind(), OpKind::Accept);
    /// ```
    pub fn kind(&self) -> OpKind {
        match self {
            Op::Receive => OpKind::Receive,
            Op::Send(_) => OpKind::Send,
            Op::Accept => OpKind::Accept,
            Op::Connect(_) => OpKind::Connect,
        }
    }
}

/// How an operation ended.
///
/// ```
/// use ferrevent_os::Completion;
/// fn tell(completion: &Completion) {
///     match completion {
///         Completion::Sent(Ok(taken)) => println!("{taken} bytes were taken"),
///         other => println!("{other:?}"),
///     }
/// }
/// tell(&Completion::Sent(Ok(5)));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Completion {
    /// Bytes have come. `armed` tells that the same operation goes on and
    /// will complete again (multishot receive); an error or an end is final.
    Received {
        /// The bytes, or why there are none.
        result: io::Result<Received>,
        /// Whether the operation is still in flight.
        armed: bool,
    },
    /// So many bytes were taken; the rest was not.
    Sent(io::Result<usize>),
    /// A connection was taken.
    Accepted {
        /// The connection, or why there is none.
        result: io::Result<Accepted>,
        /// Whether the operation is still in flight.
        armed: bool,
    },
    /// The socket is connected, or will not be.
    Connected(io::Result<()>),
}

/// What a receive brought.
///
/// ```
/// use ferrevent_core::buffer::{Block, BlockClass};
/// use ferrevent_os::Received;
/// let received = Received::Bytes(Block::take(BlockClass::K4), 10);
/// assert_eq!(received.len(), 10);
/// ```
#[derive(Debug)]
pub enum Received {
    /// The peer has ended its side: no more bytes will come.
    End,
    /// So many bytes at the start of a block.
    Bytes(Block, usize),
    /// So many bytes in several blocks, each full but for the last.
    Many(Vec<Block>, usize),
}

impl Received {
    /// How many bytes came.
    ///
    /// ```
    /// assert_eq!(ferrevent_os::Received::End.len(), 0);
    /// ```
    pub fn len(&self) -> usize {
        match self {
            Received::End => 0,
            Received::Bytes(_, len) | Received::Many(_, len) => *len,
        }
    }

    /// Whether no byte came.
    ///
    /// ```
    /// assert!(ferrevent_os::Received::End.is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives the blocks to a buffer.
    ///
    /// # Errors
    /// That of the buffer, when its back is frozen.
    ///
    /// ```
    /// use ferrevent_core::buffer::{Block, BlockClass, Buffer};
    /// use ferrevent_os::Received;
    /// let mut block = Block::take(BlockClass::K4);
    /// block.as_mut_slice()[..5].copy_from_slice(b"hello");
    /// let mut buffer = Buffer::new();
    /// Received::Bytes(block, 5).append_to(&mut buffer)?;
    /// assert_eq!(buffer, *b"hello");
    /// # Ok::<(), ferrevent_core::buffer::BufferError>(())
    /// ```
    pub fn append_to(self, buffer: &mut Buffer) -> Result<(), BufferError> {
        match self {
            Received::End => Ok(()),
            Received::Bytes(block, len) => buffer.append_block(block, len),
            Received::Many(blocks, mut left) => blocks.into_iter().try_for_each(|block| {
                let len = left.min(block.capacity());
                left -= len;
                buffer.append_block(block, len)
            }),
        }
    }
}

/// A connection that a listener took.
///
/// ```
/// use ferrevent_os::Accepted;
/// fn tell(accepted: &Accepted) {
///     println!("{:?} connected", ferrevent_os::socket::peer(&accepted.fd));
/// }
/// ```
#[derive(Debug)]
pub struct Accepted {
    /// The connected socket. It is non-blocking, except with completion ports,
    /// whose calls are begun and do not wait in either mode.
    pub fd: OwnedFd,
}

impl Op {
    /// The completion of an operation that could not be begun.
    pub(crate) fn fail(self, error: io::Error) -> Completion {
        match self.kind() {
            OpKind::Receive => Completion::Received {
                result: Err(error),
                armed: false,
            },
            OpKind::Send => Completion::Sent(Err(error)),
            OpKind::Accept => Completion::Accepted {
                result: Err(error),
                armed: false,
            },
            OpKind::Connect => Completion::Connected(Err(error)),
        }
    }
}

impl Completion {
    /// Whether the operation goes on by itself.
    #[inline]
    pub(crate) fn is_armed(&self) -> bool {
        matches!(
            self,
            Completion::Received { armed: true, .. } | Completion::Accepted { armed: true, .. }
        )
    }

    /// The same, of an operation that goes on by itself or does not.
    pub(crate) fn armed(self, armed: bool) -> Self {
        match self {
            Completion::Received { result, .. } => Completion::Received { result, armed },
            Completion::Accepted { result, .. } => Completion::Accepted { result, armed },
            other => other,
        }
    }

    /// The same completion with another error.
    pub(crate) fn with_error(self, error: io::Error) -> Self {
        match self {
            Completion::Received { .. } => Completion::Received {
                result: Err(error),
                armed: false,
            },
            Completion::Sent(_) => Completion::Sent(Err(error)),
            Completion::Accepted { .. } => Completion::Accepted {
                result: Err(error),
                armed: false,
            },
            Completion::Connected(_) => Completion::Connected(Err(error)),
        }
    }
}
