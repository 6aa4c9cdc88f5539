//! What a machine wants: operations, and to be told the time.

use super::{Flags, Machine, SEND_BYTES, SEND_SEGMENTS};
use crate::buffer::{Buffer, End, Pinned};
use crate::stream::timeouts::Rare;
use crate::timer::Tick;

/// What it wants.
impl Machine {
    /// Whether a receive is wanted that is not in flight yet.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// assert!(machine.wants_receive());
    /// ```
    #[inline]
    pub fn wants_receive(&self) -> bool {
        !self.flags.has(Flags::RECEIVING) && self.may_receive()
    }

    /// Whether so many bytes more can be received, and sent on, before a buffer
    /// is at its high mark; with filters there is no telling.
    ///
    /// ```
    /// # use ferrevent_core::stream::Machine;
    /// let machine = Machine::connected();
    /// assert!(machine.has_room(256 * 1024));
    /// assert!(!machine.has_room(256 * 1024 + 1));
    /// ```
    #[inline]
    pub fn has_room(&self, bytes: usize) -> bool {
        let config = self.config();
        !self.flags.has(Flags::FILTERED)
            && self.input.len().saturating_add(bytes) <= config.input.high
            && self.output.len().saturating_add(bytes) <= config.output.high
    }

    /// Whether a receive is in flight.
    ///
    /// ```
    /// # use ferrevent_core::stream::Machine;
    /// # use ferrevent_core::timer::Tick;
    /// let mut machine = Machine::connected();
    /// machine.receive_began(Tick(0));
    /// assert!(machine.is_receiving());
    /// ```
    #[inline]
    pub fn is_receiving(&self) -> bool {
        self.flags.has(Flags::RECEIVING)
    }

    /// Whether a receive that is in flight is no longer wanted.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.receive_began(now);
    /// machine.pause();
    /// assert!(machine.unwants_receive());
    /// ```
    #[inline]
    pub fn unwants_receive(&self) -> bool {
        self.flags.has(Flags::RECEIVING) && !self.may_receive()
    }

    #[inline]
    pub(super) fn may_receive(&self) -> bool {
        if self.flags.has(Flags::CONNECTING | Flags::CLOSED) {
            return false;
        }
        if self.flags.has(Flags::FILTERED)
            && let Some(stack) = self.stack()
        {
            return self.may_receive_below(stack);
        }
        if self.flags.has(Flags::INPUT_ENDED) {
            return false;
        }
        self.flags.has(Flags::DISCARDING) || self.owner_receives()
    }

    /// Whether the owner has room for more, and wants it.
    #[inline]
    pub(super) fn owner_receives(&self) -> bool {
        if self.flags.has(Flags::PAUSED) {
            return false;
        }
        let config = self.config();
        // An output that is never sent must not keep the end from being met.
        let coupled = config.coupled && !self.flags.has(Flags::BROKEN);
        self.input.len() < config.input.high.max(1)
            && (!coupled || self.output.len() < config.output.high.max(1))
    }

    /// What is to be sent, if a send may begin now (the filters, if there are
    /// any, work first): for a kernel that takes bytes at
    /// once, without an operation in flight. What it took is told by
    /// [`sent_at_once`](Self::sent_at_once); what it does not take goes by
    /// [`next_send`](Self::next_send).
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.write(b"hello").unwrap();
    /// assert_eq!(*machine.sendable(now).unwrap(), *b"hello");
    /// machine.sent_at_once(now, Ok(5));
    /// assert!(machine.sendable(now).is_none());
    /// ```
    #[inline]
    pub fn sendable(&mut self, now: Tick) -> Option<&Buffer> {
        if self.flags.has(Flags::FILTERED) {
            self.run_filters(now);
        }
        self.may_send().then(|| &*self.lowest())
    }

    #[inline]
    pub(super) fn may_send(&mut self) -> bool {
        let busy = self
            .flags
            .has(Flags::SENDING | Flags::CONNECTING | Flags::CLOSED | Flags::BROKEN | Flags::HELD);
        !busy && !self.lowest().is_empty()
    }

    /// The bytes to send now, if any; until [`sent`](Self::sent) they are in
    /// flight, and still count in the output's length.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.write(b"hello").unwrap();
    /// let bytes = machine.next_send(now).unwrap();
    /// assert_eq!(bytes.single(), Some(&b"hello"[..]));
    /// // One send at a time.
    /// assert!(machine.next_send(now).is_none());
    /// ```
    #[inline]
    pub fn next_send(&mut self, now: Tick) -> Option<Pinned> {
        self.next_send_of(now, usize::MAX)
    }

    /// As [`next_send`](Self::next_send), and not more than so many bytes.
    ///
    /// ```
    /// # use ferrevent_core::stream::Machine;
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.write(b"hello").unwrap();
    /// let bytes = machine.next_send_of(now, 2).unwrap();
    /// assert_eq!(bytes.single(), Some(&b"he"[..]));
    /// ```
    #[inline]
    pub fn next_send_of(&mut self, now: Tick, most: usize) -> Option<Pinned> {
        self.sendable(now)?;
        let output = self.lowest();
        let pinned = output.pin(SEND_BYTES.min(most), SEND_SEGMENTS);
        output.freeze(End::Front);
        self.in_flight = u32::try_from(pinned.len()).unwrap_or(u32::MAX);
        self.flags.set(Flags::SENDING);
        if let Some(rare) = &mut self.rare {
            rare.write_since = now;
        }
        Some(pinned)
    }

    /// Whether the end of our side is to be sent now.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// machine.write(b"last").unwrap();
    /// machine.finish_write();
    /// assert!(!machine.wants_shutdown());
    /// let _sent = machine.next_send(now);
    /// machine.sent(now, Ok(4));
    /// assert!(machine.wants_shutdown());
    /// ```
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
            && (!self.flags.has(Flags::FILTERED) || self.filters_finished())
    }

    /// When it wants to be told the time, if at all.
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// assert_eq!(machine.wake_at(), None);
    /// ```
    #[inline]
    pub fn wake_at(&self) -> Option<Tick> {
        let rare = self.rare.as_deref()?;
        self.next_due(rare)
    }

    fn next_due(&self, rare: &Rare) -> Option<Tick> {
        if self.flags.has(Flags::CLOSED) {
            return None;
        }
        let (connecting, reading, writing) = self.clocks();
        let mut due = Tick(u64::MAX);
        if connecting {
            due = due.min(rare.connect_due());
        }
        if self.flags.has(Flags::DISCARDING | Flags::DYING) {
            due = due.min(rare.linger_until);
        }
        if self.flags.has(Flags::OPENING) && !connecting {
            due = due.min(rare.open_until);
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
    ///
    /// ```
    /// # use ferrevent_core::stream::{Machine, StreamEvent};
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// let mut machine = Machine::connected();
    /// assert!(machine.has_events());
    /// machine.next_event();
    /// assert!(!machine.has_events());
    /// ```
    #[inline]
    pub fn has_events(&self) -> bool {
        let mut tell = Flags::TELL_ANY;
        if self.waits_to_open() {
            tell &= !Flags::TELL_OPEN;
        }
        if self.flags.has(Flags::PAUSED) {
            tell &= !(Flags::TELL_READABLE | Flags::TELL_ENDED);
        } else if self.flags.has(Flags::PIPED) {
            tell &= !(Flags::TELL_READABLE | Flags::TELL_ENDED | Flags::TELL_WRITABLE);
        }
        self.flags.has(tell)
    }
}
