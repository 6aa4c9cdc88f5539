//! What a machine's owner does with it.

use super::{Flags, Machine, StreamEvent};
use crate::buffer::{Buffer, End};
use crate::stream::{CloseReason, StreamConfig, Timeout, WriteError};
use crate::timer::Tick;

/// What its owner does.
impl Machine {
    /// The bytes that have come and were not taken yet.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.received(now, false, 5, |input| input.append(b"hello").unwrap());
    /// assert_eq!(*machine.input(), *b"hello");
    /// ```
    pub fn input(&mut self) -> &mut Buffer {
        &mut self.input
    }

    /// The bytes that wait to be sent. Its front is frozen while a send is in
    /// flight, its back once the sending side is finished.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.output().append(b"hello").unwrap();
    /// assert_eq!(machine.next_send(now).unwrap().len(), 5);
    /// ```
    pub fn output(&mut self) -> &mut Buffer {
        &mut self.output
    }

    /// Both buffers, to move bytes from one to the other.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.received(now, false, 5, |input| input.append(b"hello").unwrap());
    /// let (input, output) = machine.buffers();
    /// output.append_buffer(input).unwrap();
    /// assert_eq!(*machine.output(), *b"hello");
    /// ```
    pub fn buffers(&mut self) -> (&mut Buffer, &mut Buffer) {
        (&mut self.input, &mut self.output)
    }

    /// Puts bytes into the output.
    ///
    /// # Errors
    /// See [`WriteError`]; then none of the bytes was taken.
    ///
    /// ```
    /// # use ferrevent_core::stream::WriteError;
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.write(b"hello").unwrap();
    /// machine.finish_write();
    /// assert_eq!(machine.write(b"more"), Err(WriteError::Finished));
    /// ```
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.check_write()?;
        self.output.append(bytes).map_err(|_| WriteError::Finished)
    }

    /// Whether a write would be taken now.
    ///
    /// # Errors
    /// Why it would not.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// assert_eq!(machine.check_write(), Ok(()));
    /// ```
    #[inline]
    pub fn check_write(&self) -> Result<(), WriteError> {
        if self.flags.has(Flags::CLOSED | Flags::BROKEN | Flags::DYING) {
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
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.pause();
    /// assert!(!machine.wants_receive());
    /// ```
    pub fn pause(&mut self) {
        self.flags.set(Flags::PAUSED);
    }

    /// Ends a [`pause`](Self::pause).
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.pause();
    /// machine.resume();
    /// assert!(machine.wants_receive());
    /// ```
    pub fn resume(&mut self) {
        self.flags.clear(Flags::PAUSED);
    }

    /// Whether it is paused.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.pause();
    /// assert!(machine.is_paused());
    /// ```
    pub fn is_paused(&self) -> bool {
        self.flags.has(Flags::PAUSED)
    }

    /// Holds the output back, or lets it go.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.write(b"not yet").unwrap();
    /// machine.hold(true);
    /// assert!(machine.next_send(now).is_none());
    /// machine.hold(false);
    /// assert!(machine.next_send(now).is_some());
    /// ```
    pub fn hold(&mut self, on: bool) {
        if on {
            self.flags.set(Flags::HELD);
        } else {
            self.flags.clear(Flags::HELD);
        }
    }

    /// Tells [`StreamEvent::Nudged`], once for all that is asked before it was
    /// told, also while the connection does not stand yet.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// let mut machine = Machine::connecting();
    /// machine.nudge();
    /// machine.nudge();
    /// assert!(matches!(machine.next_event(), Some(StreamEvent::Nudged)));
    /// assert!(machine.next_event().is_none());
    /// ```
    pub fn nudge(&mut self) {
        if !self.flags.has(Flags::CLOSED) {
            self.flags.set(Flags::TELL_NUDGED);
        }
    }

    /// Tells [`StreamEvent::Nudged`] when sending has failed, which else is told
    /// with the close, after all that there is to read; [`broken`](Self::broken)
    /// says why.
    ///
    /// ```
    /// # use std::io::ErrorKind;
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.tell_loss();
    /// machine.next_event();
    /// machine.write(b"hello").unwrap();
    /// drop(machine.next_send(now));
    /// machine.sent(now, Err(ErrorKind::BrokenPipe.into()));
    /// assert!(matches!(machine.next_event(), Some(StreamEvent::Nudged)));
    /// assert!(machine.broken().is_some());
    /// ```
    pub fn tell_loss(&mut self) {
        self.flags.set(Flags::TELLS_LOSS);
    }

    /// Tells [`StreamEvent::Sent`] from now on, or no more: progress also
    /// where much still waits. What waits is in the [output](Self::output) and
    /// in the [filters](Self::filtered_bytes), what went is
    /// [counted](Self::wire_sent_bytes). At first it is not told.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.next_event();
    /// machine.set_tells_sent(true);
    /// machine.write(b"hello").unwrap();
    /// machine.sent_at_once(now, Ok(2));
    /// assert!(matches!(machine.next_event(), Some(StreamEvent::Sent)));
    /// ```
    pub fn set_tells_sent(&mut self, on: bool) {
        if on {
            self.flags.set(Flags::TELLS_SENT);
        } else {
            self.flags.clear(Flags::TELLS_SENT | Flags::TELL_SENT);
        }
    }

    /// Tells [`StreamEvent::Writable`] no more, or again: an owner that does
    /// not listen to it is spared a call for every message it sends.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.next_event();
    /// machine.set_tells_writable(false);
    /// machine.write(b"hello").unwrap();
    /// machine.next_send(now);
    /// machine.sent(now, Ok(5));
    /// assert!(machine.next_event().is_none());
    /// ```
    #[inline]
    pub fn set_tells_writable(&mut self, on: bool) {
        if on {
            self.flags.clear(Flags::NO_WRITABLE);
        } else {
            self.flags.set(Flags::NO_WRITABLE);
            self.flags.clear(Flags::TELL_WRITABLE);
        }
    }

    /// Has its bytes moved by the engine: it tells nothing of them.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.next_event();
    /// machine.set_piped(true);
    /// machine.received(now, false, 5, |input| input.append(b"hello").unwrap());
    /// assert!(machine.next_event().is_none());
    /// ```
    pub fn set_piped(&mut self, on: bool) {
        if !on {
            self.flags.clear(Flags::PIPED);
            return;
        }
        self.flags.set(Flags::PIPED);
        // An end that was told already is still to be passed on.
        let over = Flags::CLOSED | Flags::DISCARDING | Flags::BROKEN;
        if self.flags.has(Flags::INPUT_ENDED) && !self.flags.has(over) {
            self.flags.set(Flags::TELL_ENDED);
        }
    }

    /// Whether its bytes are moved by the engine.
    ///
    /// ```
    /// let mut machine = ferrevent_core::stream::Machine::connected();
    /// machine.set_piped(true);
    /// assert!(machine.is_piped());
    /// ```
    pub fn is_piped(&self) -> bool {
        self.flags.has(Flags::PIPED)
    }

    /// Takes note that the peer's end was passed on, if it has come and every
    /// byte before it was taken. A failure is told from then on.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.receive_ended(now);
    /// assert!(machine.take_end());
    /// assert!(!machine.take_end());
    /// ```
    pub fn take_end(&mut self) -> bool {
        if !self.input.is_empty() {
            return false;
        }
        let told = self.flags.take(Flags::TELL_ENDED);
        // A failure has waited for the bytes before it, too.
        self.settle();
        told
    }

    /// Has [`StreamEvent::Readable`] told again, if there are bytes: for an
    /// owner that left some and wants to go on with them later.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.next_event();
    /// machine.received(now, false, 5, |input| input.append(b"hello").unwrap());
    /// assert!(matches!(machine.next_event(), Some(StreamEvent::Readable)));
    /// machine.again();
    /// assert!(matches!(machine.next_event(), Some(StreamEvent::Readable)));
    /// ```
    pub fn again(&mut self) {
        if !self.input.is_empty() && !self.flags.has(Flags::CLOSED | Flags::DISCARDING) {
            self.flags.set(Flags::TELL_READABLE);
        }
    }

    /// Ends the sending side once everything written is sent.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.finish_write();
    /// assert!(machine.wants_shutdown());
    /// ```
    pub fn finish_write(&mut self) {
        if !self.flags.has(Flags::FINISH_WRITE | Flags::CLOSED) {
            self.flags.set(Flags::FINISH_WRITE);
            self.output.freeze(End::Back);
        }
    }

    /// Sends everything written, ends the sending side, waits for the peer to
    /// end its own (no longer than the configured linger), and closes. What
    /// the peer still sends is thrown away.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.finish(now);
    /// assert!(machine.wants_shutdown());
    /// // It waits for the peer's end, but not for ever.
    /// assert!(machine.wake_at().is_some());
    /// ```
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
    ///
    /// ```
    /// # use ferrevent_core::stream::CloseReason;
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.close(CloseReason::Closed);
    /// assert!(matches!(machine.next_event(), Some(StreamEvent::Closed(CloseReason::Closed))));
    /// assert!(machine.next_event().is_none());
    /// ```
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
        if let Some(stack) = self.stack_mut() {
            stack.clear();
        }
    }

    /// Its limits and timeouts.
    ///
    /// ```
    /// # use ferrevent_core::stream::StreamConfig;
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// assert_eq!(*machine.config(), StreamConfig::DEFAULT);
    /// ```
    #[inline]
    pub fn config(&self) -> &StreamConfig {
        match &self.rare {
            Some(rare) => &rare.config,
            None => &StreamConfig::DEFAULT,
        }
    }

    /// Sets its limits and timeouts; the clocks of the timeouts start now.
    ///
    /// ```
    /// # use ferrevent_core::stream::StreamConfig;
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// let config = StreamConfig {
    ///     write_limit: 4096,
    ///     ..StreamConfig::DEFAULT
    /// };
    /// machine.configure(now, config);
    /// assert_eq!(machine.config().write_limit, 4096);
    /// ```
    pub fn configure(&mut self, now: Tick, config: StreamConfig) {
        if config == StreamConfig::DEFAULT && self.rare.is_none() {
            return;
        }
        let rare = self.rare_mut(now);
        rare.config = config;
        rare.restart(now);
        rare.begin_handshake(now);
    }

    /// Bytes that came, as the owner sees them.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.received(now, false, 5, |input| input.append(b"hello").unwrap());
    /// assert_eq!(machine.received_bytes(), 5);
    /// ```
    pub fn received_bytes(&self) -> u64 {
        self.received
    }

    /// Bytes that the kernel took, as the owner sees them.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.write(b"hello").unwrap();
    /// let _sent = machine.next_send(now);
    /// machine.sent(now, Ok(3));
    /// assert_eq!(machine.sent_bytes(), 3);
    /// ```
    pub fn sent_bytes(&self) -> u64 {
        self.sent
    }

    /// Bytes that came over the wire: more or fewer than
    /// [`received_bytes`](Self::received_bytes) when a filter changes them.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.received(now, false, 5, |input| input.append(b"hello").unwrap());
    /// assert_eq!(machine.wire_received_bytes(), 5);
    /// ```
    pub fn wire_received_bytes(&self) -> u64 {
        self.stack().map_or(self.received, |it| it.wire_received)
    }

    /// Bytes that went over the wire.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// assert_eq!(machine.wire_sent_bytes(), 0);
    /// ```
    pub fn wire_sent_bytes(&self) -> u64 {
        self.stack().map_or(self.sent, |it| it.wire_sent)
    }

    /// Whether the connection is still being made.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// assert!(!machine.is_connecting());
    /// assert!(Machine::connecting().is_connecting());
    /// ```
    pub fn is_connecting(&self) -> bool {
        self.flags.has(Flags::CONNECTING)
    }

    /// Whether it is over.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// assert!(!machine.is_closed());
    /// ```
    pub fn is_closed(&self) -> bool {
        self.flags.has(Flags::CLOSED)
    }

    /// Why nothing is sent any more, while there may still be something to
    /// read; the close will tell the same.
    ///
    /// ```
    /// # use std::io::ErrorKind;
    /// # use ferrevent_core::stream::Machine;
    /// # use ferrevent_core::timer::Tick;
    /// let mut machine = Machine::connected();
    /// assert!(machine.broken().is_none());
    /// machine.receive_failed(Tick(0), ErrorKind::ConnectionReset.into());
    /// assert!(machine.broken().is_some());
    /// ```
    #[inline]
    pub fn broken(&self) -> Option<&CloseReason> {
        if self.flags.has(Flags::BROKEN) {
            self.failure.as_deref()
        } else {
            None
        }
    }

    /// Whether the peer has ended its side.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.receive_ended(now);
    /// assert!(machine.has_ended());
    /// ```
    pub fn has_ended(&self) -> bool {
        self.flags.has(Flags::INPUT_ENDED)
    }

    /// Whether our side was finished, or is to be once the output is empty.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.finish_write();
    /// assert!(machine.is_finishing());
    /// ```
    pub fn is_finishing(&self) -> bool {
        self.flags.has(Flags::FINISH_WRITE)
    }

    /// The next thing to tell, if any. What a pause holds back is told after
    /// it; a close revokes everything before it.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// assert!(matches!(machine.next_event(), Some(StreamEvent::Opened)));
    /// assert!(machine.next_event().is_none());
    /// ```
    #[inline]
    pub fn next_event(&mut self) -> Option<StreamEvent> {
        if !self.flags.has(Flags::TELL_ANY | Flags::INPUT_ENDED) {
            return None;
        }
        self.next_event_slow()
    }

    fn next_event_slow(&mut self) -> Option<StreamEvent> {
        if self.flags.take(Flags::TELL_NUDGED) {
            return Some(StreamEvent::Nudged);
        }
        let waits = self.waits_to_open();
        if !waits && self.flags.take(Flags::TELL_OPENED) {
            return Some(StreamEvent::Opened);
        }
        if !waits && self.flags.take(Flags::TELL_UPGRADED) {
            return Some(StreamEvent::Upgraded);
        }
        if self.flags.has(Flags::PIPED) {
            self.flags.clear(Flags::TELL_WRITABLE);
        } else if !waits && !self.flags.has(Flags::PAUSED) {
            let enough = self.flags.has(Flags::INPUT_ENDED | Flags::BROKEN)
                || self.input.len() >= self.config().input.low;
            if self.flags.take(Flags::TELL_READABLE) && enough && !self.input.is_empty() {
                return Some(StreamEvent::Readable);
            }
            if self.flags.take(Flags::TELL_ENDED) {
                return Some(StreamEvent::Ended);
            }
        }
        if !waits
            && self.flags.take(Flags::TELL_WRITABLE)
            && self.output.len() + self.filtered_bytes() <= self.config().output.low
            && !self.flags.has(Flags::FINISH_WRITE | Flags::BROKEN)
        {
            return Some(StreamEvent::Writable);
        }
        if !waits && self.flags.take(Flags::TELL_SENT) {
            return Some(StreamEvent::Sent);
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
