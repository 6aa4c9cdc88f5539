//! The machines, their simulated kernels, and what must hold.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use ferrevent_core::buffer::{Block, Pinned};
use ferrevent_core::stream::{
    CloseReason, Machine, StreamConfig, StreamEvent, Timeout, Watermarks, WriteError,
};
use ferrevent_core::timer::Tick;

use super::{Action, Layer};

/// One machine, its engine and its kernel.
#[derive(Debug)]
struct Side {
    machine: Machine,
    /// The send in flight.
    sending: Option<Pinned>,
    receiving: bool,
    /// Bytes written by the owner, and read by it, so far.
    written: u64,
    read: u64,
    /// What this side's kernel has sent and the other's has not yet given up.
    wire: VecDeque<u8>,
    ended: bool,
    /// A send failed because the peer was not there.
    lost: bool,
    /// Bytes that the kernel took.
    taken: u64,
    told: Vec<Told>,
    reason: Option<CloseReason>,
    /// The owner leaves bytes in its input on purpose.
    lazy: bool,
    /// The owner listens to `Writable`.
    listens: bool,
    /// So many bytes the kernel takes at once, with no send in flight.
    eager: usize,
    /// Asked for, and not told yet.
    nudged: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Opened,
    Readable,
    Ended,
    Writable,
    TimedOut,
    Closed,
}

/// The bytes of every stream: a function of their position.
pub(super) fn byte(side: usize, position: u64) -> u8 {
    let mixed = (position + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    (mixed as u8) ^ (side as u8 * 0x55)
}

/// Two machines, connected, and the time.
#[derive(Debug)]
pub struct World {
    sides: [Side; 2],
    now: Tick,
}

impl World {
    /// Both sides open, nothing sent.
    #[must_use]
    pub fn new() -> Self {
        Self::with(|_| ())
    }

    /// Two sides that begin with these filters.
    #[must_use]
    pub fn filtered(stack: &[Layer]) -> Self {
        Self::with(|machine| {
            for layer in stack {
                machine.add_filter(Tick(0), layer.filter()).unwrap();
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
                nudged: false,
            }
        };
        let mut world = Self {
            sides: [side(), side()],
            now: Tick(0),
        };
        world.engine();
        world
    }

    /// Lets one thing happen, and the engines do what follows.
    ///
    /// # Panics
    /// If a machine does what it must not.
    pub fn act(&mut self, action: &Action) {
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
            Action::Nudge(s) => {
                self.sides[s].machine.nudge();
                self.sides[s].nudged = true;
            }
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

    fn configure(&mut self, s: usize, seed: u8) {
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

    fn write(&mut self, s: usize, n: usize) {
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

    fn read(&mut self, s: usize, n: usize) {
        let side = &mut self.sides[s];
        let n = n.min(side.machine.input().len());
        let bytes = side.machine.input().take_vec(n).unwrap();
        for got in bytes {
            assert_eq!(got, byte(1 - s, side.read), "at {}", side.read);
            side.read += 1;
        }
    }

    /// Bytes of the other side's wire arrive here, and its end after them.
    fn deliver(&mut self, s: usize, n: usize, unasked: bool) {
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

    fn take(&mut self, s: usize, n: usize) {
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

    fn pass(&mut self, micros: u32) {
        self.now += Duration::from_micros(micros.into());
        for side in &mut self.sides {
            let due = side.machine.wake_at().is_some_and(|at| at <= self.now);
            side.machine.time_passed(self.now);
            // What times out is told in that very step, and never early.
            assert!(!due || side.machine.has_events());
        }
    }

    /// What the engine does after everything: tell, then pursue.
    fn engine(&mut self) {
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

    fn tell(&mut self, s: usize) {
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
                StreamEvent::Nudged => {
                    // At any time before the close, once for all.
                    assert!(std::mem::take(&mut side.nudged));
                    continue;
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

    fn pursue(&mut self, s: usize) {
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
        // Nothing is offered to a kernel that has said that nobody is there.
        assert!(!side.lost || side.sending.is_none());
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
            let high = side.machine.config().input.high.max(1);
            assert!(side.machine.input().len() < high, "past the high mark");
            side.receiving = true;
            side.machine.receive_began(now);
        }
    }

    /// Lets everything move that can move, and both owners finish.
    fn drain(&mut self) {
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

    /// Lets everything move, both owners finish, and checks that what was
    /// written was read and both closed.
    ///
    /// # Panics
    /// If that is not so.
    pub fn end_well(&mut self) {
        self.drain();
        for (side, other) in [(0, 1), (1, 0)].map(|(s, o)| (&self.sides[s], &self.sides[o])) {
            assert!(
                side.told.ends_with(&[Told::Closed]),
                "{:?} {:?}",
                side.told,
                side.machine
            );
            assert!(
                side.reason.as_ref().unwrap().is_clean(),
                "{:?}",
                side.reason
            );
            assert_eq!(side.read, other.written);
            assert_eq!(side.machine.received_bytes(), side.read);
            assert_eq!(side.machine.sent_bytes(), side.written);
            assert_eq!(side.machine.wire_sent_bytes(), side.taken);
            assert_eq!(side.told.first(), Some(&Told::Opened));
            assert!(side.told.contains(&Told::Ended));
        }
    }

    /// Lets everything move that still can, and checks that nothing was made
    /// up and that both closes were told, once and last.
    ///
    /// # Panics
    /// If that is not so.
    pub fn end_anyhow(&mut self) {
        self.drain();
        // A side that finished waits for its peer, but not for ever.
        self.pass(31_000_000);
        self.engine();
        self.drain();
        for (side, other) in [(0, 1), (1, 0)].map(|(s, o)| (&self.sides[s], &self.sides[o])) {
            assert!(side.read <= other.written);
            let closes = side.told.iter().filter(|told| **told == Told::Closed);
            assert_eq!(closes.count(), 1, "{:?}", side.told);
            assert_eq!(side.told.last(), Some(&Told::Closed));
        }
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}
