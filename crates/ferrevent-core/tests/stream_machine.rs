//! Two stream machines over a simulated network and clock: whatever the
//! order of things, nothing is lost, doubled or reordered, and a close is
//! told once and last.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use ferrevent_core::buffer::{Block, Pinned};
use ferrevent_core::stream::{
    CloseReason, Machine, StreamConfig, StreamEvent, Timeout, Watermarks, WriteError,
};
use ferrevent_core::timer::Tick;
use proptest::prelude::*;

/// One machine, its engine and its kernel.
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
    told: Vec<Told>,
    /// The owner leaves bytes in its input on purpose.
    lazy: bool,
    /// The owner listens to `Writable`.
    listens: bool,
    /// So many bytes the kernel takes at once, with no send in flight.
    eager: usize,
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

#[derive(Clone, Debug)]
enum Action {
    Write(usize, u16),
    Read(usize, u16),
    Lazy(usize, bool),
    Pause(usize),
    Resume(usize),
    Hold(usize, bool),
    Listen(usize, bool),
    Eager(usize, u16),
    Again(usize),
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
fn byte(side: usize, position: u64) -> u8 {
    let mixed = (position + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    (mixed as u8) ^ (side as u8 * 0x55)
}

struct World {
    sides: [Side; 2],
    now: Tick,
}

impl World {
    fn new() -> Self {
        let side = || Side {
            machine: Machine::connected(),
            sending: None,
            receiving: false,
            written: 0,
            read: 0,
            wire: VecDeque::new(),
            ended: false,
            lost: false,
            told: Vec::new(),
            lazy: false,
            listens: true,
            eager: 0,
        };
        Self {
            sides: [side(), side()],
            now: Tick(0),
        }
    }

    fn act(&mut self, action: &Action) {
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
                    self.sides[s].machine.receive_failed(error);
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
                side.machine.receive_ended();
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
            for _ in 0..100 {
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
                StreamEvent::Closed(_) => Told::Closed,
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
        if let Some(output) = side.machine.sendable()
            && side.eager > 0
        {
            assert!(side.sending.is_none());
            let bytes = output.chunk();
            let n = bytes.len().min(side.eager);
            side.wire.extend(&bytes[..n]);
            side.eager -= n;
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
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
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
        1 => (side(), any::<u8>()).prop_map(|(s, n)| Action::Configure(s, n)),
        8 => (side(), 1..4096_u16, any::<bool>())
            .prop_map(|(s, n, unasked)| Action::Deliver(s, n, unasked)),
        8 => (side(), 1..4096_u16).prop_map(|(s, n)| Action::Take(s, n)),
        2 => (0..30_000_u32).prop_map(Action::Pass),
    ];
    prop::collection::vec(action, 1..120)
}

fn endings() -> impl Strategy<Value = Vec<Action>> {
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

fn config() -> ProptestConfig {
    let cases = std::env::var("FERREVENT_CASES").ok();
    ProptestConfig {
        cases: cases.and_then(|cases| cases.parse().ok()).unwrap_or(600),
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(20_091_124),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_written_is_read_and_both_close(actions in actions()) {
        let mut world = World::new();
        world.engine();
        for action in &actions {
            world.act(action);
        }
        world.drain();
        for s in 0..2 {
            let side = &world.sides[s];
            prop_assert_eq!(side.read, world.sides[1 - s].written);
            prop_assert_eq!(side.machine.received_bytes(), side.read);
            prop_assert_eq!(side.machine.sent_bytes(), side.written);
            prop_assert_eq!(side.told.first(), Some(&Told::Opened));
            prop_assert!(side.told.ends_with(&[Told::Closed]), "{:?}", side.told);
            prop_assert!(side.told.contains(&Told::Ended));
        }
    }

    #[test]
    fn any_ending_at_any_time_is_told_once_and_last(
        before in actions(),
        endings in endings(),
        after in actions(),
    ) {
        let mut world = World::new();
        world.engine();
        for action in before.iter().chain(&endings).chain(&after) {
            world.act(action);
        }
        world.drain();
        // A side that finished waits for its peer, but not for ever.
        world.pass(11_000_000);
        world.engine();
        world.drain();
        for s in 0..2 {
            let side = &world.sides[s];
            prop_assert!(side.read <= world.sides[1 - s].written);
            let closes = side.told.iter().filter(|told| **told == Told::Closed).count();
            prop_assert_eq!(closes, 1, "{:?}", side.told);
            prop_assert_eq!(side.told.last(), Some(&Told::Closed));
        }
    }
}

#[test]
fn a_machine_is_small() {
    assert!(size_of::<Machine>() <= 144, "{}", size_of::<Machine>());
}

#[test]
fn a_timeout_is_told_when_it_is_due_and_not_before() {
    let mut machine = Machine::connected();
    let config = StreamConfig {
        read_timeout: Some(Duration::from_millis(5)),
        ..StreamConfig::DEFAULT
    };
    machine.configure(Tick(0), config);
    assert!(matches!(machine.next_event(), Some(StreamEvent::Opened)));
    assert_eq!(machine.wake_at(), None, "nothing is being received");
    machine.receive_began(Tick(100));
    assert_eq!(machine.wake_at(), Some(Tick(5100)));
    machine.time_passed(Tick(5099));
    assert!(machine.next_event().is_none());
    machine.time_passed(Tick(5100));
    assert!(matches!(
        machine.next_event(),
        Some(StreamEvent::TimedOut(Timeout::Read))
    ));
    machine.pause();
    assert_eq!(machine.wake_at(), None, "nobody waits for bytes now");
}

#[test]
fn bytes_below_the_low_mark_are_told_at_the_end() {
    let mut machine = Machine::connected();
    let mut config = StreamConfig::DEFAULT;
    config.input.low = 100;
    machine.configure(Tick(0), config);
    machine.next_event();
    machine.receive_began(Tick(0));
    machine.received(Tick(0), true, 3, |input| input.append(b"abc").unwrap());
    assert!(machine.next_event().is_none());
    machine.receive_ended();
    assert!(matches!(machine.next_event(), Some(StreamEvent::Readable)));
    assert!(matches!(machine.next_event(), Some(StreamEvent::Ended)));
}

#[test]
fn what_the_peer_sent_before_it_broke_is_told_first() {
    let mut machine = Machine::connected();
    machine.next_event();
    machine.receive_began(Tick(0));
    machine.write(b"request").unwrap();
    assert!(machine.next_send(Tick(0)).is_some());
    machine.sent(Tick(0), Err(io::ErrorKind::BrokenPipe.into()));
    assert!(
        machine.next_event().is_none(),
        "its answer may be on the way"
    );
    machine.received(Tick(0), true, 3, |input| input.append(b"no!").unwrap());
    machine.receive_failed(io::ErrorKind::ConnectionReset.into());
    assert!(matches!(machine.next_event(), Some(StreamEvent::Readable)));
    let Some(StreamEvent::Closed(CloseReason::Failed { error, .. })) = machine.next_event() else {
        panic!("it did not close")
    };
    assert_eq!(
        error.kind(),
        io::ErrorKind::BrokenPipe,
        "the first one counts"
    );
    assert!(machine.next_event().is_none());
}

/// An echo keeps writing to a peer that is gone: that must neither stop it
/// from meeting the end nor be kept.
#[test]
fn what_is_written_to_a_broken_stream_keeps_nothing_back() {
    let mut machine = Machine::connected();
    machine.write(b"lost").unwrap();
    let bytes = machine.next_send(Tick(0)).unwrap();
    machine.sent(Tick(0), Err(io::ErrorKind::BrokenPipe.into()));
    drop(bytes);
    for _ in 0..100 {
        assert!(machine.wants_receive());
        machine.receive_began(Tick(0));
        machine.received(Tick(0), false, 100_000, |input| {
            input.append(&[7; 100_000]).unwrap();
        });
        while machine.next_event().is_some() {}
        let (input, output) = machine.buffers();
        output.append_buffer(input).unwrap();
        assert!(machine.output().len() <= 100_000);
    }
    machine.receive_began(Tick(0));
    machine.receive_ended();
    let mut last = None;
    while let Some(event) = machine.next_event() {
        last = Some(event);
    }
    let reason = last.map(|event| format!("{event:?}")).unwrap_or_default();
    assert!(reason.contains("Failed"), "{reason}");
}
