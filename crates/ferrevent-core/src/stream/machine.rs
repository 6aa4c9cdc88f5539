//! The machine itself.

use std::io;

use super::timeouts::Rare;
use super::{Activity, CloseReason, StreamConfig, Timeout, WriteError};
use crate::buffer::{Buffer, End, Pinned};
use crate::timer::Tick;

/// Most bytes in one send.
const SEND_BYTES: usize = 256 * 1024;
/// Most segments in one send.
const SEND_SEGMENTS: usize = 16;

/// What a stream has to tell its owner, in the order it is told.
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

/// One bit for each fact.
#[derive(Clone, Copy, Debug)]
struct Flags(u32);

#[rustfmt::skip]
impl Flags {
    // Life.
    const CONNECTING: u32 = 1;
    const CLOSED: u32 = 1 << 1;
    // Input.
    const PAUSED: u32 = 1 << 2;         // the owner wants nothing now
    const RECEIVING: u32 = 1 << 3;      // a receive is in flight
    const INPUT_ENDED: u32 = 1 << 4;    // the peer's end has come
    const DISCARDING: u32 = 1 << 5;     // finishing: what comes is thrown away
    // Output.
    const SENDING: u32 = 1 << 6;        // a send is in flight
    const FINISH_WRITE: u32 = 1 << 7;   // end the side once all is sent
    const OUTPUT_ENDED: u32 = 1 << 8;   // our end was sent
    const BROKEN: u32 = 1 << 9;         // sending failed; receiving goes on
    const HELD: u32 = 1 << 10;          // the owner wants nothing sent now
    // Both.
    const PIPED: u32 = 1 << 11;         // the engine moves its bytes
    // What is still to be told.
    const TELL_OPENED: u32 = 1 << 16;
    const TELL_READABLE: u32 = 1 << 17;
    const TELL_ENDED: u32 = 1 << 18;
    const TELL_WRITABLE: u32 = 1 << 19;
    const TELL_READ_TIMEOUT: u32 = 1 << 20;
    const TELL_WRITE_TIMEOUT: u32 = 1 << 21;
    const TELL_CLOSED: u32 = 1 << 22;
    const TELL_ANY: u32 = 0x7f << 16;

    #[inline]
    fn has(self, bits: u32) -> bool {
        self.0 & bits != 0
    }

    #[inline]
    fn set(&mut self, bits: u32) {
        self.0 |= bits;
    }

    #[inline]
    fn clear(&mut self, bits: u32) {
        self.0 &= !bits;
    }

    /// Clears a bit and tells whether it was set.
    #[inline]
    fn take(&mut self, bit: u32) -> bool {
        let had = self.has(bit);
        self.clear(bit);
        had
    }
}

/// Making one.
impl Machine {
    /// A stream whose connection stands already.
    pub fn connected() -> Self {
        Self::new(Flags::TELL_OPENED)
    }

    /// A stream that is being connected: it takes writes, and sends them once
    /// it is told that the connection stands.
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

/// What its owner does.
impl Machine {
    /// The bytes that have come and were not taken yet.
    pub fn input(&mut self) -> &mut Buffer {
        &mut self.input
    }

    /// The bytes that wait to be sent. Its front is frozen while a send is in
    /// flight, its back once the sending side is finished.
    pub fn output(&mut self) -> &mut Buffer {
        &mut self.output
    }

    /// Both buffers, to move bytes from one to the other.
    pub fn buffers(&mut self) -> (&mut Buffer, &mut Buffer) {
        (&mut self.input, &mut self.output)
    }

    /// Puts bytes into the output.
    ///
    /// # Errors
    /// See [`WriteError`]; then none of the bytes was taken.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.check_write()?;
        self.output.append(bytes).map_err(|_| WriteError::Finished)
    }

    /// Whether a write would be taken now.
    ///
    /// # Errors
    /// Why it would not.
    #[inline]
    pub fn check_write(&self) -> Result<(), WriteError> {
        if self.flags.has(Flags::CLOSED | Flags::BROKEN) {
            return Err(WriteError::Closed);
        }
        if self.flags.has(Flags::FINISH_WRITE) {
            return Err(WriteError::Finished);
        }
        if self.output.len() >= self.config().write_limit {
            return Err(WriteError::Full);
        }
        Ok(())
    }

    /// Stops receiving and telling about the input until
    /// [`resume`](Self::resume). Bytes that come nevertheless are kept.
    pub fn pause(&mut self) {
        self.flags.set(Flags::PAUSED);
    }

    /// Ends a [`pause`](Self::pause).
    pub fn resume(&mut self) {
        self.flags.clear(Flags::PAUSED);
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.flags.has(Flags::PAUSED)
    }

    /// Holds the output back, or lets it go.
    pub fn hold(&mut self, on: bool) {
        if on {
            self.flags.set(Flags::HELD);
        } else {
            self.flags.clear(Flags::HELD);
        }
    }

    /// Has its bytes moved by the engine: it tells nothing of them.
    pub fn set_piped(&mut self, on: bool) {
        if on {
            self.flags.set(Flags::PIPED);
        } else {
            self.flags.clear(Flags::PIPED);
        }
    }

    /// Takes note that the peer's end was passed on, if it has come and every
    /// byte before it was taken.
    pub fn take_end(&mut self) -> bool {
        let told = self.input.is_empty() && self.flags.take(Flags::TELL_ENDED);
        if told {
            self.settle();
        }
        told
    }

    /// Has [`StreamEvent::Readable`] told again, if there are bytes: for an
    /// owner that left some and wants to go on with them later.
    pub fn again(&mut self) {
        if !self.input.is_empty() && !self.flags.has(Flags::CLOSED | Flags::DISCARDING) {
            self.flags.set(Flags::TELL_READABLE);
        }
    }

    /// Ends the sending side once everything written is sent.
    pub fn finish_write(&mut self) {
        if !self.flags.has(Flags::FINISH_WRITE | Flags::CLOSED) {
            self.flags.set(Flags::FINISH_WRITE);
            self.output.freeze(End::Back);
        }
    }

    /// Sends everything written, ends the sending side, waits for the peer to
    /// end its own (no longer than the configured linger), and closes. What
    /// the peer still sends is thrown away.
    pub fn finish(&mut self, now: Tick) {
        if self.flags.has(Flags::CLOSED) {
            return;
        }
        self.finish_write();
        if !self.flags.has(Flags::DISCARDING) {
            self.flags.set(Flags::DISCARDING);
            self.flags.clear(
                Flags::PAUSED
                    | Flags::HELD
                    | Flags::TELL_READABLE
                    | Flags::TELL_ENDED
                    | Flags::TELL_WRITABLE,
            );
            let _ = self.input.clear();
            if !self.flags.has(Flags::INPUT_ENDED) {
                let linger = self.config().linger;
                self.rare_mut(now).linger_until = now + linger;
            }
        }
        self.settle();
    }

    /// Closes at once: what waits is dropped, nothing but
    /// [`StreamEvent::Closed`] is told any more. The first reason stands.
    pub fn close(&mut self, reason: CloseReason) {
        if self.flags.has(Flags::CLOSED) {
            return;
        }
        self.flags.clear(Flags::TELL_ANY);
        self.flags.set(Flags::CLOSED | Flags::TELL_CLOSED);
        let reason = match self.failure.take() {
            Some(first) => first,
            None => Box::new(reason),
        };
        self.failure = Some(reason);
        // What was received stays readable while the close is being told.
        self.output.unfreeze(End::Front);
        self.output.unfreeze(End::Back);
        let _ = self.output.clear();
        self.output.freeze(End::Back);
    }

    /// Its limits and timeouts.
    #[inline]
    pub fn config(&self) -> &StreamConfig {
        match &self.rare {
            Some(rare) => &rare.config,
            None => &StreamConfig::DEFAULT,
        }
    }

    /// Sets its limits and timeouts; the clocks of the timeouts start now.
    pub fn configure(&mut self, now: Tick, config: StreamConfig) {
        if config == StreamConfig::DEFAULT && self.rare.is_none() {
            return;
        }
        let rare = self.rare_mut(now);
        rare.config = config;
        rare.restart(now);
    }

    /// Bytes that came, as the owner sees them.
    pub fn received_bytes(&self) -> u64 {
        self.received
    }

    /// Bytes that the kernel took, as the owner sees them.
    pub fn sent_bytes(&self) -> u64 {
        self.sent
    }

    /// Bytes that came over the wire: more or fewer than
    /// [`received_bytes`](Self::received_bytes) when a filter changes them.
    pub fn wire_received_bytes(&self) -> u64 {
        self.received
    }

    /// Bytes that went over the wire.
    pub fn wire_sent_bytes(&self) -> u64 {
        self.sent
    }

    /// Whether the connection is still being made.
    pub fn is_connecting(&self) -> bool {
        self.flags.has(Flags::CONNECTING)
    }

    /// Whether it is over.
    pub fn is_closed(&self) -> bool {
        self.flags.has(Flags::CLOSED)
    }

    /// Whether the peer has ended its side.
    pub fn has_ended(&self) -> bool {
        self.flags.has(Flags::INPUT_ENDED)
    }

    /// Whether our side was finished, or is to be once the output is empty.
    pub fn is_finishing(&self) -> bool {
        self.flags.has(Flags::FINISH_WRITE)
    }

    /// The next thing to tell, if any. What a pause holds back is told after
    /// it; a close revokes everything before it.
    #[inline]
    pub fn next_event(&mut self) -> Option<StreamEvent> {
        if !self.flags.has(Flags::TELL_ANY | Flags::INPUT_ENDED) {
            return None;
        }
        self.next_event_slow()
    }

    fn next_event_slow(&mut self) -> Option<StreamEvent> {
        if self.flags.take(Flags::TELL_OPENED) {
            return Some(StreamEvent::Opened);
        }
        if self.flags.has(Flags::PIPED) {
            self.flags.clear(Flags::TELL_WRITABLE);
        } else if !self.flags.has(Flags::PAUSED) {
            let enough = self.flags.has(Flags::INPUT_ENDED | Flags::BROKEN)
                || self.input.len() >= self.config().input.low;
            if self.flags.take(Flags::TELL_READABLE) && enough && !self.input.is_empty() {
                return Some(StreamEvent::Readable);
            }
            if self.flags.take(Flags::TELL_ENDED) {
                return Some(StreamEvent::Ended);
            }
        }
        if self.flags.take(Flags::TELL_WRITABLE)
            && self.output.len() <= self.config().output.low
            && !self.flags.has(Flags::FINISH_WRITE | Flags::BROKEN)
        {
            return Some(StreamEvent::Writable);
        }
        if self.flags.take(Flags::TELL_READ_TIMEOUT) {
            return Some(StreamEvent::TimedOut(Timeout::Read));
        }
        if self.flags.take(Flags::TELL_WRITE_TIMEOUT) {
            return Some(StreamEvent::TimedOut(Timeout::Write));
        }
        self.settle();
        if self.flags.take(Flags::TELL_CLOSED) {
            let reason = self
                .failure
                .take()
                .map_or(CloseReason::Closed, |boxed| *boxed);
            return Some(StreamEvent::Closed(reason));
        }
        None
    }
}

/// What it is told.
impl Machine {
    /// The attempt to connect has ended.
    pub fn connect_ended(&mut self, now: Tick, outcome: io::Result<()>) {
        if !self.flags.take(Flags::CONNECTING) || self.flags.has(Flags::CLOSED) {
            return;
        }
        match outcome {
            Ok(()) => {
                self.flags.set(Flags::TELL_OPENED);
                if let Some(rare) = &mut self.rare {
                    rare.restart(now);
                }
            }
            Err(error) => self.close(CloseReason::Failed {
                during: Activity::Connect,
                error,
            }),
        }
    }

    /// A receive was submitted: another one is not wanted before it ends.
    #[inline]
    pub fn receive_began(&mut self, now: Tick) {
        self.flags.set(Flags::RECEIVING);
        if let Some(rare) = &mut self.rare {
            rare.read_since = now;
        }
    }

    /// A receive ended without bytes and without an end: it was taken back.
    pub fn receive_canceled(&mut self) {
        self.flags.clear(Flags::RECEIVING);
    }

    /// Bytes came, and were put by `fill` into the buffer it is given. `armed`
    /// tells that the receive goes on.
    #[inline]
    pub fn received(&mut self, now: Tick, armed: bool, len: usize, fill: impl FnOnce(&mut Buffer)) {
        if !armed {
            self.flags.clear(Flags::RECEIVING);
        }
        if let Some(rare) = &mut self.rare {
            rare.read_since = now;
        }
        if self.flags.has(Flags::CLOSED | Flags::INPUT_ENDED) {
            return;
        }
        self.received += len as u64;
        if self.flags.has(Flags::DISCARDING) {
            return;
        }
        fill(&mut self.input);
        self.flags.set(Flags::TELL_READABLE);
    }

    /// The peer has ended its side.
    pub fn receive_ended(&mut self) {
        self.flags.clear(Flags::RECEIVING);
        if self.flags.has(Flags::CLOSED | Flags::INPUT_ENDED) {
            return;
        }
        if !self.flags.has(Flags::DISCARDING | Flags::BROKEN) {
            self.flags.set(Flags::TELL_ENDED);
        }
        self.input_ended();
    }

    /// Receiving failed: nothing more will come.
    pub fn receive_failed(&mut self, error: io::Error) {
        self.flags.clear(Flags::RECEIVING);
        if self.flags.has(Flags::CLOSED) {
            return;
        }
        self.fail(Activity::Receive, error);
        self.flags.set(Flags::BROKEN);
        self.output.unfreeze(End::Front);
        let _ = self.output.clear();
        self.input_ended();
    }

    /// A send ended: so many bytes of it were taken by the kernel.
    #[inline]
    pub fn sent(&mut self, now: Tick, outcome: io::Result<usize>) {
        self.flags.clear(Flags::SENDING);
        if self.flags.has(Flags::CLOSED) {
            return;
        }
        self.output.unfreeze(End::Front);
        let in_flight = std::mem::take(&mut self.in_flight);
        match outcome {
            Ok(taken) => {
                let taken = taken.min(in_flight);
                // The front was thawed just above, so this cannot be refused.
                let _ = self.output.drain(taken);
                self.sent += taken as u64;
                if let Some(rare) = &mut self.rare {
                    rare.write_since = now;
                }
                if self.output.len() <= self.config().output.low {
                    self.flags.set(Flags::TELL_WRITABLE);
                }
            }
            Err(error) => self.send_failed(Activity::Send, error),
        }
    }

    /// A send was taken back: its bytes wait again.
    pub fn send_canceled(&mut self) {
        self.flags.clear(Flags::SENDING);
        self.in_flight = 0;
        self.output.unfreeze(End::Front);
    }

    /// Our end was sent, or could not be.
    pub fn shutdown_ended(&mut self, outcome: io::Result<()>) {
        if self.flags.has(Flags::CLOSED) {
            return;
        }
        self.flags.set(Flags::OUTPUT_ENDED);
        match outcome {
            Ok(()) => {}
            Err(error) => self.send_failed(Activity::Shutdown, error),
        }
        self.settle();
    }

    /// The time is now `now`: finds what has timed out.
    pub fn time_passed(&mut self, now: Tick) {
        if self.flags.has(Flags::CLOSED) {
            return;
        }
        let (connecting, reading, writing) = self.clocks();
        let discarding = self.flags.has(Flags::DISCARDING);
        let Some(rare) = &mut self.rare else { return };
        if connecting && rare.connect_due() <= now {
            self.close(CloseReason::TimedOut(Timeout::Connect));
            return;
        }
        if discarding && rare.linger_until <= now {
            self.close(CloseReason::TimedOut(Timeout::Linger));
            return;
        }
        if reading && rare.read_due() <= now {
            rare.read_since = now;
            self.flags.set(Flags::TELL_READ_TIMEOUT);
        }
        if writing && rare.write_due() <= now {
            rare.write_since = now;
            self.flags.set(Flags::TELL_WRITE_TIMEOUT);
        }
    }
}

/// What it wants.
impl Machine {
    /// Whether a receive is wanted that is not in flight yet.
    #[inline]
    pub fn wants_receive(&self) -> bool {
        !self.flags.has(Flags::RECEIVING) && self.may_receive()
    }

    /// Whether a receive that is in flight is no longer wanted.
    #[inline]
    pub fn unwants_receive(&self) -> bool {
        self.flags.has(Flags::RECEIVING) && !self.may_receive()
    }

    #[inline]
    fn may_receive(&self) -> bool {
        if self
            .flags
            .has(Flags::CONNECTING | Flags::CLOSED | Flags::INPUT_ENDED | Flags::PAUSED)
        {
            return false;
        }
        if self.flags.has(Flags::DISCARDING) {
            return true;
        }
        let config = self.config();
        self.input.len() < config.input.high.max(1)
            && (!config.coupled || self.output.len() < config.output.high.max(1))
    }

    /// The bytes to send now, if any; until [`sent`](Self::sent) they are in
    /// flight, and still count in the output's length.
    #[inline]
    pub fn next_send(&mut self, now: Tick) -> Option<Pinned> {
        if self.output.is_empty()
            || self.flags.has(
                Flags::SENDING | Flags::CONNECTING | Flags::CLOSED | Flags::BROKEN | Flags::HELD,
            )
        {
            return None;
        }
        let pinned = self.output.pin(SEND_BYTES, SEND_SEGMENTS);
        self.in_flight = pinned.len();
        self.output.freeze(End::Front);
        self.flags.set(Flags::SENDING);
        if let Some(rare) = &mut self.rare {
            rare.write_since = now;
        }
        Some(pinned)
    }

    /// Whether the end of our side is to be sent now.
    #[inline]
    pub fn wants_shutdown(&self) -> bool {
        self.flags.has(Flags::FINISH_WRITE)
            && self.output.is_empty()
            && !self.flags.has(
                Flags::CONNECTING
                    | Flags::SENDING
                    | Flags::OUTPUT_ENDED
                    | Flags::CLOSED
                    | Flags::BROKEN,
            )
    }

    /// When it wants to be told the time, if at all.
    pub fn wake_at(&self) -> Option<Tick> {
        let rare = self.rare.as_ref()?;
        if self.flags.has(Flags::CLOSED) {
            return None;
        }
        let (connecting, reading, writing) = self.clocks();
        let mut due = Tick(u64::MAX);
        if connecting {
            due = due.min(rare.connect_due());
        }
        if self.flags.has(Flags::DISCARDING) {
            due = due.min(rare.linger_until);
        }
        if reading {
            due = due.min(rare.read_due());
        }
        if writing {
            due = due.min(rare.write_due());
        }
        (due.0 != u64::MAX).then_some(due)
    }

    /// Whether the machine has something to tell.
    #[inline]
    pub fn has_events(&self) -> bool {
        let mut tell = Flags::TELL_ANY;
        if self.flags.has(Flags::PAUSED) {
            tell &= !(Flags::TELL_READABLE | Flags::TELL_ENDED);
        } else if self.flags.has(Flags::PIPED) {
            tell &= !(Flags::TELL_READABLE | Flags::TELL_ENDED | Flags::TELL_WRITABLE);
        }
        self.flags.has(tell)
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
