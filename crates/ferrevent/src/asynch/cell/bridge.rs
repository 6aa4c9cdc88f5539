//! The handler's side.

use std::sync::Arc;

use super::state::{BUSY, CLOSED, ENDED, MORE, OPEN, OPENING, State, TOUCHED};
use super::{Cell, wake};
use crate::asynch::accepting::Accepting;
use crate::asynch::{here, lock};
use crate::{CloseReason, Handler, Stream, Timeout};

/// The handler of a stream that tasks own.
pub(in crate::asynch) struct Bridge {
    cell: Arc<Cell>,
    /// Who is given the stream once it is open.
    accepting: Option<Arc<Accepting>>,
}

impl Bridge {
    pub(in crate::asynch) fn new(cell: Arc<Cell>) -> Self {
        Self {
            cell,
            accepting: None,
        }
    }

    pub(in crate::asynch) fn accepted(accepting: &Arc<Accepting>) -> Self {
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
