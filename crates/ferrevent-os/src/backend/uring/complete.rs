//! Completions become events.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use io_uring::cqueue;

use super::buffers::BUFFER;
use super::entry::{bit, kind, parse};
use super::slots::{Held, Index, Stage, mark};
use super::state::State;
use crate::backend::{Event, What};
use crate::op::{Accepted, Completion, Received};
use crate::port::Readiness;

impl State {
    /// Takes every completion that has come.
    pub(super) fn complete(&mut self, events: &mut Vec<Event>) {
        if let Some(buffers) = &mut self.buffers {
            buffers.begin();
        }
        loop {
            let mut batch = [const { None }; 32];
            let mut count = 0;
            {
                // SAFETY: whoever calls holds the lock, so this is the only
                // completion queue.
                let mut queue = unsafe { self.ring().inner().completion_shared() };
                for (place, entry) in batch.iter_mut().zip(&mut queue) {
                    *place = Some((entry.user_data(), entry.result(), entry.flags()));
                    count += 1;
                }
            }
            for (user_data, result, flags) in batch.into_iter().flatten() {
                let (index, kind) = parse(user_data);
                self.complete_one(index, kind, result, flags, events);
            }
            if count < 32 {
                return;
            }
        }
    }

    fn complete_one(
        &mut self,
        index: Index,
        kind: u8,
        result: i32,
        flags: u32,
        events: &mut Vec<Event>,
    ) {
        let more = cqueue::more(flags);
        match kind {
            kind::NOTHING => return,
            kind::WAKE => {
                if !more {
                    self.listen_for_wakes();
                }
                events.push(Event {
                    token: crate::op::Token(u64::MAX),
                    what: What::Wake,
                });
                return;
            }
            _ => {}
        }
        let Some(slot) = self.slots.get(index) else {
            return;
        };
        let (token, closed) = (slot.token, slot.closed);
        let ending = slot.ending & bit(kind) != 0;
        if !more {
            slot.in_flight &= !bit(kind);
            slot.ending &= !bit(kind);
        }
        let what = match kind {
            kind::RECEIVE => {
                let tell = |completion| {
                    if !closed {
                        events.push(Event {
                            token,
                            what: What::Done(completion),
                        });
                    }
                };
                self.received(index, result, flags, more, ending, tell)
            }
            kind::SEND => self.sent(index, result, more, ending),
            kind::ACCEPT => self.accepted(index, result, more, ending),
            kind::CONNECT => self.connected(index, result, ending),
            _ => {
                if let Some(ready) = self.ready(index, kind, result, more, ending)
                    && !closed
                {
                    events.push(Event {
                        token,
                        what: What::Ready(ready),
                    });
                }
                None
            }
        };
        if closed {
            self.slots.release(index);
        } else if let Some(completion) = what {
            events.push(Event {
                token,
                what: What::Done(completion),
            });
        }
    }

    fn received(
        &mut self,
        index: Index,
        result: i32,
        flags: u32,
        more: bool,
        ending: bool,
        mut tell: impl FnMut(Completion),
    ) -> Option<Completion> {
        let named = cqueue::buffer_select(flags);
        let buffers = self.buffers.as_mut()?;
        let bytes = match (usize::try_from(result), named) {
            (Ok(len), Some(id)) if len > 0 => {
                if let Some(slot) = self.slots.get(index) {
                    slot.mark(mark::BULK, len >= BUFFER);
                }
                let mut last = None;
                buffers.take(id, len, |block, len| {
                    if let Some((block, len)) = last.replace((block, len)) {
                        let result = Ok(Received::Bytes(block, len));
                        tell(Completion::Received {
                            result,
                            armed: true,
                        });
                    }
                });
                last
            }
            (_, Some(id)) => {
                buffers.put_back(id);
                None
            }
            (_, None) => None,
        };
        let result = match (bytes, outcome(result)) {
            (Some((block, len)), _) => Ok(Received::Bytes(block, len)),
            (None, Ok(_)) => {
                if let Some(slot) = self.slots.get(index) {
                    slot.mark(mark::HALF, true);
                }
                Ok(Received::End)
            }
            (None, Err(error)) => {
                let closed = self.slots.get(index).is_none_or(|slot| slot.closed);
                match error.raw_os_error() {
                    // The kernel ran out of buffers, and brought nothing.
                    Some(libc::ENOBUFS) => {
                        self.ran_dry();
                        // Whoever receives is asked again whether to.
                        Err(crate::sys::canceled())
                    }
                    // The kernel knows no cap.
                    Some(libc::EINVAL) if self.capped => {
                        self.capped = false;
                        self.receive(index);
                        return None;
                    }
                    _ if would_come_later(&error) => {
                        if !ending && !closed {
                            self.receive(index);
                            return None;
                        }
                        Err(crate::sys::canceled())
                    }
                    // The kernel says it once, be it asked to end or not.
                    _ => Err(error),
                }
            }
        };
        let armed = more && matches!(result, Ok(Received::Bytes(..)));
        Some(Completion::Received { result, armed })
    }

    fn sent(&mut self, index: Index, result: i32, more: bool, ending: bool) -> Option<Completion> {
        let slot = self.slots.get(index)?;
        let closed = slot.closed;
        let mut held = slot.held.take()?;
        let Held::Bytes(sending) = &mut *held else {
            return None;
        };
        if sending.stage == Stage::Sent {
            let outcome = outcome(result).map(|taken| usize::try_from(taken).unwrap_or(0));
            match &outcome {
                Err(error) if would_come_later(error) && !ending && !closed => {}
                _ => return Some(Completion::Sent(outcome)),
            }
            if result == -libc::EAGAIN {
                // The kernel gives up after so many wake-ups that brought no room.
                slot.mark(mark::HALF, true);
                sending.stage = Stage::Waits;
                slot.held = Some(held);
                self.wait_for_room(index);
                return None;
            }
        } else if more {
            let room = readiness(result).any(Readiness::WRITE.with(Readiness::ERROR));
            let first = room && sending.stage == Stage::Waits;
            if first {
                sending.stage = Stage::Room;
            }
            slot.held = Some(held);
            if first {
                self.stop_waiting_for_room(index);
            }
            return None;
        } else if ending || closed {
            return Some(Completion::Sent(Err(crate::sys::canceled())));
        }
        if let Held::Bytes(sending) = *held {
            self.send(index, sending.bytes, sending.len);
        }
        None
    }

    fn connected(&mut self, index: Index, result: i32, ending: bool) -> Option<Completion> {
        let slot = self.slots.get(index)?;
        let again = !ending && !slot.closed;
        let held = slot.held.take().map(|held| *held);
        let outcome = match (outcome(result), held) {
            (Err(error), _) if error.raw_os_error() == Some(libc::EISCONN) => Ok(()),
            (Err(error), Some(Held::Address(address)))
                if error.raw_os_error() == Some(libc::EALREADY) && again =>
            {
                slot.held = Some(Box::new(Held::Address(address)));
                self.poll_connect(index);
                return None;
            }
            (Err(error), Some(Held::Address(address))) if would_come_later(&error) && again => {
                self.connect(index, address);
                return None;
            }
            // A poll operation tells that there is something to see.
            (Ok(1..), Some(Held::Address(address))) if again => {
                self.connect(index, address);
                return None;
            }
            (outcome, _) => outcome.map(drop),
        };
        Some(Completion::Connected(outcome))
    }

    fn accepted(
        &mut self,
        index: Index,
        result: i32,
        more: bool,
        ending: bool,
    ) -> Option<Completion> {
        let result = match outcome(result) {
            Ok(number) => {
                // SAFETY: the kernel has just opened it for this completion,
                // and nobody else knows of it.
                let fd = unsafe { OwnedFd::from_raw_fd(number) };
                Ok(Accepted { fd })
            }
            Err(error) => {
                let closed = self.slots.get(index).is_none_or(|slot| slot.closed);
                if would_come_later(&error) && !ending && !closed {
                    self.accept(index);
                    return None;
                }
                Err(error)
            }
        };
        Some(Completion::Accepted {
            result,
            armed: more,
        })
    }

    fn ready(
        &mut self,
        index: Index,
        kind: u8,
        result: i32,
        more: bool,
        ending: bool,
    ) -> Option<Readiness> {
        let slot = self.slots.get(index)?;
        let closed = slot.closed;
        let watch = slot.watch();
        match outcome(result) {
            Ok(bits) => {
                if let Some(watch) = watch
                    && !more
                    && !closed
                {
                    if watch.edge {
                        self.poll_watch(index);
                    } else {
                        self.again.push(index);
                    }
                }
                Some(readiness(bits))
            }
            Err(error) if would_come_later(&error) => {
                if !closed && !ending && !more {
                    self.poll(index, kind);
                }
                None
            }
            Err(_) => Some(Readiness::ERROR),
        }
    }
}

/// Whether an operation has ended without cause: the thread that submitted it
/// has gone, a signal came, or the kernel is tired of waiting.
fn would_come_later(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ECANCELED | libc::EINTR | libc::EAGAIN)
    )
}

fn outcome(result: i32) -> io::Result<i32> {
    if result < 0 {
        Err(io::Error::from_raw_os_error(-result))
    } else {
        Ok(result)
    }
}

/// poll(2) bits as readiness.
fn readiness(bits: i32) -> Readiness {
    let mut readiness = Readiness::NONE;
    for (bit, name) in [
        (libc::POLLIN, Readiness::READ),
        (libc::POLLOUT, Readiness::WRITE),
        (libc::POLLRDHUP, Readiness::CLOSED),
        (libc::POLLPRI, Readiness::PRIORITY),
        (libc::POLLERR | libc::POLLHUP, Readiness::ERROR),
    ] {
        if bits & i32::from(bit) != 0 {
            readiness = readiness.with(name);
        }
    }
    readiness
}
