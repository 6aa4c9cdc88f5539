//! What bounds a stream: watermarks, the write limit, timeouts.

use std::time::Duration;

/// The low and the high mark of a buffer, in bytes.
///
/// On the input: the handler hears of data once `low` bytes are there (or the
/// peer has ended), and receiving stops while `high` or more are held. On the
/// output: the handler hears that it may write when no more than `low` bytes
/// wait, and while `high` or more wait a coupled stream receives nothing.
///
/// ```
/// use ferrevent_core::stream::{StreamConfig, Watermarks};
/// let config = StreamConfig {
///     input: Watermarks { low: 100, high: 4096 },
///     ..StreamConfig::DEFAULT
/// };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    /// The low mark.
    pub low: usize,
    /// The high mark; at least 1.
    pub high: usize,
}

/// The limits and timeouts of a stream. Every one has a default, so nothing
/// is unbounded unless its owner says so.
///
/// ```
/// use std::time::Duration;
/// use ferrevent_core::stream::StreamConfig;
///
/// let config = StreamConfig {
///     read_timeout: Some(Duration::from_secs(30)),
///     ..StreamConfig::default()
/// };
/// assert_eq!(config.input.high, 256 * 1024);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamConfig {
    /// Marks of the input buffer. Default 0 and 256 KiB.
    pub input: Watermarks,
    /// Marks of the output buffer. Default 0 and 256 KiB.
    pub output: Watermarks,
    /// A write is taken whole while fewer than this many bytes wait, else it
    /// is given back as `Full`. Default 1 MiB.
    pub write_limit: usize,
    /// Whether receiving stops while the output is at its high mark, so that
    /// a peer who does not read cannot make us hold ever more answers.
    /// Default true; a relay, whose two directions are independent, says
    /// false.
    pub coupled: bool,
    /// Longest time without a byte from the peer while receiving is wanted.
    /// Default none.
    pub read_timeout: Option<Duration>,
    /// Longest time without a byte taken by the kernel while some wait.
    /// Default none.
    pub write_timeout: Option<Duration>,
    /// Longest time for an attempt to connect. Default none: the kernel's own.
    pub connect_timeout: Option<Duration>,
    /// Longest time for the filters of a connection that stands to agree with
    /// the peer's: TLS's handshake. Default 30 s.
    pub handshake_timeout: Option<Duration>,
    /// After `finish`, longest time for the peer to end its side too. Default
    /// 10 s.
    pub linger: Duration,
}

impl StreamConfig {
    /// The defaults, as a constant.
    ///
    /// ```
    /// use ferrevent_core::stream::StreamConfig;
    /// assert_eq!(StreamConfig::DEFAULT, StreamConfig::default());
    /// ```
    pub const DEFAULT: Self = Self {
        input: Watermarks {
            low: 0,
            high: 256 * 1024,
        },
        output: Watermarks {
            low: 0,
            high: 256 * 1024,
        },
        write_limit: 1024 * 1024,
        coupled: true,
        read_timeout: None,
        write_timeout: None,
        connect_timeout: None,
        handshake_timeout: Some(Duration::from_secs(30)),
        linger: Duration::from_secs(10),
    };
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self::DEFAULT
    }
}
