//! Operations over a kernel that only tells what is ready: the part that
//! epoll, poll and their kin share.
//!
//! An operation is attempted as soon as it is submitted when its direction
//! may be ready; when the kernel has nothing to give it waits on the port and
//! is attempted again at the next event. How the kernel is asked for events
//! is each backend's own business: [`Port::interest`] tells what it needs.

use std::io::{self, IoSlice};

use ferrevent_core::buffer::{Block, Buffer, FileRangeRef, Pinned};

use crate::op::{Accepted, Completion, Op, OpKind, Received};
use crate::port::{Flags, Port, PortKind, Readiness};
use crate::sys::fd::AsFd;
#[cfg(target_os = "linux")]
use crate::sys::file_ended;
use crate::sys::{Sys, canceled, would_block};

/// The block of a receive.
const BLOCK: usize = 16 * 1024;
/// The block of a receive after one that would have filled the smaller: at
/// most three quarters of it stay empty.
const BULK_BLOCK: usize = 64 * 1024;
/// Segments handed to one vectored send.
const SLICES: usize = 16;
/// Most bytes in one send that is attempted at once.
const SEND_BYTES: usize = 256 * 1024;

/// The event bits after which a short read says nothing.
const SUSPICIOUS: Readiness = Readiness::PRIORITY
    .with(Readiness::CLOSED)
    .with(Readiness::ERROR);

impl Port {
    /// Takes note of what the kernel reported.
    pub(crate) fn note(&mut self, reported: Readiness) {
        let mut ready = reported;
        if reported.any(Readiness::ERROR) {
            ready = ready.with(Readiness::READ).with(Readiness::WRITE);
        }
        if reported.any(Readiness::CLOSED) {
            ready = ready.with(Readiness::READ);
        }
        if reported.any(SUSPICIOUS) {
            self.flags.set(Flags::THOROUGH, true);
        }
        self.ready = self.ready.with(ready).without(SUSPICIOUS);
    }

    /// What the kernel must be asked to report for the operations that wait.
    pub(crate) fn interest(&self) -> Readiness {
        let mut interest = Readiness::NONE;
        if self.flags.has(Flags::RECEIVING | Flags::ACCEPTING) {
            interest = interest.with(Readiness::READ);
        }
        if self.sending.is_some() || self.flags.has(Flags::CONNECTING) {
            interest = interest.with(Readiness::WRITE);
        }
        interest
    }

    /// What the kernel must be asked for from now on, when that is more than
    /// it was asked for before. `standing` is asked for whatever waits.
    #[inline]
    pub(crate) fn missing_interest(&self, standing: Readiness) -> Option<Readiness> {
        let interest = self.armed.with(self.interest()).with(standing);
        (interest != self.armed).then_some(interest)
    }

    /// After an event: what the kernel must be asked for from now on, lest it
    /// report again and again what nobody waits for. Nothing at all after a
    /// hang-up, which is reported whatever is asked.
    #[inline]
    pub(crate) fn excess_interest(
        &self,
        standing: Readiness,
        reported: Readiness,
    ) -> Option<Readiness> {
        let wanted = self.interest().with(standing);
        if reported.any(Readiness::ERROR) && wanted.is_none() {
            return Some(Readiness::NONE);
        }
        let unwanted = self.armed.without(wanted);
        unwanted.any(reported).then(|| self.armed.without(unwanted))
    }

    /// Begins an operation; `None` when it waits for an event.
    pub(crate) fn begin(&mut self, sys: &Sys, op: Op) -> Option<Completion> {
        match op {
            Op::Receive => {
                self.flags.set(Flags::RECEIVING, true);
                self.try_receive(sys)
            }
            Op::Send(bytes) => self.try_send(sys, bytes),
            Op::Accept => {
                self.flags.set(Flags::ACCEPTING, true);
                self.try_accept(sys)
            }
            Op::Connect(address) => match sys.connect(self.fd.as_fd(), &address) {
                Ok(true) => Some(Completion::Connected(Ok(()))),
                Ok(false) => {
                    self.flags.set(Flags::CONNECTING, true);
                    self.ready = self.ready.without(Readiness::WRITE);
                    None
                }
                Err(error) => Some(Completion::Connected(Err(error))),
            },
        }
    }

    /// Attempts every operation that waits and may now have become possible.
    pub(crate) fn progress(&mut self, sys: &Sys, sink: &mut dyn FnMut(Completion)) {
        if self.flags.has(Flags::CONNECTING) {
            if !self.ready.any(Readiness::WRITE) {
                return;
            }
            self.flags.set(Flags::CONNECTING, false);
            let outcome = match sys.socket_error(self.fd.as_fd()) {
                Ok(None) => Ok(()),
                Ok(Some(error)) | Err(error) => Err(error),
            };
            sink(Completion::Connected(outcome));
            return;
        }
        if self.ready.any(Readiness::WRITE)
            && let Some(bytes) = self.sending.take()
            && let Some(completion) = self.try_send(sys, *bytes)
        {
            sink(completion);
        }
        if self.flags.has(Flags::RECEIVING)
            && let Some(completion) = self.try_receive(sys)
        {
            sink(completion);
        }
        if self.flags.has(Flags::ACCEPTING)
            && let Some(completion) = self.try_accept(sys)
        {
            sink(completion);
        }
    }

    /// Takes back an operation that waits.
    pub(crate) fn abandon(&mut self, kind: OpKind) -> Option<Completion> {
        match kind {
            OpKind::Receive if self.flags.has(Flags::RECEIVING) => {
                self.flags.set(Flags::RECEIVING, false);
                Some(Completion::Received {
                    result: Err(canceled()),
                    armed: false,
                })
            }
            OpKind::Accept if self.flags.has(Flags::ACCEPTING) => {
                self.flags.set(Flags::ACCEPTING, false);
                Some(Completion::Accepted {
                    result: Err(canceled()),
                    armed: false,
                })
            }
            OpKind::Connect if self.flags.has(Flags::CONNECTING) => {
                self.flags.set(Flags::CONNECTING, false);
                Some(Completion::Connected(Err(canceled())))
            }
            OpKind::Send => self
                .sending
                .take()
                .map(|_| Completion::Sent(Err(canceled()))),
            _ => None,
        }
    }

    pub(crate) fn try_receive(&mut self, sys: &Sys) -> Option<Completion> {
        if !self.ready.any(Readiness::READ) {
            return None;
        }
        let size = self.room();
        let mut cut = false;
        let fd = self.fd.as_fd();
        let outcome = Block::fill_with(size, |room| {
            let most = size.min(room.len());
            let room = &mut room[..most];
            if self.kind == PortKind::Unix && self.flags.has(Flags::EDGE) {
                sys.receive_message(fd, room, &mut cut)
            } else {
                sys.receive(fd, self.is_socket(), room)
            }
        });
        let result = match outcome {
            Err(error) if would_block(&error) => {
                self.ready = self.ready.without(Readiness::READ);
                self.flags.set(Flags::THOROUGH, false);
                return None;
            }
            Err(error) => Err(error),
            Ok((_, 0)) => Ok(Received::End),
            Ok((block, len)) => {
                self.judge_bulk(len);
                self.judge_read(len, size, cut);
                Ok(Received::Bytes(block, len))
            }
        };
        // With the socket drained the operation waits on, as a multishot
        // receive does; else the owner asks again, at its own pace.
        let armed = matches!(result, Ok(Received::Bytes(..))) && !self.ready.any(Readiness::READ);
        self.flags.set(Flags::RECEIVING, armed);
        Some(Completion::Received { result, armed })
    }

    /// The room that the next receive offers, in bytes.
    pub(crate) fn room(&self) -> usize {
        let size = if self.flags.has(Flags::BULK) {
            BULK_BLOCK
        } else {
            BLOCK
        };
        // What is cut off a message would be lost.
        if self.is_capped() && self.kind != PortKind::Socket {
            return size.min(self.cap() as usize);
        }
        size
    }

    /// Decides how large a block the next receive takes: a burst often ends
    /// with a small piece, so only the second small one in a row counts.
    pub(crate) fn judge_bulk(&mut self, len: usize) {
        let bulk = len >= BLOCK;
        let waning = self.flags.has(Flags::WANING);
        if bulk || waning {
            self.flags.set(Flags::BULK, bulk);
        }
        self.flags.set(Flags::WANING, !bulk);
    }

    /// Decides whether more can be read without asking the kernel again.
    fn judge_read(&mut self, len: usize, capacity: usize, cut: bool) {
        let drained = if self.flags.has(Flags::EDGE) {
            // Out-of-band data and control data stop a read at their mark,
            // and an end or an error lies behind the last byte: then only
            // EAGAIN counts.
            len < capacity && !cut && !self.flags.has(Flags::THOROUGH)
        } else {
            // Level-triggered: the kernel will say it again.
            true
        };
        if drained {
            self.ready = self.ready.without(Readiness::READ);
        }
    }

    fn try_send(&mut self, sys: &Sys, bytes: Pinned) -> Option<Completion> {
        if !self.ready.any(Readiness::WRITE) {
            self.sending = Some(Box::new(bytes));
            return None;
        }
        match self.send_some(sys, &bytes) {
            Err(error) if would_block(&error) => {
                self.ready = self.ready.without(Readiness::WRITE);
                self.sending = Some(Box::new(bytes));
                None
            }
            Ok(sent) => {
                if bytes.file_range().is_none() {
                    self.judge_send(sent, bytes.len());
                }
                Some(Completion::Sent(Ok(sent)))
            }
            failed => Some(Completion::Sent(failed)),
        }
    }

    /// Sends what the kernel takes at once; `None` when an operation must
    /// wait for it, or see to a file.
    #[inline]
    pub(crate) fn send_at_once(
        &mut self,
        sys: &Sys,
        output: &Buffer,
        most: usize,
    ) -> Option<io::Result<usize>> {
        let most = most.min(SEND_BYTES);
        let first = output.chunk();
        if !self.ready.any(Readiness::WRITE) || first.is_empty() {
            return None;
        }
        let (fd, socket) = (self.fd.as_fd(), self.is_socket());
        let (tried, outcome) = if first.len() == output.len() || first.len() >= most {
            let first = &first[..first.len().min(most)];
            (first.len(), sys.send(fd, socket, first))
        } else {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut count = output.io_slices(&mut slices);
            let mut tried = 0;
            for (index, slice) in slices[..count].iter().enumerate() {
                if tried + slice.len() > most {
                    count = index;
                    break;
                }
                tried += slice.len();
            }
            (tried, sys.send_vectored(fd, socket, &slices[..count]))
        };
        match outcome {
            Err(error) if would_block(&error) => {
                self.ready = self.ready.without(Readiness::WRITE);
                None
            }
            Ok(sent) => {
                self.judge_send(sent, tried);
                Some(Ok(sent))
            }
            failed => Some(failed),
        }
    }

    /// A short write means that the kernel's buffer is full; it will tell
    /// when it has room.
    #[inline]
    fn judge_send(&mut self, sent: usize, tried: usize) {
        if sent < tried {
            self.ready = self.ready.without(Readiness::WRITE);
        }
    }

    fn send_some(&self, sys: &Sys, bytes: &Pinned) -> io::Result<usize> {
        let fd = self.fd.as_fd();
        if let Some(slice) = bytes.single() {
            return sys.send(fd, self.is_socket(), slice);
        }
        if let Some(range) = bytes.file_range() {
            return self.send_file(sys, &range);
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = bytes.io_slices(0, &mut slices);
        sys.send_vectored(fd, self.is_socket(), &slices[..count])
    }

    fn send_file(&self, sys: &Sys, range: &FileRangeRef<'_>) -> io::Result<usize> {
        #[cfg(target_os = "linux")]
        match sys.send_file(self.fd.as_fd(), range.file, range.offset, range.len) {
            Ok(0) => return Err(file_ended(range.offset)),
            // Neither every file nor every target knows sendfile.
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP)
                ) => {}
            answer => return answer,
        }
        let (block, filled) = sys.read_range(range)?;
        sys.send(
            self.fd.as_fd(),
            self.is_socket(),
            &block.as_slice()[..filled],
        )
    }

    fn try_accept(&mut self, sys: &Sys) -> Option<Completion> {
        if !self.ready.any(Readiness::READ) {
            return None;
        }
        let result = match sys.accept(self.fd.as_fd()) {
            Err(error) if would_block(&error) => {
                self.ready = self.ready.without(Readiness::READ);
                return None;
            }
            Err(error) => Err(error),
            Ok(fd) => Ok(Accepted { fd }),
        };
        self.flags.set(Flags::ACCEPTING, false);
        Some(Completion::Accepted {
            result,
            armed: false,
        })
    }
}
