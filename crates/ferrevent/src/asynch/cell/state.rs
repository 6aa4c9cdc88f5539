//! What is known of a stream between its handler and its tasks.

use std::io;
use std::num::NonZeroU64;
use std::task::Waker;

use ferrevent_core::buffer::Buffer;
use ferrevent_os::Token;

use super::{Call, closed};
use crate::{CloseReason, Stream, StreamConfig};

/// Every connection has one: it is to be small.
pub(super) struct State {
    pub(super) input: Buffer,
    pub(super) output: Buffer,
    pub(super) reader: Option<Waker>,
    /// The stream's token, which is never zero.
    pub(super) token: Option<NonZeroU64>,
    pub(super) rare: Option<Box<Rare>>,
    /// What waited in the stream when it was looked at last; four gigabytes
    /// stand for more.
    pub(super) unsent: u32,
    pub(super) flags: u16,
}

/// What few streams have, or none for long.
#[derive(Default)]
pub(super) struct Rare {
    /// Where a write waits, if not where it does usually.
    pub(super) high: Option<usize>,
    pub(super) end: Option<Failure>,
    /// Why nothing goes any more, while there may still be something to read.
    pub(super) lost: Option<Failure>,
    pub(super) writer: Option<Waker>,
    pub(super) calls: Vec<Call>,
}

/// The connection stands.
pub(super) const OPEN: u16 = 1;
/// The peer has ended its side.
pub(super) const ENDED: u16 = 1 << 1;
/// The stream is over.
pub(super) const CLOSED: u16 = 1 << 2;
/// Its handler is being called, and will look at everything after that.
pub(super) const BUSY: u16 = 1 << 3;
/// Its handler was asked to look.
pub(super) const TOUCHED: u16 = 1 << 4;
/// The stream has more than what was moved here.
pub(super) const MORE: u16 = 1 << 5;
/// The sending side is to be ended.
pub(super) const FINISH: u16 = 1 << 6;
/// Somebody waits for all to be sent.
pub(super) const FLUSH: u16 = 1 << 7;
/// The owner is gone.
pub(super) const DROPPED: u16 = 1 << 8;
/// Filters are to put out what they hold back.
pub(super) const PUSH: u16 = 1 << 9;
/// The stream was asked to tell of what it has sent.
pub(super) const TELLS: u16 = 1 << 10;
/// A filter that was put on it is not open yet.
pub(super) const OPENING: u16 = 1 << 11;

impl Rare {
    pub(super) fn is_empty(&self) -> bool {
        let Self {
            high,
            end,
            lost,
            writer,
            calls,
        } = self;
        let nothing = end.is_none() && lost.is_none() && writer.is_none();
        nothing && high.is_none() && calls.is_empty()
    }
}

/// Where a write waits usually.
pub(super) const HIGH: usize = StreamConfig::DEFAULT.output.high;

/// Why a stream failed, to be told as often as it is asked for.
pub(super) struct Failure {
    pub(super) kind: io::ErrorKind,
    pub(super) os: Option<i32>,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn of(reason: &CloseReason) -> Option<Self> {
        let (kind, os) = match reason {
            CloseReason::Finished | CloseReason::Closed => return None,
            CloseReason::TimedOut(_) => (io::ErrorKind::TimedOut, None),
            CloseReason::Failed { error, .. } => (error.kind(), error.raw_os_error()),
            _ => (io::ErrorKind::Other, None),
        };
        Some(Self {
            kind,
            os,
            message: reason.to_string(),
        })
    }

    pub(super) fn error(&self) -> io::Error {
        match self.os {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(self.kind, self.message.clone()),
        }
    }
}

impl State {
    pub(super) fn has(&self, bits: u16) -> bool {
        self.flags & bits != 0
    }

    pub(super) fn take(&mut self, bits: u16) -> bool {
        let had = self.has(bits);
        self.flags &= !bits;
        had
    }

    pub(super) fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    pub(super) fn take_calls(&mut self) -> Vec<Call> {
        match &mut self.rare {
            Some(rare) => std::mem::take(&mut rare.calls),
            None => Vec::new(),
        }
    }

    pub(super) fn take_writer(&mut self) -> Option<Waker> {
        self.rare.as_mut()?.writer.take()
    }

    /// Keeps no room that is empty.
    pub(super) fn tidy(&mut self) {
        if self.rare.as_ref().is_some_and(|rare| rare.is_empty()) {
            self.rare = None;
        }
    }

    pub(super) fn has_calls(&self) -> bool {
        self.rare
            .as_ref()
            .is_some_and(|rare| !rare.calls.is_empty())
    }

    /// The stream is over.
    pub(super) fn end(&mut self, reason: &CloseReason) {
        self.flags |= CLOSED | ENDED;
        if let Some(failure) = Failure::of(reason) {
            self.rare_mut().end = Some(failure);
        }
    }

    /// Why it failed, if it did.
    pub(super) fn failure(&self) -> Option<io::Error> {
        Some(self.rare.as_ref()?.end.as_ref()?.error())
    }

    /// Why what was written does not go, if so.
    pub(super) fn lost(&self) -> Option<&Failure> {
        let rare = self.rare.as_ref()?;
        rare.end.as_ref().or(rare.lost.as_ref())
    }

    pub(super) fn token(&self) -> Option<Token> {
        self.token.map(|token| Token(token.get()))
    }

    pub(super) fn set_token(&mut self, token: Token) {
        self.token = NonZeroU64::new(token.0);
    }

    /// Where a write waits: the high watermark of the output.
    pub(super) fn high(&self) -> usize {
        let own = self.rare.as_ref().and_then(|rare| rare.high);
        own.unwrap_or(HIGH)
    }

    pub(super) fn set_high(&mut self, high: usize) {
        if high != self.high() {
            self.rare_mut().high = Some(high);
        }
    }

    /// Looks at what waits in the stream, and whether it still goes.
    pub(super) fn look_at(&mut self, stream: &mut Stream<'_>) {
        self.unsent = u32::try_from(stream.waiting()).unwrap_or(u32::MAX);
        if let Some(reason) = stream.machine.broken()
            && self.lost().is_none()
        {
            self.rare_mut().lost = Failure::of(reason);
        }
    }

    /// How much may be written.
    pub(super) fn room(&self) -> usize {
        let waiting = self.output.len().saturating_add(self.unsent as usize);
        self.high().saturating_sub(waiting)
    }

    /// Why no more can be written.
    pub(super) fn refusal(&self) -> Option<io::Error> {
        if let Some(failure) = self.lost() {
            return Some(failure.error());
        }
        if self.has(CLOSED) {
            return Some(closed());
        }
        self.has(FINISH).then(|| {
            io::Error::new(
                io::ErrorKind::BrokenPipe,
                "the sending side was already closed here",
            )
        })
    }

    /// What is in the stream's input is moved here, as far as it may.
    pub(super) fn receive(&mut self, stream: &mut Stream<'_>) {
        let enough = stream.config().input.high.max(1);
        let input = stream.input();
        if self.input.len() < enough || self.has(CLOSED) {
            // Neither end is frozen here.
            let _ = self.input.append_buffer(input);
        }
        if input.is_empty() {
            self.flags &= !MORE;
        } else {
            self.flags |= MORE;
        }
    }

    /// What tasks want of the stream is asked of it.
    pub(super) fn apply(&mut self, stream: &mut Stream<'_>) {
        if self.has(CLOSED) {
            return;
        }
        if !self.output.is_empty() {
            // Refused only where the sending side has ended.
            let _ = stream.output().append_buffer(&mut self.output);
            let _ = self.output.clear();
        }
        if self.take(PUSH) {
            stream.flush();
        }
        if self.has(DROPPED) {
            if self.has(OPEN) {
                stream.finish();
            } else {
                stream.close();
            }
        } else if self.has(FINISH) {
            stream.finish_write();
        }
        self.look_at(stream);
        let tells = self.has(FLUSH) && self.unsent > 0;
        if tells != self.has(TELLS) {
            self.flags ^= TELLS;
            stream.tell_sent(tells);
        }
        let waits = self.rare.as_ref().is_some_and(|rare| rare.writer.is_some());
        stream.machine.set_tells_writable(waits);
    }

    pub(super) fn is_full(&self) -> bool {
        self.room() == 0
    }

    /// Whoever waits to write may go on, or has to hear of the end.
    pub(super) fn waiting_writer(&mut self) -> Option<Waker> {
        let over = self.has(CLOSED) || self.lost().is_some();
        let flushed = self.has(FLUSH) && self.unsent == 0 && self.output.is_empty();
        if flushed {
            self.flags &= !FLUSH;
        }
        let may = flushed || (!self.has(FLUSH) && !self.is_full());
        if over || may {
            self.take_writer()
        } else {
            None
        }
    }
}
