//! What a machine is told: completions, and the time.

use std::io;

use super::{Flags, Machine, is_by_peer};
use crate::buffer::{Buffer, End};
use crate::stream::{Activity, CloseReason, Timeout};
use crate::timer::Tick;

/// What it is told.
impl Machine {
    /// The attempt to connect has ended.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connecting();
    /// machine.connect_ended(now, Ok(()));
    /// assert!(matches!(machine.next_event(), Some(StreamEvent::Opened)));
    /// ```
    pub fn connect_ended(&mut self, now: Tick, outcome: io::Result<()>) {
        if !self.flags.take(Flags::CONNECTING) || self.flags.has(Flags::CLOSED) {
            return;
        }
        match outcome {
            Ok(()) => {
                self.flags.set(Flags::TELL_OPENED);
                if let Some(rare) = &mut self.rare {
                    rare.restart(now);
                    rare.begin_handshake(now);
                }
            }
            Err(error) => self.close(CloseReason::Failed {
                during: Activity::Connect,
                error,
            }),
        }
    }

    /// A receive was submitted: another one is not wanted before it ends.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.receive_began(now);
    /// assert!(!machine.wants_receive());
    /// ```
    #[inline]
    pub fn receive_began(&mut self, now: Tick) {
        self.flags.set(Flags::RECEIVING);
        if let Some(rare) = &mut self.rare {
            rare.read_since = now;
        }
    }

    /// A receive ended without bytes and without an end: it was taken back.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.receive_began(now);
    /// machine.receive_canceled();
    /// assert!(machine.wants_receive());
    /// ```
    pub fn receive_canceled(&mut self) {
        self.flags.clear(Flags::RECEIVING);
    }

    /// Bytes came, and were put by `fill` into the buffer it is given. `armed`
    /// tells that the receive goes on.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.next_event();
    /// machine.received(now, false, 5, |input| input.append(b"hello").unwrap());
    /// assert!(matches!(machine.next_event(), Some(StreamEvent::Readable)));
    /// ```
    #[inline]
    pub fn received(&mut self, now: Tick, armed: bool, len: usize, fill: impl FnOnce(&mut Buffer)) {
        if !armed {
            self.flags.clear(Flags::RECEIVING);
        }
        if let Some(rare) = &mut self.rare {
            rare.read_since = now;
        }
        if self.flags.has(Flags::FILTERED) {
            self.received_below(now, len, fill);
            return;
        }
        if self.flags.has(Flags::CLOSED | Flags::INPUT_ENDED) {
            return;
        }
        self.received += len as u64;
        if self.flags.has(Flags::DISCARDING) {
            return;
        }
        if self.flags.has(Flags::BROKEN) {
            // What the owner wrote meanwhile goes nowhere.
            let _ = self.output.clear();
        }
        fill(&mut self.input);
        self.flags.set(Flags::TELL_READABLE);
    }

    /// The peer has ended its side.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.next_event();
    /// machine.receive_ended(now);
    /// assert!(matches!(machine.next_event(), Some(StreamEvent::Ended)));
    /// ```
    pub fn receive_ended(&mut self, now: Tick) {
        self.flags.clear(Flags::RECEIVING);
        if self.flags.has(Flags::FILTERED) {
            self.wire_ended(now);
            return;
        }
        if self.flags.has(Flags::CLOSED | Flags::INPUT_ENDED) {
            return;
        }
        if !self.flags.has(Flags::DISCARDING | Flags::BROKEN) {
            self.flags.set(Flags::TELL_ENDED);
        }
        self.input_ended();
    }

    /// Receiving failed: nothing more will come.
    ///
    /// ```
    /// # use std::io::ErrorKind;
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.next_event();
    /// machine.receive_failed(now, ErrorKind::ConnectionReset.into());
    /// assert!(matches!(machine.next_event(), Some(StreamEvent::Closed(_))));
    /// ```
    pub fn receive_failed(&mut self, now: Tick, error: io::Error) {
        self.flags.clear(Flags::RECEIVING);
        if self.flags.has(Flags::CLOSED) {
            return;
        }
        if self.wire_is_over() {
            self.wire_ended(now);
            return;
        }
        self.fail(Activity::Receive, error);
        self.flags.set(Flags::BROKEN);
        self.output.unfreeze(End::Front);
        let _ = self.output.clear();
        if self.flags.has(Flags::FILTERED) {
            self.mute_filters();
            self.wire_ended(now);
        } else {
            self.input_ended();
        }
    }

    /// A send ended: so many bytes of it were taken by the kernel.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.write(b"hello").unwrap();
    /// let sent = machine.next_send(now).unwrap();
    /// machine.sent(now, Ok(2));
    /// drop(sent);
    /// assert_eq!(*machine.output(), *b"llo");
    /// ```
    #[inline]
    pub fn sent(&mut self, now: Tick, outcome: io::Result<usize>) {
        self.flags.clear(Flags::SENDING);
        if self.flags.has(Flags::CLOSED) {
            return;
        }
        self.lowest().unfreeze(End::Front);
        let in_flight = std::mem::take(&mut self.in_flight) as usize;
        self.took(now, outcome.map(|taken| taken.min(in_flight)));
    }

    /// The kernel took these bytes of [`sendable`](Self::sendable) at once, or
    /// refused them for good.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.write(b"hello").unwrap();
    /// machine.sent_at_once(now, Ok(3));
    /// assert_eq!(*machine.output(), *b"lo");
    /// ```
    #[inline]
    pub fn sent_at_once(&mut self, now: Tick, outcome: io::Result<usize>) {
        if self.may_send() {
            self.took(now, outcome);
        }
    }

    #[inline]
    fn took(&mut self, now: Tick, outcome: io::Result<usize>) {
        match outcome {
            Ok(taken) => {
                if let Some(rare) = &mut self.rare {
                    rare.write_since = now;
                }
                if self.flags.has(Flags::TELLS_SENT) {
                    self.flags.set(Flags::TELL_SENT);
                }
                if self.flags.has(Flags::FILTERED) {
                    self.took_below(taken);
                    return;
                }
                // Nobody but the machine may freeze the front, so this
                // cannot be refused.
                self.output.unfreeze(End::Front);
                let _ = self.output.drain(taken);
                self.sent += taken as u64;
                if self.output.len() <= self.config().output.low {
                    self.tell_writable();
                }
            }
            Err(error) => self.send_failed(Activity::Send, error),
        }
    }

    /// A rate limit holds back what is to be sent: it is not the peer who
    /// makes us wait, so the time it has to end starts anew.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ferrevent_core::stream::Machine;
    /// # use ferrevent_core::timer::Tick;
    /// let mut machine = Machine::connected();
    /// machine.write(b"slowly").unwrap();
    /// machine.finish(Tick(0));
    /// machine.send_delayed(Tick(1_000_000));
    /// assert_eq!(machine.wake_at(), Some(Tick(11_000_000)));
    /// ```
    pub fn send_delayed(&mut self, now: Tick) {
        if !self.flags.has(Flags::DISCARDING) || self.flags.has(Flags::DYING) {
            return;
        }
        let linger = self.config().linger;
        if let Some(rare) = &mut self.rare
            && rare.linger_until != Tick(u64::MAX)
        {
            rare.linger_until = now + linger;
        }
    }

    /// A send was taken back: its bytes wait again.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.write(b"hello").unwrap();
    /// drop(machine.next_send(now));
    /// machine.send_canceled();
    /// assert_eq!(machine.next_send(now).unwrap().len(), 5);
    /// ```
    pub fn send_canceled(&mut self) {
        self.flags.clear(Flags::SENDING);
        self.in_flight = 0;
        self.lowest().unfreeze(End::Front);
    }

    /// Our end was sent, or could not be.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.finish_write();
    /// assert!(machine.wants_shutdown());
    /// machine.shutdown_ended(Ok(()));
    /// assert!(!machine.wants_shutdown());
    /// ```
    pub fn shutdown_ended(&mut self, outcome: io::Result<()>) {
        if self.flags.has(Flags::CLOSED) {
            return;
        }
        self.flags.set(Flags::OUTPUT_ENDED);
        match outcome {
            Ok(()) => {}
            Err(_) if self.wire_is_over() => {}
            // It all was sent; the peer that is gone may have said its end
            // before, in what is still to be received.
            Err(error) if self.flags.has(Flags::FILTERED) && is_by_peer(&error) => {
                self.fail(Activity::Shutdown, error);
            }
            Err(error) => self.send_failed(Activity::Shutdown, error),
        }
        self.settle();
    }

    /// The time is now `now`: finds what has timed out.
    ///
    /// ```
    /// # use ferrevent_core::stream::{StreamConfig, Timeout};
    /// # use std::time::Duration;
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.next_event();
    /// let config = StreamConfig {
    ///     read_timeout: Some(Duration::from_secs(1)),
    ///     ..StreamConfig::DEFAULT
    /// };
    /// machine.configure(now, config);
    /// machine.receive_began(now);
    /// machine.time_passed(Tick(1_000_000));
    /// assert!(matches!(machine.next_event(), Some(StreamEvent::TimedOut(Timeout::Read))));
    /// ```
    pub fn time_passed(&mut self, now: Tick) {
        if self.flags.has(Flags::CLOSED) {
            return;
        }
        let (connecting, reading, writing) = self.clocks();
        let lingers = self.flags.has(Flags::DISCARDING | Flags::DYING);
        let opening = self.flags.has(Flags::OPENING) && !connecting;
        let Some(rare) = &mut self.rare else { return };
        if connecting && rare.connect_due() <= now {
            self.close(CloseReason::TimedOut(Timeout::Connect));
            return;
        }
        if opening && rare.open_until <= now {
            self.close(CloseReason::TimedOut(Timeout::Handshake));
            return;
        }
        if lingers && rare.linger_until <= now {
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
