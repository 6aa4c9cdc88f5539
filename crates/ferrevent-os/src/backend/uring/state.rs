//! What the lock guards: the queue, the slots, the buffers.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::Arc;

use ferrevent_core::buffer::Pinned;
use io_uring::types::Fd;
use io_uring::{opcode, squeue};
use socket2::SockAddr;

use super::Message;
use super::buffers::{Buffers, GROUP};
use super::entry::{bit, cap, kind, parse, user_data};
use super::renew::lend;
use super::ring::Ring;
use super::slots::{Held, Index, Sending, Slots, Stage, mark};
use crate::backend::Event;
use crate::op::{Op, OpKind};
use crate::port::{Port, PortKind, Readiness};
use crate::sys::Sys;

/// What is done without though the kernel may have it, for tests of the ways
/// of older kernels: `FERREVENT_URING_WITHOUT=multishot,room`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Without {
    /// No multishot receives and accepts, no provided buffers (before 6.0).
    pub(super) multishot: bool,
    /// No cap on what a receive brings (before 6.17).
    cap: bool,
    /// No room: four submissions, eight completions, one buffer.
    pub(super) room: bool,
}

impl Without {
    pub(super) fn from_environment() -> Self {
        let names = std::env::var("FERREVENT_URING_WITHOUT").unwrap_or_default();
        let has = |name: &str| names.split(',').any(|it| it == name);
        Self {
            multishot: has("multishot"),
            cap: has("cap"),
            room: has("room"),
        }
    }
}

/// Bytes that one receive brings before it has to be asked for again.
const CAP: u32 = 64 * 1024;
/// The same where the owner has room for them.
const LARGE_CAP: u32 = Port::MUCH as u32;

#[derive(Debug)]
pub(super) struct State {
    // The ring goes first: the kernel lets go of the rest with it.
    pub(super) ring: Arc<Ring>,
    pub(super) buffers: Option<Buffers>,
    pub(super) slots: Slots,
    /// Submissions that found no room in the ring's queue.
    pub(super) backlog: VecDeque<squeue::Entry>,
    /// Closed, but named by submissions that the kernel has not taken.
    pub(super) closing: Vec<OwnedFd>,
    /// Watches by descriptor, and those whose level is to be asked for again.
    pub(super) watches: HashMap<RawFd, Index>,
    pub(super) again: Vec<Index>,
    /// What came while nobody waited.
    pub(super) ready: Vec<Event>,
    /// Somebody is in the kernel, or about to be.
    asleep: bool,
    wake: RawFd,
    pub(super) shared: bool,
    pub(super) without: Without,
    /// Receives can be capped, as far as is known.
    pub(super) capped: bool,
}

impl State {
    pub(super) fn new(sys: &Sys, wake: RawFd, shared: bool, without: Without) -> io::Result<Self> {
        sys.strike_ring()?;
        let ring = Ring::new(shared, without.room)?;
        let buffers = lend(&ring, without);
        let mut state = Self {
            ring: Arc::new(ring),
            buffers,
            slots: Slots::default(),
            backlog: VecDeque::new(),
            closing: Vec::new(),
            watches: HashMap::new(),
            again: Vec::new(),
            ready: Vec::new(),
            asleep: false,
            wake,
            shared,
            without,
            capped: !without.cap,
        };
        state.listen_for_wakes();
        Ok(state)
    }

    /// Whether an operation goes by completion or by readiness.
    #[inline]
    pub(super) fn by_completion(&self, port: &Port, op: &Op) -> bool {
        let kind = port.kind;
        if !matches!(kind, PortKind::Tcp | PortKind::Unix | PortKind::Listener) {
            // A socket is told apart by its kind before it is connected too.
            return matches!(op, Op::Connect(_)) && kind != PortKind::File;
        }
        match op {
            // A kernel that was lent blocks takes what it can get.
            Op::Receive => self.buffers.is_some() && !port.is_capped(),
            Op::Accept => self.buffers.is_some(),
            // A file's bytes are never in our memory.
            Op::Send(bytes) => bytes.file_range().is_none(),
            Op::Connect(_) => true,
        }
    }

    /// Receives until it is told to end, but no more than [`CAP`] bytes, or
    /// [`LARGE_CAP`]: a reader that falls behind is to be heard before much more
    /// than it has room for has come. While
    /// much comes it fills several buffers at a time: fewer, larger receives
    /// make fewer acknowledgements, each of which may wake the peer. A kernel
    /// that knows no cap receives once at a time then.
    pub(super) fn receive(&mut self, index: Index) {
        let (capped, bundled) = (self.capped, self.ring.has_bundles());
        let slot = self.slots.get(index);
        let (bulk, once, roomy) = slot.map_or((false, false, false), |slot| {
            // Whoever begins it again by itself knows nothing of room.
            let roomy = slot.has(mark::ROOMY);
            slot.mark(mark::ROOMY, false);
            (slot.has(mark::BULK), slot.has(mark::ONCE), roomy)
        });
        let most = if roomy { LARGE_CAP } else { CAP };
        self.begin(index, kind::RECEIVE, |fd| {
            if once || bulk && !capped {
                opcode::Recv::new(Fd(fd), std::ptr::null_mut(), 0)
                    .buf_group(GROUP)
                    .build()
                    .flags(squeue::Flags::BUFFER_SELECT)
            } else if capped && bulk && bundled {
                cap(opcode::RecvMultiBundle::new(Fd(fd), GROUP).build(), most)
            } else if capped {
                cap(opcode::RecvMulti::new(Fd(fd), GROUP).build(), most)
            } else {
                opcode::RecvMulti::new(Fd(fd), GROUP).build()
            }
        });
    }

    /// The kernel found no buffer, or is said to.
    pub(super) fn ran_dry(&mut self) {
        if let Some(buffers) = &mut self.buffers {
            buffers.ran_out();
        }
    }

    pub(super) fn keeps_memory(&self) -> bool {
        self.buffers.as_ref().is_some_and(Buffers::are_many)
    }

    /// Lends no more buffers than in the beginning: the kernel lets go of all
    /// that it has, and gets new ones. A receive that comes upon none meanwhile
    /// is asked for again, as when they run out.
    pub(super) fn give_back(&mut self) {
        let ours = self.ring.is_ours() && self.ring.is_enabled();
        if !ours || !self.keeps_memory() {
            return;
        }
        if self
            .ring
            .inner()
            .submitter()
            .unregister_buf_ring(GROUP)
            .is_err()
        {
            return;
        }
        // Those that it had filled are taken before the others go.
        let mut events = std::mem::take(&mut self.ready);
        self.complete(&mut events);
        self.ready = events;
        self.buffers = lend(&self.ring, self.without);
    }

    pub(super) fn accept(&mut self, index: Index) {
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        self.begin(index, kind::ACCEPT, |fd| {
            opcode::AcceptMulti::new(Fd(fd)).flags(flags).build()
        });
    }

    pub(super) fn connect(&mut self, index: Index, address: Box<SockAddr>) {
        let (start, len) = (address.as_ptr().cast(), address.len());
        if let Some(slot) = self.slots.get(index) {
            slot.held = Some(Box::new(Held::Address(address)));
        }
        self.begin(index, kind::CONNECT, |fd| {
            opcode::Connect::new(Fd(fd), start, len).build()
        });
    }

    pub(super) fn send(&mut self, index: Index, bytes: Pinned, limit: usize) {
        // It does not move from here on.
        let mut held = Box::new(Held::Bytes(Sending {
            len: bytes.len().min(limit),
            bytes,
            message: None,
            stage: Stage::Sent,
        }));
        let Held::Bytes(sending) = &mut *held else {
            return;
        };
        let half = self
            .slots
            .get(index)
            .is_some_and(|slot| slot.has(mark::HALF));
        let flags = libc::MSG_NOSIGNAL | if half { libc::MSG_DONTWAIT } else { 0 };
        let single = sending.bytes.single().map(<[u8]>::as_ptr);
        let len = u32::try_from(sending.len).unwrap_or(u32::MAX);
        match single {
            Some(start) => self.begin(index, kind::SEND, |fd| {
                opcode::Send::new(Fd(fd), start, len).flags(flags).build()
            }),
            None => {
                let message = sending.message.insert(Message::of(&sending.bytes, limit));
                let header = &raw const message.header;
                self.begin(index, kind::SEND, |fd| {
                    opcode::SendMsg::new(Fd(fd), header)
                        .flags(flags as u32)
                        .build()
                });
            }
        }
        if let Some(slot) = self.slots.get(index) {
            slot.held = Some(held);
        }
    }

    /// Asks for word of room to send, by edges: levels would tell of the
    /// peer's end for ever. It counts as the send itself.
    pub(super) fn wait_for_room(&mut self, index: Index) {
        self.begin(index, kind::SEND, |fd| {
            opcode::PollAdd::new(Fd(fd), libc::POLLOUT as u32)
                .multi(true)
                .build()
        });
    }

    /// Ends that: its last completion is what sends again.
    pub(super) fn stop_waiting_for_room(&mut self, index: Index) {
        let entry = opcode::AsyncCancel::new(user_data(index, kind::SEND)).build();
        self.push(entry.user_data(kind::NOTHING.into()));
    }

    /// Asks for word of a connect that goes on without an operation, since the
    /// thread that had submitted it has gone.
    pub(super) fn poll_connect(&mut self, index: Index) {
        self.begin(index, kind::CONNECT, |fd| {
            opcode::PollAdd::new(Fd(fd), libc::POLLOUT as u32).build()
        });
    }

    /// Asks for the readiness that a port's waiting operations need.
    pub(super) fn poll_for(&mut self, port: &Port) {
        let interest = port.interest();
        for (readiness, kind) in [
            (Readiness::READ, kind::READ),
            (Readiness::WRITE, kind::WRITE),
        ] {
            let asked = self.slots.get(port.slot).map_or(0, |slot| slot.in_flight) & bit(kind);
            if interest.any(readiness) && asked == 0 {
                self.poll(port.slot, kind);
            }
        }
    }

    /// Asks for readiness of this kind.
    pub(super) fn poll(&mut self, index: Index, kind: u8) {
        let events = match kind {
            kind::READ => libc::POLLIN | libc::POLLRDHUP,
            kind::WRITE => libc::POLLOUT,
            _ => return self.poll_watch(index),
        };
        self.begin(index, kind, |fd| {
            opcode::PollAdd::new(Fd(fd), events as u32).build()
        });
    }

    /// Asks for an operation to end; its completion tells when it has.
    pub(super) fn cancel(&mut self, index: Index, op: OpKind) {
        let kind = match op {
            OpKind::Receive => kind::RECEIVE,
            OpKind::Send => kind::SEND,
            OpKind::Accept => kind::ACCEPT,
            OpKind::Connect => kind::CONNECT,
        };
        self.end(index, kind);
    }

    /// Ends whatever is in flight on a slot, and frees it when that has ended.
    /// The descriptor is closed when the kernel has been told.
    pub(super) fn close(&mut self, index: Index, fd: Option<OwnedFd>) {
        let Some(slot) = self.slots.get(index) else {
            return;
        };
        slot.closed = true;
        if !self.ring.is_enabled() {
            // The kernel knows of none of it yet.
            slot.in_flight = 0;
            self.backlog
                .retain(|entry| parse(entry.get_user_data()).0 != index);
        }
        if slot.in_flight == 0 {
            self.slots.release(index);
            return;
        }
        for kind in kind::ALL {
            self.end(index, kind);
        }
        self.closing.extend(fd);
    }

    pub(super) fn end(&mut self, index: Index, kind: u8) {
        let Some(slot) = self.slots.get(index) else {
            return;
        };
        if slot.in_flight & bit(kind) == 0 || slot.ending & bit(kind) != 0 {
            return;
        }
        slot.ending |= bit(kind);
        let entry = opcode::AsyncCancel::new(user_data(index, kind)).build();
        self.push(entry.user_data(kind::NOTHING.into()));
    }

    /// Submits an operation of a slot.
    #[inline]
    pub(super) fn begin(
        &mut self,
        index: Index,
        kind: u8,
        entry: impl FnOnce(RawFd) -> squeue::Entry,
    ) {
        let Some(slot) = self.slots.get(index) else {
            return;
        };
        debug_assert!(slot.in_flight & bit(kind) == 0, "submitted twice");
        slot.in_flight |= bit(kind);
        slot.ending &= !bit(kind);
        let entry = entry(slot.fd).user_data(user_data(index, kind));
        self.push(entry);
    }

    pub(super) fn listen_for_wakes(&mut self) {
        let entry = opcode::PollAdd::new(Fd(self.wake), libc::POLLIN as u32).multi(true);
        self.push(entry.build().user_data(kind::WAKE.into()));
    }

    #[inline]
    fn push(&mut self, entry: squeue::Entry) {
        // SAFETY: whoever calls holds the lock that this state is in. What
        // entries point to is in a slot until the completion.
        let room = self.backlog.is_empty()
            && self.ring.is_enabled()
            && self.ring.is_ours()
            && unsafe { self.ring.push(&entry) };
        if !room {
            self.backlog.push_back(entry);
        }
    }

    /// Fills the queue from the backlog; true when some of it is left.
    pub(super) fn fill(&mut self) -> bool {
        while let Some(entry) = self.backlog.front() {
            // SAFETY: as in `push`.
            if !unsafe { self.ring.push(entry) } {
                return true;
            }
            self.backlog.pop_front();
        }
        false
    }

    /// Gets a ring of this process and this thread, and asks again for the
    /// levels that were told.
    pub(super) fn begin_turn(&mut self) -> io::Result<()> {
        if !self.ring.is_ours() {
            self.revive()?;
        } else if !self.ring.is_enabled() {
            match Arc::get_mut(&mut self.ring) {
                Some(ring) => ring.enable()?,
                None => self.revive()?,
            }
        }
        if !self.shared {
            for index in std::mem::take(&mut self.again) {
                self.poll_watch(index);
            }
        }
        Ok(())
    }

    pub(super) fn take_ready(&mut self, events: &mut Vec<Event>) {
        events.append(&mut self.ready);
    }

    /// About to enter the kernel: with what, and what may be closed after.
    pub(super) fn depart(&mut self, sleeps: bool) -> (Arc<Ring>, u32, Vec<OwnedFd>) {
        self.asleep = sleeps;
        // SAFETY: as in `push`.
        let submit = unsafe { self.ring.unsubmitted() };
        let closing = std::mem::take(&mut self.closing);
        (Arc::clone(&self.ring), submit, closing)
    }

    /// Back from the kernel.
    pub(super) fn arrive(&mut self, closing: Vec<OwnedFd>) {
        self.asleep = false;
        // SAFETY: as in `push`.
        if unsafe { self.ring.unsubmitted() } > 0 || !self.backlog.is_empty() {
            // Not everything was taken: they may still be named.
            self.closing.extend(closing);
        }
    }

    pub(super) fn is_asleep(&self) -> bool {
        self.asleep
    }

    /// Tells the kernel at once, without waiting. False when something is left
    /// untold: that goes with the next wait.
    pub(super) fn flush(&mut self) -> bool {
        if !self.ring.is_ours() || !self.ring.is_enabled() {
            return false;
        }
        loop {
            let more = self.fill();
            let (asleep, (ring, submit, closing)) = (self.asleep, self.depart(false));
            if submit > 0 {
                // What it did not take is seen below, whatever the reason.
                let _ = ring.enter(submit, 0, None);
            }
            self.arrive(closing);
            self.asleep = asleep;
            // SAFETY: as in `push`.
            let left = unsafe { self.ring.unsubmitted() };
            if left > 0 || !more {
                return left == 0;
            }
        }
    }

    pub(super) fn ring(&self) -> &Ring {
        &self.ring
    }
}
