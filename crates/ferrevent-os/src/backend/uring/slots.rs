//! What the backend keeps of every port and watch: which of its operations
//! are in flight, and what the kernel may still touch. A slot is used again
//! only when the last of its operations has completed, so a completion never
//! finds another's.

use std::os::fd::RawFd;

use ferrevent_core::buffer::Pinned;
use socket2::SockAddr;

use crate::op::Token;

/// A slot's number; `Port` keeps it.
pub(super) type Index = u32;

#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    free: Vec<Index>,
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) token: Token,
    pub(super) fd: RawFd,
    /// One bit for each kind of operation in flight.
    pub(super) in_flight: u8,
    /// One bit for each that was asked to end.
    pub(super) ending: u8,
    /// Its owner has gone: what completes is told to nobody.
    pub(super) closed: bool,
    /// What is known of its traffic: bits of [`mark`].
    pub(super) marks: u8,
    pub(super) held: Option<Box<Held>>,
}

// An idle connection has one.
const _: () = assert!(size_of::<Slot>() <= 24);

pub(super) mod mark {
    /// Its last receive filled a whole block.
    pub(crate) const BULK: u8 = 1;
    /// Its peer sends no more. A poll tells that at any time, whatever it is
    /// asked for, so a send that waited for room by itself would try again
    /// and again.
    pub(crate) const HALF: u8 = 2;
    /// It receives once at a time: on a unix socket a receive that goes on
    /// can miss an end that comes together with bytes (seen on Linux 6.18).
    pub(crate) const ONCE: u8 = 4;
    /// Its owner has room for much.
    pub(crate) const ROOMY: u8 = 8;
}

/// What the kernel reads from while an operation is in flight; for a watch,
/// what is asked for.
#[derive(Debug)]
pub(super) enum Held {
    Bytes(Sending),
    Address(Box<SockAddr>),
    Watch(Watch),
}

/// A send in flight.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) bytes: Pinned,
    /// What sendmsg(2) takes, for several pieces.
    pub(super) message: Option<Box<super::Message>>,
    /// Bytes that are to be sent of these.
    pub(super) len: usize,
    pub(super) stage: Stage,
}

/// How far a send is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The kernel has it.
    Sent,
    /// There was no room; the kernel has a poll operation instead.
    Waits,
    /// There is room, and the poll operation is to end.
    Room,
}

/// What is asked for of a watched descriptor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    pub(super) interest: u16,
    pub(super) edge: bool,
}

impl Slot {
    fn new(token: Token, fd: RawFd) -> Self {
        Self {
            token,
            fd,
            in_flight: 0,
            ending: 0,
            closed: false,
            marks: 0,
            held: None,
        }
    }

    pub(super) fn has(&self, mark: u8) -> bool {
        self.marks & mark != 0
    }

    pub(super) fn mark(&mut self, mark: u8, holds: bool) {
        self.marks = if holds {
            self.marks | mark
        } else {
            self.marks & !mark
        };
    }

    pub(super) fn watch(&self) -> Option<Watch> {
        match self.held.as_deref() {
            Some(Held::Watch(watch)) => Some(*watch),
            _ => None,
        }
    }
}

impl Slots {
    pub(super) fn add(&mut self, token: Token, fd: RawFd) -> Index {
        let slot = Slot::new(token, fd);
        if let Some(index) = self.free.pop() {
            self.slots[index as usize] = slot;
            return index;
        }
        if self.slots.len() == self.slots.capacity() {
            // By an eighth, as the engine's table grows.
            self.slots.reserve_exact((self.slots.len() / 8).max(16));
        }
        self.slots.push(slot);
        self.slots.len() as Index - 1
    }

    #[inline]
    pub(super) fn get(&mut self, index: Index) -> Option<&mut Slot> {
        self.slots.get_mut(index as usize)
    }

    /// Frees a slot that nobody and nothing needs any more.
    #[inline]
    pub(super) fn release(&mut self, index: Index) {
        if let Some(slot) = self.slots.get_mut(index as usize)
            && slot.closed
            && slot.in_flight == 0
            && slot.fd >= 0
        {
            slot.fd = -1;
            slot.held = None;
            self.free.push(index);
        }
    }

    /// Operations in flight.
    pub(super) fn in_flight(&self) -> usize {
        let each = self.slots.iter().map(|slot| slot.in_flight.count_ones());
        each.sum::<u32>() as usize
    }

    pub(super) fn iter(&mut self) -> impl Iterator<Item = (Index, &mut Slot)> {
        (0..).zip(self.slots.iter_mut())
    }
}
