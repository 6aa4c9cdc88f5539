//! The machine itself.

mod flags;
mod owner;
mod told;
mod wishes;

use std::io;

use super::timeouts::Rare;
use flags::Flags;

use super::{Activity, CloseReason, Timeout};
use crate::buffer::Buffer;
use crate::timer::Tick;

/// Most bytes in one send.
const SEND_BYTES: usize = 256 * 1024;
/// Most segments in one send.
const SEND_SEGMENTS: usize = 16;

/// What a stream has to tell its owner, in the order it is told.
///
/// ```
/// # use ferrevent_core::stream::{Machine, StreamEvent};
/// # use ferrevent_core::timer::Tick;
/// # let now = Tick(0);
/// let mut machine = Machine::connected();
/// while let Some(event) = machine.next_event() {
///     println!("{event:?}");
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum StreamEvent {
    /// The connection stands. Told once, first.
    Opened,
    /// New bytes are in the input.
    Readable,
    /// The peer has ended its side; every byte it sent was told before.
    Ended,
    /// The output fell to its low mark.
    Writable,
    /// A time limit passed; its clock starts again.
    TimedOut(Timeout),
    /// The stream is over. Told once, last.
    Closed(CloseReason),
}

/// The state of one stream.
///
/// ```
/// use ferrevent_core::stream::{Machine, StreamEvent};
/// use ferrevent_core::timer::Tick;
///
/// let now = Tick(0);
/// let mut machine = Machine::connected();
/// assert!(matches!(machine.next_event(), Some(StreamEvent::Opened)));
/// machine.write(b"hello").unwrap();
/// let sent = machine.next_send(now).unwrap();
/// assert_eq!(sent.len(), 5);
/// machine.sent(now, Ok(5));
/// assert!(machine.output().is_empty());
/// ```
#[derive(Debug)]
pub struct Machine {
    input: Buffer,
    output: Buffer,
    received: u64,
    sent: u64,
    in_flight: usize,
    flags: Flags,
    rare: Option<Box<Rare>>,
    failure: Option<Box<CloseReason>>,
}

/// Making one.
impl Machine {
    /// A stream whose connection stands already.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// assert!(!machine.is_connecting());
    /// ```
    pub fn connected() -> Self {
        Self::new(Flags::TELL_OPENED)
    }

    /// A stream that is being connected: it takes writes, and sends them once
    /// it is told that the connection stands.
    ///
    /// ```
    /// let mut machine = ferrevent_core::stream::Machine::connecting();
    /// machine.write(b"sent once it stands").unwrap();
    /// ```
    pub fn connecting() -> Self {
        Self::new(Flags::CONNECTING)
    }

    fn new(flags: u32) -> Self {
        Self {
            input: Buffer::new(),
            output: Buffer::new(),
            received: 0,
            sent: 0,
            in_flight: 0,
            flags: Flags(flags),
            rare: None,
            failure: None,
        }
    }
}

/// Inside.
impl Machine {
    fn rare_mut(&mut self, now: Tick) -> &mut Rare {
        self.rare.get_or_insert_with(|| Box::new(Rare::new(now)))
    }

    /// Which clocks run: of connecting, of reading, of writing.
    fn clocks(&self) -> (bool, bool, bool) {
        (
            self.flags.has(Flags::CONNECTING),
            self.flags.has(Flags::RECEIVING) && self.may_receive(),
            self.flags.has(Flags::SENDING),
        )
    }

    /// The first failure is the reason that will be told.
    fn fail(&mut self, during: Activity, error: io::Error) {
        if self.failure.is_none() {
            self.failure = Some(Box::new(CloseReason::Failed { during, error }));
        }
    }

    /// Sending failed. When the peer is the cause, its end is on its way to
    /// us, behind bytes that it sent before: receiving goes on until then.
    /// After any other failure the peer knows of nothing and may never end.
    fn send_failed(&mut self, during: Activity, error: io::Error) {
        let by_peer = matches!(
            error.kind(),
            io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::NotConnected
                | io::ErrorKind::TimedOut
        );
        self.fail(during, error);
        self.flags.set(Flags::BROKEN);
        let _ = self.output.clear();
        if self.flags.has(Flags::DISCARDING) {
            self.close(CloseReason::Closed);
        }
        if !by_peer {
            self.input_ended();
        }
        self.settle();
    }

    /// Nothing more will come: bytes below the low mark are told now or never.
    fn input_ended(&mut self) {
        self.flags.set(Flags::INPUT_ENDED);
        if self.input.len() < self.config().input.low {
            self.again();
        }
        self.settle();
    }

    /// Closes once both sides have ended, or one broke, and all is told.
    fn settle(&mut self) {
        if self.flags.has(Flags::CLOSED) || !self.flags.has(Flags::INPUT_ENDED) {
            return;
        }
        let untold_bytes = self.flags.has(Flags::TELL_READABLE) && !self.input.is_empty();
        if untold_bytes || self.flags.has(Flags::TELL_OPENED | Flags::TELL_ENDED) {
            return;
        }
        if self.flags.has(Flags::BROKEN) {
            self.close(CloseReason::Closed);
        } else if self.flags.has(Flags::OUTPUT_ENDED) {
            self.close(CloseReason::Finished);
        }
    }
}
