//! What a stream's handler and its tasks have in common. The handler moves
//! bytes between it and the stream, whole segments at a time, and polls the
//! tasks that wait for them in the same callback.

use std::io;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};
use std::task::{Context as Polling, Poll, Waker};

use ferrevent_core::buffer::Buffer;
use ferrevent_core::filter::Filter;
use ferrevent_os::Token;

use super::accepting::Accepting;
use super::hub::{Hub, again};
use super::{here, lock, remember};
use crate::{Activity, CloseReason, Handler, Stream, StreamConfig, Timeout};

pub(super) struct Cell {
    pub(super) hub: Arc<Hub>,
    state: Mutex<State>,
}

/// Something to be done with the stream in its next callback.
pub(super) type Call = Box<dyn FnOnce(&mut Stream<'_>) + Send>;

/// Every connection has one: it is to be small.
struct State {
    input: Buffer,
    output: Buffer,
    reader: Option<Waker>,
    /// The stream's token, which is never zero.
    token: Option<NonZeroU64>,
    rare: Option<Box<Rare>>,
    /// What waited in the stream when it was looked at last; four gigabytes
    /// stand for more.
    unsent: u32,
    flags: u16,
}

/// What few streams have, or none for long.
#[derive(Default)]
struct Rare {
    /// Where a write waits, if not where it does usually.
    high: Option<usize>,
    end: Option<Failure>,
    /// Why nothing goes any more, while there may still be something to read.
    lost: Option<Failure>,
    writer: Option<Waker>,
    calls: Vec<Call>,
}

/// The connection stands.
const OPEN: u16 = 1;
/// The peer has ended its side.
const ENDED: u16 = 1 << 1;
/// The stream is over.
const CLOSED: u16 = 1 << 2;
/// Its handler is being called, and will look at everything after that.
const BUSY: u16 = 1 << 3;
/// Its handler was asked to look.
const TOUCHED: u16 = 1 << 4;
/// The stream has more than what was moved here.
const MORE: u16 = 1 << 5;
/// The sending side is to be ended.
const FINISH: u16 = 1 << 6;
/// Somebody waits for all to be sent.
const FLUSH: u16 = 1 << 7;
/// The owner is gone.
const DROPPED: u16 = 1 << 8;
/// Filters are to put out what they hold back.
const PUSH: u16 = 1 << 9;
/// The stream was asked to tell of what it has sent.
const TELLS: u16 = 1 << 10;
/// A filter that was put on it is not open yet.
const OPENING: u16 = 1 << 11;

impl Rare {
    fn is_empty(&self) -> bool {
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
const HIGH: usize = StreamConfig::DEFAULT.output.high;

/// Why a stream failed, to be told as often as it is asked for.
struct Failure {
    kind: io::ErrorKind,
    os: Option<i32>,
    message: String,
}

impl Failure {
    fn of(reason: &CloseReason) -> Option<Self> {
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

    fn error(&self) -> io::Error {
        match self.os {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(self.kind, self.message.clone()),
        }
    }
}

impl State {
    fn has(&self, bits: u16) -> bool {
        self.flags & bits != 0
    }

    fn take(&mut self, bits: u16) -> bool {
        let had = self.has(bits);
        self.flags &= !bits;
        had
    }

    fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    fn take_calls(&mut self) -> Vec<Call> {
        match &mut self.rare {
            Some(rare) => std::mem::take(&mut rare.calls),
            None => Vec::new(),
        }
    }

    fn take_writer(&mut self) -> Option<Waker> {
        self.rare.as_mut()?.writer.take()
    }

    /// Keeps no room that is empty.
    fn tidy(&mut self) {
        if self.rare.as_ref().is_some_and(|rare| rare.is_empty()) {
            self.rare = None;
        }
    }

    fn has_calls(&self) -> bool {
        self.rare
            .as_ref()
            .is_some_and(|rare| !rare.calls.is_empty())
    }

    /// The stream is over.
    fn end(&mut self, reason: &CloseReason) {
        self.flags |= CLOSED | ENDED;
        if let Some(failure) = Failure::of(reason) {
            self.rare_mut().end = Some(failure);
        }
    }

    /// Why it failed, if it did.
    fn failure(&self) -> Option<io::Error> {
        Some(self.rare.as_ref()?.end.as_ref()?.error())
    }

    /// Why what was written does not go, if so.
    fn lost(&self) -> Option<&Failure> {
        let rare = self.rare.as_ref()?;
        rare.end.as_ref().or(rare.lost.as_ref())
    }

    fn token(&self) -> Option<Token> {
        self.token.map(|token| Token(token.get()))
    }

    fn set_token(&mut self, token: Token) {
        self.token = NonZeroU64::new(token.0);
    }

    /// Where a write waits: the high watermark of the output.
    fn high(&self) -> usize {
        let own = self.rare.as_ref().and_then(|rare| rare.high);
        own.unwrap_or(HIGH)
    }

    fn set_high(&mut self, high: usize) {
        if high != self.high() {
            self.rare_mut().high = Some(high);
        }
    }

    /// Looks at what waits in the stream, and whether it still goes.
    fn look_at(&mut self, stream: &mut Stream<'_>) {
        self.unsent = u32::try_from(stream.waiting()).unwrap_or(u32::MAX);
        if let Some(reason) = stream.machine.broken()
            && self.lost().is_none()
        {
            self.rare_mut().lost = Failure::of(reason);
        }
    }

    /// How much may be written.
    fn room(&self) -> usize {
        let waiting = self.output.len().saturating_add(self.unsent as usize);
        self.high().saturating_sub(waiting)
    }

    /// Why no more can be written.
    fn refusal(&self) -> Option<io::Error> {
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
    fn receive(&mut self, stream: &mut Stream<'_>) {
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
    fn apply(&mut self, stream: &mut Stream<'_>) {
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

    fn is_full(&self) -> bool {
        self.room() == 0
    }

    /// Whoever waits to write may go on, or has to hear of the end.
    fn waiting_writer(&mut self) -> Option<Waker> {
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

impl Cell {
    pub(super) fn new(hub: &Arc<Hub>) -> Arc<Self> {
        Arc::new(Self {
            hub: Arc::clone(hub),
            state: Mutex::new(State {
                input: Buffer::new(),
                output: Buffer::new(),
                reader: None,
                token: None,
                rare: None,
                unsent: 0,
                flags: 0,
            }),
        })
    }

    /// The stream is this one: known before its first callback.
    pub(super) fn is_stream(&self, token: Token) {
        let touched = {
            let mut state = lock(&self.state);
            state.set_token(token);
            state.has(TOUCHED)
        };
        if touched {
            self.hub.nudge(token);
        }
    }

    /// Never was a stream.
    pub(super) fn failed(&self, error: &io::Error) {
        self.close(&CloseReason::Failed {
            during: Activity::Connect,
            error: again(error),
        });
    }

    fn close(&self, reason: &CloseReason) {
        let (reader, writer, calls) = {
            let mut state = lock(&self.state);
            state.end(reason);
            let _ = state.output.clear();
            if matches!(reason, CloseReason::Finished) {
                state.unsent = 0;
            }
            let calls = state.take_calls();
            (state.reader.take(), state.take_writer(), calls)
        };
        drop(calls);
        wake(reader);
        wake(writer);
    }

    /// Does something with the state, and tells the handler if it has to look.
    #[inline]
    fn with<R>(&self, work: impl FnOnce(&mut State) -> (R, bool)) -> R {
        let (result, token) = {
            let mut state = lock(&self.state);
            let (result, touches) = work(&mut state);
            let mut token = None;
            if touches && !state.has(BUSY | TOUCHED | CLOSED) {
                state.flags |= TOUCHED;
                token = state.token();
            }
            (result, token)
        };
        if let Some(token) = token {
            here::touch(&self.hub, token);
        }
        result
    }

    pub(super) fn poll_open(&self, polling: &Polling<'_>) -> Poll<io::Result<()>> {
        let mut state = lock(&self.state);
        if let Some(failure) = state.failure() {
            return Poll::Ready(Err(failure));
        }
        if state.has(OPEN) {
            return Poll::Ready(Ok(()));
        }
        if state.has(CLOSED) {
            return Poll::Ready(Err(super::hub::gone()));
        }
        remember(&mut state.reader, polling.waker());
        Poll::Pending
    }

    /// Takes from the input, or answers zero at the end.
    #[inline]
    pub(super) fn poll_read(
        &self,
        polling: &Polling<'_>,
        take: impl FnOnce(&mut Buffer) -> usize,
    ) -> Poll<io::Result<usize>> {
        self.with(|state| {
            if !state.input.is_empty() {
                let taken = take(&mut state.input);
                let more = state.has(MORE) && state.input.is_empty();
                return (Poll::Ready(Ok(taken)), more);
            }
            if state.has(MORE) && !state.has(CLOSED) {
                // It is on its way.
            } else if let Some(failure) = state.failure() {
                return (Poll::Ready(Err(failure)), false);
            } else if state.has(ENDED | CLOSED) {
                return (Poll::Ready(Ok(0)), false);
            }
            remember(&mut state.reader, polling.waker());
            (Poll::Pending, false)
        })
    }

    /// Waits until there is something to read, or the end.
    pub(super) fn poll_readable(&self, polling: &Polling<'_>) -> Poll<io::Result<()>> {
        let read = self.poll_read(polling, |_| 0);
        read.map_ok(|_| ())
    }

    /// Puts bytes into the output, while it is below its high watermark.
    #[inline]
    pub(super) fn poll_write(
        &self,
        polling: &Polling<'_>,
        put: impl FnOnce(&mut Buffer, usize) -> usize,
    ) -> Poll<io::Result<usize>> {
        self.with(|state| {
            if let Some(refusal) = state.refusal() {
                return (Poll::Ready(Err(refusal)), false);
            }
            if state.is_full() {
                remember(&mut state.rare_mut().writer, polling.waker());
                state.flags &= !FLUSH;
                return (Poll::Pending, true);
            }
            let room = state.room();
            (Poll::Ready(Ok(put(&mut state.output, room))), true)
        })
    }

    /// Waits until what was written before is sent. What was written since
    /// the handler looked last leaves as soon as it does, without a wait.
    #[inline]
    pub(super) fn poll_flush(&self, polling: &Polling<'_>, whole: bool) -> Poll<io::Result<()>> {
        self.with(|state| {
            if let Some(failure) = state.lost() {
                return (Poll::Ready(Err(failure.error())), false);
            }
            let sent = state.unsent == 0 && (!whole || state.output.is_empty());
            if state.has(CLOSED) && !sent {
                return (Poll::Ready(Err(closed())), false);
            }
            if sent {
                state.flags |= PUSH;
                return (Poll::Ready(Ok(())), !state.output.is_empty());
            }
            remember(&mut state.rare_mut().writer, polling.waker());
            state.flags |= FLUSH | PUSH;
            (Poll::Pending, true)
        })
    }

    /// Ends the sending side, and waits until all is sent.
    pub(super) fn poll_close(&self, polling: &Polling<'_>) -> Poll<io::Result<()>> {
        self.with(|state| {
            let first = !state.has(FINISH);
            state.flags |= FINISH;
            ((), first)
        });
        self.poll_flush(polling, true)
    }

    /// Puts a filter on the stream, in a callback of it: what was not read yet
    /// comes through it, what was written before goes below it.
    pub(super) fn add_filter(
        &self,
        stream: &mut Stream<'_>,
        filter: Box<dyn Filter>,
    ) -> io::Result<()> {
        let mut state = lock(&self.state);
        // Refused only where the sending side has ended; and so is the filter.
        let _ = stream.output().append_buffer(&mut state.output);
        // Neither end is frozen here.
        let _ = state.input.append_buffer(stream.input());
        let _ = stream.input().append_buffer(&mut state.input);
        state.flags &= !MORE;
        let added = stream.add_filter(filter);
        if added.is_err() {
            state.receive(stream);
        } else if stream.machine.is_opening() {
            state.flags |= OPENING;
        }
        added.map_err(|error| io::Error::new(io::ErrorKind::BrokenPipe, error))
    }

    /// Waits until the filters that were put on it are open.
    pub(super) fn poll_filtered(&self, polling: &Polling<'_>) -> Poll<io::Result<()>> {
        let mut state = lock(&self.state);
        if let Some(failure) = state.failure() {
            return Poll::Ready(Err(failure));
        }
        if state.has(CLOSED) {
            return Poll::Ready(Err(closed()));
        }
        if !state.has(OPENING) {
            return Poll::Ready(Ok(()));
        }
        remember(&mut state.reader, polling.waker());
        Poll::Pending
    }

    /// Has something done with the stream; false when it is over.
    pub(super) fn call(&self, call: Call) -> bool {
        self.with(|state| {
            if state.has(CLOSED) {
                return (false, false);
            }
            state.rare_mut().calls.push(call);
            (true, true)
        })
    }

    pub(super) fn let_go(&self) {
        let (reader, writer) = self.with(|state| {
            state.flags |= DROPPED;
            ((state.reader.take(), state.take_writer()), true)
        });
        drop((reader, writer));
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the stream is closed")
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// The handler of a stream that tasks own.
pub(super) struct Bridge {
    cell: Arc<Cell>,
    /// Who is given the stream once it is open.
    accepting: Option<Arc<Accepting>>,
}

impl Bridge {
    pub(super) fn new(cell: Arc<Cell>) -> Self {
        Self {
            cell,
            accepting: None,
        }
    }

    pub(super) fn accepted(accepting: &Arc<Accepting>) -> Self {
        Self {
            cell: Cell::new(accepting.hub()),
            accepting: Some(Arc::clone(accepting)),
        }
    }

    /// Looks at both sides: takes what came, has those polled who waited for
    /// it, and asks of the stream what they want.
    #[inline]
    fn attend(&mut self, stream: &mut Stream<'_>, note: impl FnOnce(&mut State)) {
        let cell = &self.cell;
        let (mut reader, mut writer, calls);
        {
            let mut state = lock(&cell.state);
            note(&mut state);
            state.flags &= !TOUCHED;
            state.flags |= BUSY;
            state.receive(stream);
            state.look_at(stream);
            reader = None;
            if !state.input.is_empty() || state.has(ENDED | CLOSED) {
                reader = state.reader.take();
            }
            writer = state.waiting_writer();
            calls = state.take_calls();
        }
        for call in calls {
            call(stream);
        }
        loop {
            if reader.is_some() || writer.is_some() {
                here::work(&cell.hub, stream.context(), || {
                    wake(reader.take());
                    wake(writer.take());
                });
            }
            let mut state = lock(&cell.state);
            if state.has(MORE) && state.input.is_empty() {
                state.receive(stream);
            }
            state.apply(stream);
            if state.has_calls() {
                // Others come in the next callback.
                stream.machine.nudge();
            }
            reader = None;
            if !state.input.is_empty() {
                reader = state.reader.take();
            }
            if reader.is_none() {
                state.flags &= !BUSY;
                state.tidy();
                return;
            }
        }
    }

    /// It is open, or open again: whoever waited for that goes on.
    fn rise(&mut self, stream: &mut Stream<'_>, note: impl FnOnce(&mut State)) {
        let mut waited = None;
        self.attend(stream, |state| {
            note(state);
            waited = state.reader.take();
        });
        if waited.is_some() {
            let hub = Arc::clone(&self.cell.hub);
            here::work(&hub, stream.context(), || wake(waited));
            self.attend(stream, |_| ());
        }
    }

    fn over(&mut self, stream: &mut Stream<'_>, reason: &CloseReason) {
        {
            let mut state = lock(&self.cell.state);
            // At once with why: who reads meanwhile must not take it for an end.
            state.end(reason);
            state.receive(stream);
        }
        let cell = &self.cell;
        here::work(&cell.hub, stream.context(), || cell.close(reason));
    }
}

impl Handler for Bridge {
    fn opened(&mut self, stream: &mut Stream<'_>) {
        let token = stream.token;
        let high = stream.config().output.high.max(1);
        stream.machine.tell_loss();
        if let Some(accepting) = self.accepting.take() {
            lock(&self.cell.state).set_token(token);
            let cell = Arc::clone(&self.cell);
            accepting.came(stream, cell);
        }
        self.rise(stream, |state| {
            state.set_token(token);
            state.set_high(high);
            state.flags |= OPEN;
        });
    }

    fn upgraded(&mut self, stream: &mut Stream<'_>) {
        self.rise(stream, |state| state.flags &= !OPENING);
    }

    fn readable(&mut self, stream: &mut Stream<'_>) {
        self.attend(stream, |_| ());
    }

    fn nudged(&mut self, stream: &mut Stream<'_>) {
        self.attend(stream, |_| ());
    }

    fn sent(&mut self, stream: &mut Stream<'_>) {
        self.attend(stream, |_| ());
    }

    fn writable(&mut self, stream: &mut Stream<'_>) {
        self.attend(stream, |_| ());
    }

    fn ended(&mut self, stream: &mut Stream<'_>) {
        self.attend(stream, |state| state.flags |= ENDED);
    }

    fn timed_out(&mut self, stream: &mut Stream<'_>, which: Timeout) {
        stream.close_because(CloseReason::TimedOut(which));
    }

    fn closed(&mut self, stream: &mut Stream<'_>, reason: CloseReason) {
        self.over(stream, &reason);
    }
}
