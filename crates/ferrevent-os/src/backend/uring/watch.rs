//! The low-level interface: poll operations on descriptors that are not ours.
//!
//! A level is asked for by one poll operation, which the next wait renews
//! once it has been told; edges by one that goes on by itself.

use std::io;
use std::os::fd::RawFd;

use io_uring::opcode;
use io_uring::types::Fd;

use super::entry::{bit, kind};
use super::slots::{Held, Index, Watch};
use super::state::State;
use crate::op::Token;
use crate::port::Readiness;

impl State {
    pub(super) fn watch(
        &mut self,
        fd: RawFd,
        token: Token,
        interest: Readiness,
        edge: bool,
    ) -> io::Result<()> {
        if self.watches.contains_key(&fd) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let index = self.slots.add(token, fd);
        if let Some(slot) = self.slots.get(index) {
            slot.held = Some(Box::new(Held::Watch(Watch {
                interest: events(interest),
                edge,
            })));
        }
        self.watches.insert(fd, index);
        self.poll_watch(index);
        Ok(())
    }

    pub(super) fn unwatch(&mut self, fd: RawFd) -> io::Result<()> {
        let index = self.watches.remove(&fd).ok_or(io::ErrorKind::NotFound)?;
        self.again.retain(|other| *other != index);
        self.close(index, None);
        Ok(())
    }

    /// Asks for a watched descriptor's readiness, unless that is asked for.
    pub(super) fn poll_watch(&mut self, index: Index) {
        let Some(slot) = self.slots.get(index) else {
            return;
        };
        if slot.closed || slot.in_flight & bit(kind::WATCH) != 0 {
            return;
        }
        let Some(Watch { interest, edge }) = slot.watch() else {
            return;
        };
        self.begin(index, kind::WATCH, |fd| {
            opcode::PollAdd::new(Fd(fd), interest.into())
                .multi(edge)
                .build()
        });
    }

    pub(super) fn poll_watch_again(&mut self, fd: RawFd) {
        if let Some(index) = self.watches.get(&fd).copied() {
            self.again.retain(|other| *other != index);
            self.poll_watch(index);
        }
    }
}

fn events(interest: Readiness) -> u16 {
    let mut bits = 0;
    for (readiness, bit) in [
        (Readiness::READ, libc::POLLIN),
        (Readiness::WRITE, libc::POLLOUT),
        (Readiness::CLOSED, libc::POLLRDHUP),
        (Readiness::PRIORITY, libc::POLLPRI),
    ] {
        if interest.any(readiness) {
            bits |= bit;
        }
    }
    bits as u16
}
