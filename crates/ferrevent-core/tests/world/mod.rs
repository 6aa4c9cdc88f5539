//! Two stream machines over a simulated network and clock, and what may
//! happen to them.

#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod layers;

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use ferrevent_core::buffer::{Block, Pinned};
use ferrevent_core::filter::Filter;
use ferrevent_core::stream::{
    CloseReason, Machine, StreamConfig, StreamEvent, Timeout, Watermarks, WriteError,
};
use ferrevent_core::timer::Tick;
use proptest::prelude::*;

/// One machine, its engine and its kernel.
pub(crate) struct Side {
    pub(crate) machine: Machine,
    /// The send in flight.
    pub(crate) sending: Option<Pinned>,
    pub(crate) receiving: bool,
    /// Bytes written by the owner, and read by it, so far.
    pub(crate) written: u64,
    pub(crate) read: u64,
    /// What this side's kernel has sent and the other's has not yet given up.
    pub(crate) wire: VecDeque<u8>,
    pub(crate) ended: bool,
    /// A send failed because the peer was not there.
    pub(crate) lost: bool,
    /// Bytes that the kernel took.
    pub(crate) taken: u64,
    pub(crate) told: Vec<Told>,
    pub(crate) reason: Option<CloseReason>,
    /// The owner leaves bytes in its input on purpose.
    pub(crate) lazy: bool,
    /// The owner listens to `Writable`.
    pub(crate) listens: bool,
    /// So many bytes the kernel takes at once, with no send in flight.
    pub(crate) eager: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Told {
    Opened,
    Readable,
    Ended,
    Writable,
    TimedOut,
    Closed,
}

#[derive(Clone, Debug)]
pub(crate) enum Action {
    Write(usize, u16),
    Read(usize, u16),
    Lazy(usize, bool),
    Pause(usize),
    Resume(usize),
    Hold(usize, bool),
    Listen(usize, bool),
    Eager(usize, u16),
    Again(usize),
    Flush(usize),
    FinishWrite(usize),
    Finish(usize),
    Close(usize),
    Configure(usize, u8),
    /// The kernel gives up to so many bytes; the receive may go on by itself.
    Deliver(usize, u16, bool),
    /// The kernel takes up to so many bytes of the send in flight.
    Take(usize, u16),
    FailSend(usize, bool),
    FailReceive(usize),
    Pass(u32),
}

/// The bytes of every stream: a function of their position.
pub(crate) fn byte(side: usize, position: u64) -> u8 {
    let mixed = (position + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    (mixed as u8) ^ (side as u8 * 0x55)
}

pub(crate) struct World {
    pub(crate) sides: [Side; 2],
    pub(crate) now: Tick,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| ())
    }

    /// Two sides that begin with these filters.
    pub(crate) fn filtered(filters: impl Fn() -> Vec<Box<dyn Filter>>) -> Self {
        Self::with(|machine| {
            for filter in filters() {
                machine.add_filter(Tick(0), filter).unwrap();
            }
        })
    }

    fn with(prepare: impl Fn(&mut Machine)) -> Self {
        let side = || {
            let mut machine = Machine::connected();
            prepare(&mut machine);
            Side {
                machine,
                sending: None,
                receiving: false,
                written: 0,
                read: 0,
                wire: VecDeque::new(),
                ended: false,
                lost: false,
                taken: 0,
                told: Vec::new(),
                reason: None,
                lazy: false,
                listens: true,
                eager: 0,
            }
        };
        Self {
            sides: [side(), side()],
            now: Tick(0),
        }
    }

    pub(crate) fn act(&mut self, action: &Action) {
        let now = self.now;
        match *action {
            Action::Write(s, n) => self.write(s, usize::from(n)),
            Action::Read(s, n) => self.read(s, usize::from(n)),
            Action::Lazy(s, on) => self.sides[s].lazy = on,
            Action::Pause(s) => self.sides[s].machine.pause(),
            Action::Resume(s) => self.sides[s].machine.resume(),
            Action::Hold(s, on) => self.sides[s].machine.hold(on),
            Action::Listen(s, on) => {
                self.sides[s].listens = on;
                self.sides[s].machine.set_tells_writable(on);
            }
            Action::Eager(s, n) => self.sides[s].eager = usize::from(n),
            Action::Again(s) => self.sides[s].machine.again(),
            Action::Flush(s) => self.sides[s].machine.flush(),
            Action::FinishWrite(s) => self.sides[s].machine.finish_write(),
            Action::Finish(s) => self.sides[s].machine.finish(now),
            Action::Close(s) => self.sides[s].machine.close(CloseReason::Closed),
            Action::Configure(s, seed) => self.configure(s, seed),
            Action::Deliver(s, n, unasked) => self.deliver(s, usize::from(n), unasked),
            Action::Take(s, n) => self.take(s, usize::from(n)),
            Action::FailSend(s, by_peer) => {
                if self.sides[s].sending.take().is_some() {
                    let kind = if by_peer {
                        io::ErrorKind::BrokenPipe
                    } else {
                        io::ErrorKind::OutOfMemory
                    };
                    self.sides[s].machine.sent(now, Err(kind.into()));
                    self.sides[s].lost |= by_peer;
                    if self.sides.iter().all(|side| side.lost) {
                        // Nobody is left to end the connection but the kernel, which tells both.
                        self.sides[0].ended = true;
                        self.sides[1].ended = true;
                    }
                }
            }
            Action::FailReceive(s) => {
                if std::mem::take(&mut self.sides[s].receiving) {
                    let error = io::ErrorKind::ConnectionReset.into();
                    let now = self.now;
                    self.sides[s].machine.receive_failed(now, error);
                }
            }
            Action::Pass(micros) => self.pass(micros),
        }
        self.engine();
    }

    pub(crate) fn configure(&mut self, s: usize, seed: u8) {
        let high = 1 + usize::from(seed) * 37;
        let config = StreamConfig {
            input: Watermarks {
                low: usize::from(seed % 5) * 10,
                high,
            },
            output: Watermarks { low: 0, high },
            write_limit: high * 2,
            coupled: seed.is_multiple_of(2),
            read_timeout: seed.is_multiple_of(3).then_some(Duration::from_millis(50)),
            write_timeout: seed.is_multiple_of(7).then_some(Duration::from_millis(70)),
            ..StreamConfig::DEFAULT
        };
        self.sides[s].machine.configure(self.now, config);
    }

    pub(crate) fn write(&mut self, s: usize, n: usize) {
        let side = &mut self.sides[s];
        let bytes: Vec<u8> = (0..n as u64).map(|i| byte(s, side.written + i)).collect();
        let waiting = side.machine.output().len();
        let limit = side.machine.config().write_limit;
        match side.machine.write(&bytes) {
            Ok(()) => {
                assert!(waiting < limit && !side.machine.is_closed());
                side.written += n as u64;
            }
            Err(WriteError::Full) => assert!(waiting >= limit),
            Err(WriteError::Finished) => assert!(side.machine.is_finishing()),
            Err(_) => {}
        }
    }

    pub(crate) fn read(&mut self, s: usize, n: usize) {
        let side = &mut self.sides[s];
        let n = n.min(side.machine.input().len());
        let bytes = side.machine.input().take_vec(n).unwrap();
        for got in bytes {
            assert_eq!(got, byte(1 - s, side.read), "at {}", side.read);
            side.read += 1;
        }
    }

    /// Bytes of the other side's wire arrive here, and its end after them.
    pub(crate) fn deliver(&mut self, s: usize, n: usize, unasked: bool) {
        if !self.sides[s].receiving {
            return;
        }
        let other_ended = self.sides[1 - s].ended;
        let wire = &mut self.sides[1 - s].wire;
        let n = n.clamp(1, 4096).min(wire.len());
        let bytes: Vec<u8> = wire.drain(..n).collect();
        let side = &mut self.sides[s];
        if bytes.is_empty() {
            if other_ended {
                side.receiving = false;
                side.machine.receive_ended(self.now);
            }
            return;
        }
        side.receiving = unasked;
        let mut block = Block::with_capacity_at_least(n);
        block.as_mut_slice()[..n].copy_from_slice(&bytes);
        side.machine.received(self.now, unasked, n, |input| {
            input.append_block(block, n).unwrap();
        });
    }

    pub(crate) fn take(&mut self, s: usize, n: usize) {
        let side = &mut self.sides[s];
        let Some(pinned) = side.sending.take() else {
            return;
        };
        let n = n.clamp(1, 65_535).min(pinned.len());
        let mut slices = [io::IoSlice::new(&[]); 64];
        let count = pinned.io_slices(0, &mut slices);
        let bytes = slices[..count].iter().flat_map(|slice| slice.iter());
        side.wire.extend(bytes.take(n));
        side.taken += n as u64;
        side.machine.sent(self.now, Ok(n));
    }

    pub(crate) fn pass(&mut self, micros: u32) {
        self.now += Duration::from_micros(micros.into());
        for side in &mut self.sides {
            let due = side.machine.wake_at().is_some_and(|at| at <= self.now);
            side.machine.time_passed(self.now);
            // What times out is told in that very step, and never early.
            assert!(!due || side.machine.has_events());
        }
    }

    /// What the engine does after everything: tell, then pursue.
    pub(crate) fn engine(&mut self) {
        for s in 0..2 {
            // A filter may have held what an input took byte by byte.
            for _ in 0..100_000 {
                self.tell(s);
                self.pursue(s);
                if !self.sides[s].machine.has_events() {
                    break;
                }
            }
            assert!(!self.sides[s].machine.has_events(), "it talks for ever");
        }
    }

    pub(crate) fn tell(&mut self, s: usize) {
        while let Some(event) = self.sides[s].machine.next_event() {
            let side = &mut self.sides[s];
            let closed = side.told.last() == Some(&Told::Closed);
            assert!(!closed, "{event:?} after the close");
            let told = match event {
                StreamEvent::Opened => Told::Opened,
                StreamEvent::Readable => {
                    assert!(!side.machine.is_paused() && !side.machine.input().is_empty());
                    if !side.lazy {
                        self.read(s, usize::MAX);
                    }
                    Told::Readable
                }
                StreamEvent::Ended => {
                    assert!(!side.machine.is_paused() && !side.told.contains(&Told::Ended));
                    Told::Ended
                }
                StreamEvent::Writable => {
                    assert!(side.listens);
                    Told::Writable
                }
                StreamEvent::TimedOut(which) => {
                    assert!(matches!(which, Timeout::Read | Timeout::Write));
                    Told::TimedOut
                }
                StreamEvent::Closed(reason) => {
                    side.reason = Some(reason);
                    Told::Closed
                }
                _ => unreachable!(),
            };
            let before = &mut self.sides[s].told;
            assert!(told != Told::Opened || before.is_empty());
            if before.last() != Some(&told) {
                before.push(told);
            }
        }
    }

    pub(crate) fn pursue(&mut self, s: usize) {
        let now = self.now;
        let side = &mut self.sides[s];
        if side.machine.is_closed() {
            // The socket is gone; what is on the wire still arrives.
            side.sending = None;
            side.receiving = false;
            side.ended = true;
            return;
        }
        if let Some(output) = side.machine.sendable(now)
            && side.eager > 0
        {
            assert!(side.sending.is_none());
            let bytes = output.chunk();
            let n = bytes.len().min(side.eager);
            side.wire.extend(&bytes[..n]);
            side.eager -= n;
            side.taken += n as u64;
            side.machine.sent_at_once(now, Ok(n));
        }
        if side.sending.is_none() {
            side.sending = side.machine.next_send(now);
        } else {
            assert!(side.machine.next_send(now).is_none(), "two in flight");
        }
        if side.machine.wants_shutdown() {
            assert!(side.sending.is_none());
            side.ended = true;
            side.machine.shutdown_ended(Ok(()));
        }
        if side.machine.unwants_receive() {
            assert!(side.receiving);
            side.receiving = false;
            side.machine.receive_canceled();
        }
        if side.machine.wants_receive() {
            assert!(!side.receiving, "two in flight");
            side.receiving = true;
            side.machine.receive_began(now);
        }
    }

    /// Lets everything move that can move, and both owners finish.
    pub(crate) fn drain(&mut self) {
        for s in 0..2 {
            for action in [
                Action::Lazy(s, false),
                Action::Hold(s, false),
                Action::Resume(s),
                Action::Read(s, u16::MAX),
                Action::FinishWrite(s),
            ] {
                self.act(&action);
            }
        }
        for _ in 0..20_000 {
            for s in 0..2 {
                self.act(&Action::Take(s, u16::MAX));
                self.act(&Action::Deliver(s, 4096, false));
                self.act(&Action::Read(s, u16::MAX));
            }
            let quiet = |side: &Side| {
                side.sending.is_none() && (side.wire.is_empty() || side.machine.is_closed())
            };
            let over = |side: &Side| side.told.last() == Some(&Told::Closed);
            if self.sides.iter().all(over) {
                break;
            }
            if self.sides.iter().all(quiet) && !self.sides.iter().any(|it| it.receiving) {
                break;
            }
        }
    }
}

pub(crate) fn actions() -> impl Strategy<Value = Vec<Action>> {
    let side = || 0..2_usize;
    let action = prop_oneof![
        6 => (side(), 1..3000_u16).prop_map(|(s, n)| Action::Write(s, n)),
        3 => (side(), 1..3000_u16).prop_map(|(s, n)| Action::Read(s, n)),
        1 => (side(), any::<bool>()).prop_map(|(s, on)| Action::Lazy(s, on)),
        1 => side().prop_map(Action::Pause),
        2 => side().prop_map(Action::Resume),
        1 => (side(), any::<bool>()).prop_map(|(s, on)| Action::Hold(s, on)),
        1 => (side(), any::<bool>()).prop_map(|(s, on)| Action::Listen(s, on)),
        2 => (side(), 1..9000_u16).prop_map(|(s, n)| Action::Eager(s, n)),
        1 => side().prop_map(Action::Again),
        1 => side().prop_map(Action::Flush),
        1 => (side(), any::<u8>()).prop_map(|(s, n)| Action::Configure(s, n)),
        8 => (side(), 1..4096_u16, any::<bool>())
            .prop_map(|(s, n, unasked)| Action::Deliver(s, n, unasked)),
        8 => (side(), 1..4096_u16).prop_map(|(s, n)| Action::Take(s, n)),
        2 => (0..30_000_u32).prop_map(Action::Pass),
    ];
    prop::collection::vec(action, 1..120)
}

pub(crate) fn endings() -> impl Strategy<Value = Vec<Action>> {
    let side = || 0..2_usize;
    let ending = prop_oneof![
        3 => side().prop_map(Action::FinishWrite),
        2 => side().prop_map(Action::Finish),
        1 => side().prop_map(Action::Close),
        1 => (side(), any::<bool>()).prop_map(|(s, peer)| Action::FailSend(s, peer)),
        1 => side().prop_map(Action::FailReceive),
    ];
    prop::collection::vec(ending, 0..3)
}

pub(crate) fn config() -> ProptestConfig {
    let cases = std::env::var("FERREVENT_CASES").ok();
    ProptestConfig {
        cases: cases.and_then(|cases| cases.parse().ok()).unwrap_or(600),
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(20_091_124),
        ..ProptestConfig::default()
    }
}
