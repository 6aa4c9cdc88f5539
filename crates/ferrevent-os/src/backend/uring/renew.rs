//! A ring's end, and the next one's beginning: after a fork, on another
//! thread, or when the backend goes.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use io_uring::opcode;

use super::buffers::Buffers;
use super::entry::{bit, kind};
use super::ring::Ring;
use super::slots::{Held, Index};
use super::state::{State, Without};

/// What was lent to rings that other threads took over, for good.
static KEPT: Mutex<Vec<Buffers>> = Mutex::new(Vec::new());

impl State {
    /// A new ring, for the child of a fork or for another thread: what was in
    /// flight is asked for again.
    pub(super) fn revive(&mut self) -> io::Result<()> {
        let mut ring = Ring::new(self.shared, self.without.room)?;
        ring.enable()?;
        let buffers = lend(&ring, self.without);
        let foreign = !self.ring.is_ours();
        if !foreign {
            // What came for the old one is told.
            let mut events = std::mem::take(&mut self.ready);
            self.complete(&mut events);
            self.ready = events;
        }
        let old = std::mem::replace(&mut self.ring, Arc::new(ring));
        drop(old);
        if foreign {
            // The parent's kernel fills the parent's copies.
            self.buffers = buffers;
        } else {
            // The kernel may fill them until it has noticed.
            let old = std::mem::replace(&mut self.buffers, buffers);
            let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend(old);
        }
        self.backlog.clear();
        self.closing.clear();
        self.listen_for_wakes();
        self.ask_again();
        Ok(())
    }

    fn ask_again(&mut self) {
        let flying: Vec<(Index, u8)> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.fd >= 0)
            .map(|(index, slot)| (index, std::mem::take(&mut slot.in_flight)))
            .collect();
        for (index, in_flight) in flying {
            self.slots.release(index);
            for kind in kind::ALL {
                if in_flight & bit(kind) != 0 {
                    self.begin_again(index, kind);
                }
            }
        }
    }

    fn begin_again(&mut self, index: Index, kind: u8) {
        let Some(slot) = self.slots.get(index) else {
            return;
        };
        if slot.closed {
            return;
        }
        match kind {
            kind::RECEIVE => self.receive(index),
            kind::ACCEPT => self.accept(index),
            kind::CONNECT => {
                if let Some(Held::Address(address)) = slot.held.take().map(|held| *held) {
                    self.connect(index, address);
                }
            }
            kind::SEND => {
                if let Some(Held::Bytes(sending)) = slot.held.take().map(|held| *held) {
                    self.send(index, sending.bytes, sending.len);
                }
            }
            _ => self.poll(index, kind),
        }
    }

    /// Ends every operation and sees to it that each has ended: then the
    /// kernel touches nothing of ours any more.
    pub(super) fn end_all(&mut self) {
        if self.ring.is_ours() && self.ring.is_enabled() && !self.try_to_end_all() {
            // It may write into what it was lent, or read what it was to
            // send, at any time: nobody else gets that memory.
            let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend(self.buffers.take());
            for (_, slot) in self.slots.iter() {
                std::mem::forget(slot.held.take());
            }
        }
        self.closing.clear();
    }

    fn try_to_end_all(&mut self) -> bool {
        /// Tries, and how long each waits: what another thread submitted
        /// ends by way of that thread.
        const TRIES: u32 = 50;
        const WAIT: Duration = Duration::from_millis(10);
        for (_, slot) in self.slots.iter() {
            // Nothing is begun again, and nobody is told.
            slot.closed = true;
        }
        self.flush();
        let every = || io_uring::types::CancelBuilder::any();
        for _ in 0..TRIES {
            let ring = Arc::clone(&self.ring);
            let ended = ring.inner().submitter().register_sync_cancel(None, every());
            let failed = |error: &io::Error| error.raw_os_error() != Some(libc::ENOENT);
            if ended.is_err_and(|error| failed(&error)) || ring.enter(0, 0, None).is_err() {
                return false;
            }
            self.complete(&mut Vec::new());
            if self.slots.iter().all(|(_, slot)| slot.in_flight == 0) {
                return true;
            }
            let _ = ring.enter(0, 1, Some(WAIT));
        }
        false
    }
}

/// Lends buffers, where the kernel takes them and has multishot receives.
pub(super) fn lend(ring: &Ring, without: Without) -> Option<Buffers> {
    if without.multishot || !has_multishot(ring) {
        return None;
    }
    Buffers::new(ring, without.room).ok()
}

/// Whether receives can be multishot (6.0): no probe tells, but the zero-copy
/// send came with the same release.
fn has_multishot(ring: &Ring) -> bool {
    let mut probe = io_uring::Probe::new();
    ring.inner().submitter().register_probe(&mut probe).is_ok()
        && probe.is_supported(opcode::SendZc::CODE)
}
