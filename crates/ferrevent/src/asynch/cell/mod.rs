//! What a stream's handler and its tasks have in common. The handler moves
//! bytes between it and the stream, whole segments at a time, and polls the
//! tasks that wait for them in the same callback.

mod bridge;
mod state;

use std::io;
use std::sync::{Arc, Mutex};
use std::task::{Context as Polling, Poll, Waker};

use ferrevent_core::buffer::Buffer;
use ferrevent_core::filter::Filter;
use ferrevent_os::Token;

use super::hub::{Hub, again};
use super::{here, lock, remember};
use crate::{Activity, CloseReason, Stream};
pub(super) use bridge::Bridge;
use state::{
    BUSY, CLOSED, DROPPED, ENDED, FINISH, FLUSH, MORE, OPEN, OPENING, PUSH, State, TOUCHED,
};

pub(super) struct Cell {
    pub(super) hub: Arc<Hub>,
    state: Mutex<State>,
}

/// Something to be done with the stream in its next callback.
pub(in crate::asynch) type Call = Box<dyn FnOnce(&mut Stream<'_>) + Send>;

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
