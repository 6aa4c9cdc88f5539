//! The machine itself.

mod filtered;
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
    /// The filters that were added after `Opened` are open.
    Upgraded,
    /// The output fell to its low mark; what filters took of it was sent too.
    Writable,
    /// The kernel took some of what waits; told to those who
    /// [listen](Machine::set_tells_sent).
    Sent,
    /// Somebody has asked for this, by [`Machine::nudge`].
    Nudged,
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
    /// Of a send under way; four gigabytes stand for more, which no system
    /// takes at once.
    in_flight: u32,
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

    /// Which clocks run: of connecting, of reading, of writing. While the
    /// filters open it is their own.
    fn clocks(&self) -> (bool, bool, bool) {
        let open = !self.flags.has(Flags::OPENING);
        (
            self.flags.has(Flags::CONNECTING),
            open && self.flags.has(Flags::RECEIVING) && self.may_receive(),
            open && self.flags.has(Flags::SENDING),
        )
    }

    fn waits_for_peer(&self) -> bool {
        self.flags.has(Flags::DYING) && self.stack().is_some_and(|stack| !stack.wire_ended)
    }

    /// Whether nothing of it is told before the filters are open.
    #[inline]
    fn waits_to_open(&self) -> bool {
        self.flags.has(Flags::OPENING) && self.flags.has(Flags::TELL_OPENED)
    }

    /// The buffer that the kernel takes from.
    #[inline]
    fn lowest(&mut self) -> &mut Buffer {
        if self.flags.has(Flags::FILTERED)
            && let Some(rare) = &mut self.rare
            && let Some(stack) = &mut rare.filters
        {
            return &mut stack.wire_out;
        }
        &mut self.output
    }

    fn tell_writable(&mut self) {
        if !self.flags.has(Flags::NO_WRITABLE) {
            self.flags.set(Flags::TELL_WRITABLE);
        }
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
        let by_peer = is_by_peer(&error);
        self.fail(during, error);
        self.flags.set(Flags::BROKEN);
        if self.flags.has(Flags::TELLS_LOSS) {
            self.nudge();
        }
        let _ = self.output.clear();
        self.mute_filters();
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
        if self.waits_to_open() {
            // It never opened: there was nothing to be told of.
            self.flags.clear(
                Flags::TELL_OPENED | Flags::TELL_READABLE | Flags::TELL_ENDED | Flags::TELL_SENT,
            );
        }
        let untold_bytes = self.flags.has(Flags::TELL_READABLE) && !self.input.is_empty();
        let untold = Flags::TELL_OPENED | Flags::TELL_ENDED | Flags::TELL_SENT;
        if untold_bytes || self.flags.has(untold) {
            return;
        }
        if self.flags.has(Flags::BROKEN) {
            self.close(CloseReason::Closed);
        } else if self.waits_for_peer() {
            // The last words of a filter reach only a peer who may go first.
        } else if self.flags.has(Flags::OUTPUT_ENDED) {
            self.close(CloseReason::Finished);
        }
    }
}

/// Whether it is the peer that has gone.
fn is_by_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::NotConnected
            | io::ErrorKind::TimedOut
    )
}
