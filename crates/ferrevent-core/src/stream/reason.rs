//! Why streams end, and why writes are refused.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;

/// Why a stream closed: reported once, after everything else.
///
/// ```
/// use ferrevent_core::stream::{CloseReason, Timeout};
/// let reason = CloseReason::TimedOut(Timeout::Read);
/// assert_eq!(reason.to_string(), "timed out waiting for data");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum CloseReason {
    /// Both sides ended and every byte was taken by the kernel.
    Finished,
    /// Its owner closed it.
    Closed,
    /// A time limit passed.
    TimedOut(Timeout),
    /// The system refused an operation.
    Failed {
        /// What was being done.
        during: Activity,
        /// What the system said.
        error: io::Error,
    },
    /// Its handler or a filter panicked, with this message.
    Panicked(String),
}

impl CloseReason {
    /// Whether the stream ended as its two sides meant it to.
    ///
    /// ```
    /// use ferrevent_core::stream::{CloseReason, Timeout};
    /// assert!(CloseReason::Finished.is_clean());
    /// assert!(!CloseReason::TimedOut(Timeout::Read).is_clean());
    /// ```
    pub fn is_clean(&self) -> bool {
        matches!(self, CloseReason::Finished | CloseReason::Closed)
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseReason::Finished => f.write_str("finished"),
            CloseReason::Closed => f.write_str("closed here"),
            CloseReason::TimedOut(timeout) => write!(f, "timed out {timeout}"),
            CloseReason::Failed { during, error } => write!(f, "failed {during}: {error}"),
            CloseReason::Panicked(message) => {
                write!(f, "its handler or a filter panicked: {message}")
            }
        }
    }
}

/// Which time limit passed.
///
/// ```
/// use ferrevent_core::stream::Timeout;
/// assert_eq!(Timeout::Connect.to_string(), "connecting");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Timeout {
    /// Nothing came from the peer.
    Read,
    /// The peer took nothing.
    Write,
    /// No connection came about.
    Connect,
    /// The filters did not come to an agreement with the peer's.
    Handshake,
    /// The peer did not end its side after `finish`.
    Linger,
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Timeout::Read => "waiting for data",
            Timeout::Write => "sending: the peer reads nothing",
            Timeout::Connect => "connecting",
            Timeout::Handshake => "in the handshake",
            Timeout::Linger => "waiting for the peer to close",
        })
    }
}

/// What a stream was doing when the system refused.
///
/// ```
/// use ferrevent_core::stream::Activity;
/// assert_eq!(Activity::Send.to_string(), "to send");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Activity {
    /// Connecting.
    Connect,
    /// Receiving.
    Receive,
    /// Sending.
    Send,
    /// Ending the sending side.
    Shutdown,
    /// Agreeing with the peer on what the filters need: TLS's handshake.
    Handshake,
    /// Making sense of what the peer sent, in a filter.
    Decode,
    /// Preparing what was written for the wire, in a filter.
    Encode,
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Activity::Connect => "to connect",
            Activity::Receive => "to receive",
            Activity::Send => "to send",
            Activity::Shutdown => "to end the sending side",
            Activity::Handshake => "to shake hands",
            Activity::Decode => "to decode what the peer sent",
            Activity::Encode => "to encode what was written",
        })
    }
}

/// Why a stream took no bytes; nothing of what was written is kept.
///
/// ```
/// use ferrevent_core::stream::WriteError;
/// println!("{}", WriteError::Full);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WriteError {
    /// So much waits that the limit is reached: write again when the handler
    /// is told that the stream is writable.
    Full,
    /// The sending side was finished before.
    Finished,
    /// The stream is closed, or its sending side broke.
    Closed,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WriteError::Full => "the output is at its limit; write again once it is writable",
            WriteError::Finished => "the sending side was already finished",
            WriteError::Closed => "the stream is closed",
        })
    }
}

impl Error for WriteError {}

/// The message of a panic that was caught.
///
/// ```
/// use ferrevent_core::stream::panic_message;
/// let payload = std::panic::catch_unwind(|| panic!("no")).unwrap_err();
/// assert_eq!(panic_message(&*payload), "no");
/// ```
pub fn panic_message(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
