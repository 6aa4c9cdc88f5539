//! A machine with filters: between the wire and the two buffers.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::{Flags, Machine};
use crate::buffer::{Block, Buffer, End, FileRangeRef};
use crate::filter::{Ends, Filter, LAYER_BYTES, Outcome, Stack};
use crate::stream::{Activity, CloseReason, WriteError, panic_message};
use crate::timer::Tick;

/// After a filter has failed, the longest time for the peer to take its last
/// words and to go, unless the linger is shorter.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Machine {
    /// Puts a filter between the buffers and what is below them: the wire, or
    /// the filter that was added before. Bytes of the input that were not
    /// taken yet came behind the ones that asked for the filter: they go
    /// through it. Bytes that wait in the output were written before, and go
    /// below it.
    ///
    /// Before the filters are [open](Filter::is_open) no `Opened` is told; if
    /// it was told already, `Upgraded` is told once they are.
    ///
    /// # Errors
    /// The filter is dropped when the stream is closed or broken, when the
    /// peer's end was told, or our own was asked for.
    ///
    /// ```
    /// # use ferrevent_core::filter::{Filter, Pass};
    /// # use ferrevent_core::stream::Machine;
    /// # use ferrevent_core::timer::Tick;
    /// # let now = Tick(0);
    /// struct Upper;
    /// impl Filter for Upper {
    ///     fn decode(&mut self, pass: &mut Pass<'_>) -> std::io::Result<()> {
    ///         pass.map(|bytes| bytes.make_ascii_uppercase());
    ///         Ok(())
    ///     }
    ///     fn encode(&mut self, pass: &mut Pass<'_>) -> std::io::Result<()> {
    ///         self.decode(pass)
    ///     }
    /// }
    /// let mut machine = Machine::connected();
    /// machine.write(b"plain, ").unwrap();
    /// machine.add_filter(now, Box::new(Upper)).unwrap();
    /// machine.write(b"filtered").unwrap();
    /// assert_eq!(*machine.sendable(now).unwrap(), *b"plain, FILTERED");
    /// ```
    pub fn add_filter(&mut self, now: Tick, filter: Box<dyn Filter>) -> Result<(), WriteError> {
        if self.flags.has(Flags::CLOSED | Flags::BROKEN | Flags::DYING) {
            return Err(WriteError::Closed);
        }
        if self.flags.has(Flags::FINISH_WRITE) {
            return Err(WriteError::Finished);
        }
        let ended = self.flags.has(Flags::INPUT_ENDED);
        if ended && !self.flags.take(Flags::TELL_ENDED) {
            return Err(WriteError::Closed);
        }
        let in_flight = self.flags.has(Flags::SENDING);
        let (received, sent) = (self.received, self.sent);
        // They are the owner's once they have come through, or are so no more.
        self.received -= self.input.len() as u64;
        self.sent += self.output.len() as u64;
        let rare = self.rare_mut(now);
        let mut stack = rare
            .filters
            .take()
            .unwrap_or_else(|| Box::new(Stack::new(received, sent)));
        stack.owes_writable |= !self.output.is_empty();
        stack.push(filter, &mut self.input, &mut self.output, in_flight);
        stack.wire_ended |= ended;
        self.flags.clear(Flags::INPUT_ENDED);
        self.flags.set(Flags::FILTERED);
        let open = stack.is_open();
        let connecting = self.flags.has(Flags::CONNECTING);
        let rare = self.rare_mut(now);
        rare.filters = Some(stack);
        if !open {
            if !connecting {
                rare.begin_handshake(now);
            }
            self.flags.set(Flags::OPENING);
        }
        Ok(())
    }

    /// Whether there are filters.
    ///
    /// ```
    /// # use ferrevent_core::stream::Machine;
    /// assert!(!Machine::connected().has_filters());
    /// ```
    #[inline]
    pub fn has_filters(&self) -> bool {
        self.flags.has(Flags::FILTERED)
    }

    /// Whether filters are still to agree with the peer's before they are open.
    ///
    /// ```
    /// # use ferrevent_core::stream::Machine;
    /// assert!(!Machine::connected().is_opening());
    /// ```
    #[inline]
    pub fn is_opening(&self) -> bool {
        self.flags.has(Flags::OPENING)
    }

    /// The filter of this type that was added last.
    ///
    /// ```
    /// # use ferrevent_core::filter::{Filter, Pass};
    /// # use ferrevent_core::stream::Machine;
    /// fn has<F: Filter>(machine: &Machine) -> bool {
    ///     machine.filter::<F>().is_some()
    /// }
    /// ```
    pub fn filter<F: Filter>(&self) -> Option<&F> {
        self.stack()?.find()
    }

    /// As [`filter`](Self::filter), to be changed.
    ///
    /// ```
    /// # use ferrevent_core::filter::{Filter, Pass};
    /// # use ferrevent_core::stream::Machine;
    /// fn change<F: Filter>(machine: &mut Machine, change: impl Fn(&mut F)) {
    ///     machine.filter_mut().map(change);
    /// }
    /// ```
    pub fn filter_mut<F: Filter>(&mut self) -> Option<&mut F> {
        self.stack_mut()?.find_mut()
    }

    /// Lets the filters put out everything that they hold back of what was
    /// written. Without filters, or with such as hold nothing back, this does
    /// nothing: bytes always go as soon as the kernel takes them.
    ///
    /// ```
    /// # use ferrevent_core::stream::Machine;
    /// let mut machine = Machine::connected();
    /// machine.flush();
    /// ```
    pub fn flush(&mut self) {
        if let Some(stack) = self.stack_mut() {
            stack.flush();
        }
    }

    /// What was written is not all that there should have been, and no more
    /// will come: filters that can let the peer know of it do. Nothing happens
    /// once the sending side was finished, or where there are no filters.
    ///
    /// ```
    /// # use ferrevent_core::stream::Machine;
    /// # use ferrevent_core::timer::Tick;
    /// let mut machine = Machine::connected();
    /// machine.write(b"the first ha").unwrap();
    /// machine.cut_short();
    /// machine.finish(Tick(0));
    /// ```
    pub fn cut_short(&mut self) {
        if self.flags.has(Flags::FINISH_WRITE | Flags::CLOSED) {
            return;
        }
        if let Some(stack) = self.stack_mut() {
            stack.cut_short();
        }
    }

    /// Bytes that the filters have taken and the kernel has not: they are no
    /// longer in the output. 0 without filters.
    ///
    /// ```
    /// # use ferrevent_core::stream::Machine;
    /// let mut machine = Machine::connected();
    /// machine.write(b"hello").unwrap();
    /// assert_eq!(machine.filtered_bytes(), 0);
    /// ```
    pub fn filtered_bytes(&self) -> usize {
        self.stack().map_or(0, Stack::pending)
    }

    /// The part of a file that lies at the front of the output and that a
    /// filter must see as bytes: to be read, and brought by
    /// [`file_read`](Self::file_read).
    ///
    /// ```
    /// # use ferrevent_core::stream::Machine;
    /// assert!(Machine::connected().wants_file().is_none());
    /// ```
    #[inline]
    pub fn wants_file(&self) -> Option<FileRangeRef<'_>> {
        if !self.flags.has(Flags::FILTERED)
            || self.flags.has(Flags::CLOSED | Flags::BROKEN | Flags::DYING)
        {
            return None;
        }
        self.output
            .front_file()
            .filter(|_| self.stack().is_some_and(Stack::has_room))
    }

    /// So many bytes of the file at the front of the output were read into a
    /// block, or could not be.
    ///
    /// ```
    /// # use ferrevent_core::buffer::Block;
    /// # use ferrevent_core::stream::Machine;
    /// # use ferrevent_core::timer::Tick;
    /// fn read(machine: &mut Machine, now: Tick, read: std::io::Result<(Block, usize)>) {
    ///     if machine.wants_file().is_some() {
    ///         machine.file_read(now, read);
    ///     }
    /// }
    /// ```
    pub fn file_read(&mut self, now: Tick, outcome: io::Result<(Block, usize)>) {
        let error = match outcome {
            Ok((_, 0)) => io::ErrorKind::UnexpectedEof.into(),
            Ok((block, filled)) => match self.output.fill_front_file(block, filled) {
                Ok(()) => return,
                Err(error) => error.into(),
            },
            Err(error) => error,
        };
        self.die(now, Activity::Send, error);
    }

    pub(super) fn stack(&self) -> Option<&Stack> {
        self.rare.as_ref()?.filters.as_deref()
    }

    pub(super) fn stack_mut(&mut self) -> Option<&mut Stack> {
        self.rare.as_mut()?.filters.as_deref_mut()
    }

    /// Lets bytes pass the filters, and notes what there is to be told of it.
    pub(super) fn run_filters(&mut self, now: Tick) {
        if self.flags.has(Flags::CLOSED) {
            return;
        }
        let discarding = self.flags.has(Flags::DISCARDING);
        let input_limit = if discarding {
            LAYER_BYTES
        } else {
            self.config().input.high.max(1)
        };
        let output_last = self.flags.has(Flags::FINISH_WRITE);
        let Some(rare) = &mut self.rare else { return };
        let Some(stack) = &mut rare.filters else {
            return;
        };
        let (input, output) = (&mut self.input, &mut self.output);
        let work = || {
            let mut outcome = Outcome::default();
            loop {
                outcome.add(stack.run(Ends {
                    input,
                    input_limit,
                    output,
                    output_last,
                }));
                if !discarding || input.is_empty() {
                    return outcome;
                }
                // A little becomes much in some filters: it is not kept to be thrown away.
                let _ = input.clear();
            }
        };
        let outcome = match catch_unwind(AssertUnwindSafe(work)) {
            Ok(outcome) => outcome,
            Err(payload) => {
                self.close(CloseReason::Panicked(panic_message(&*payload)));
                return;
            }
        };
        let (open, ended) = (stack.is_open(), stack.is_ended());
        stack.owes_writable |= outcome.encoded > 0;
        self.received += outcome.decoded as u64;
        self.sent += outcome.encoded as u64;
        if outcome.decoded > 0 && !discarding {
            self.flags.set(Flags::TELL_READABLE);
        }
        if open && self.flags.take(Flags::OPENING) {
            rare.restart(now);
            if !self.flags.has(Flags::TELL_OPENED | Flags::CONNECTING) {
                self.flags.set(Flags::TELL_UPGRADED);
            }
        }
        if let Some(failure) = outcome.failure {
            self.filter_failed(now, open, failure.decoding, failure.error);
        } else if ended && !self.flags.has(Flags::INPUT_ENDED) {
            self.top_ended(now, open);
        }
    }

    /// The owner has its last byte.
    fn top_ended(&mut self, now: Tick, open: bool) {
        if !open {
            let error = io::ErrorKind::UnexpectedEof.into();
            self.die(now, Activity::Handshake, error);
            return;
        }
        if let Some(CloseReason::Failed { during, .. }) = self.failure.as_deref()
            && *during == Activity::Shutdown
            && self.stack().is_some_and(|stack| !stack.wire_ended)
        {
            // It has said its end: how its wire ends is no concern of anybody's.
            self.failure = None;
        }
        if !self.flags.has(Flags::DISCARDING | Flags::BROKEN) {
            self.flags.set(Flags::TELL_ENDED);
        }
        self.input_ended();
    }

    fn filter_failed(&mut self, now: Tick, open: bool, decoding: bool, error: io::Error) {
        let gone = self.stack().is_some_and(|stack| stack.wire_ended);
        if open && decoding && gone && self.flags.has(Flags::DISCARDING) {
            // How the peer ended is no concern of an owner who has finished.
            if let Some(stack) = self.stack_mut() {
                stack.deaf = true;
            }
            self.input_ended();
            return;
        }
        let during = match (open, decoding) {
            (false, _) => Activity::Handshake,
            (true, true) => Activity::Decode,
            (true, false) => Activity::Encode,
        };
        self.die(now, during, error);
    }

    /// Something cannot go on: what came before is still told, the filters'
    /// last words are still sent, and then it is over.
    fn die(&mut self, now: Tick, during: Activity, error: io::Error) {
        self.fail(during, error);
        self.flags.set(Flags::DYING);
        self.flags.clear(Flags::HELD | Flags::TELL_WRITABLE);
        let _ = self.output.clear();
        self.finish_write();
        let patience = self.config().linger.min(LAST_WORDS);
        let rare = self.rare_mut(now);
        rare.linger_until = rare.linger_until.min(now + patience);
        if let Some(stack) = &mut rare.filters {
            // One that panics here has said its last.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                stack.cut_short();
                stack.last_words();
            }));
        }
        self.input_ended();
    }

    /// Bytes came for the lowest filter.
    pub(super) fn received_below(&mut self, now: Tick, len: usize, fill: impl FnOnce(&mut Buffer)) {
        if self.flags.has(Flags::BROKEN) {
            // What the owner wrote meanwhile goes nowhere.
            let _ = self.output.clear();
        }
        let Some(stack) = self.stack_mut() else {
            return;
        };
        stack.wire_received += len as u64;
        if !stack.deaf {
            fill(&mut stack.wire_in);
            self.run_filters(now);
        }
    }

    /// The peer has ended the wire, or it broke.
    pub(super) fn wire_ended(&mut self, now: Tick) {
        if let Some(stack) = self.stack_mut() {
            stack.wire_ended = true;
        }
        if self.flags.has(Flags::DYING) {
            self.settle();
        } else {
            self.run_filters(now);
        }
    }

    /// Whether the filters have the peer's end already: how the wire ends then
    /// is no concern of anybody's.
    pub(super) fn wire_is_over(&self) -> bool {
        self.flags.has(Flags::FILTERED)
            && self.flags.has(Flags::INPUT_ENDED)
            && !self.flags.has(Flags::DYING | Flags::BROKEN)
    }

    /// The kernel took bytes of the lowest filter.
    pub(super) fn took_below(&mut self, taken: usize) {
        let low = self.config().output.low;
        let waiting = self.output.len();
        let Some(stack) = self.stack_mut() else {
            return;
        };
        stack.wire_out.unfreeze(End::Front);
        let _ = stack.wire_out.drain(taken);
        stack.wire_sent += taken as u64;
        if stack.owes_writable && waiting + stack.pending() <= low {
            stack.owes_writable = false;
            self.tell_writable();
        }
    }

    /// Sending is over: the filters need not go on with it.
    pub(super) fn mute_filters(&mut self) {
        if let Some(stack) = self.stack_mut() {
            stack.mute = true;
            stack.wire_out.unfreeze(End::Front);
            let _ = stack.wire_out.clear();
        }
    }

    /// Whether more should come for the lowest filter.
    pub(super) fn may_receive_below(&self, stack: &Stack) -> bool {
        if stack.wire_ended {
            return false;
        }
        if self.flags.has(Flags::DYING) {
            return !self.flags.has(Flags::BROKEN);
        }
        if self.flags.has(Flags::INPUT_ENDED) || stack.is_full() {
            return false;
        }
        // What the filters agree on is no concern of the owner's.
        self.flags.has(Flags::OPENING | Flags::DISCARDING) || self.owner_receives()
    }

    /// Whether the end may be sent: everything before it has been.
    pub(super) fn filters_finished(&self) -> bool {
        self.stack().is_none_or(|stack| {
            let said = stack.is_finished() || self.flags.has(Flags::DYING);
            said && stack.pending() == 0
        })
    }
}
