//! One transfer in simulated time, over a network that takes its time and
//! kernels of every kind: nothing stands still, and no byte is wrong.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use ferrevent_core::buffer::{Block, Pinned};
use ferrevent_core::stream::{Machine, StreamConfig, StreamEvent, Watermarks};
use ferrevent_core::timer::Tick;

use super::world::byte;
use crate::Choices;

/// How a kernel moves bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kernel {
    /// What is ready is read or written at once: epoll, poll.
    Ready,
    /// One operation after another, each told when it is over: IOCP.
    Completes,
    /// A receive goes on by itself, and past its cancel: io_uring.
    GoesOn,
}

/// A transfer from the first side to the second, which answers with one byte.
#[derive(Clone, Debug)]
pub struct Trip {
    /// The kernel on both sides.
    pub kernel: Kernel,
    /// Bytes to be sent, and at most so many at a time.
    pub bytes: u64,
    /// The most that is written at once, and so a record's size.
    pub piece: usize,
    /// The reader's watermarks.
    pub input: Watermarks,
    /// The reader takes at most so many bytes at a time.
    pub sip: usize,
    /// The reader pauses after so many bytes,
    pub pause_after: u64,
    /// for so long.
    pub pause: Duration,
    /// Bytes that the network carries in a microsecond.
    pub bandwidth: u64,
    /// How long a byte is on its way.
    pub latency: Duration,
    /// What the kernels hold in each direction.
    pub kernel_buffer: usize,
    /// Whether the writer finishes at once, or waits for the answer.
    pub finishes: bool,
}

/// A segment of the network's.
const SEGMENT: usize = 1448;
/// A receive brings at most so much.
const RECEIVE: usize = 16 * 1024;

/// Makes `usual` different trips, or one for every 20 of `FERREVENT_CASES`, or
/// the one that `FERREVENT_TRIP` names.
///
/// # Panics
/// As what makes them does; the number of the trip is told before.
pub fn every_trip(usual: u64, make: impl Fn(&Trip)) {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seeds = match number("FERREVENT_TRIP") {
        Some(seed) => seed..=seed,
        None => 1..=number("FERREVENT_CASES").map_or(usual, |cases| cases / 20),
    };
    for seed in seeds {
        let trip = Trip::of(seed);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| make(&trip))) {
            eprintln!("-- it failed on {trip:?}\n-- again: FERREVENT_TRIP={seed} with this test");
            resume_unwind(panic);
        }
    }
}

impl Trip {
    /// The one of this number.
    #[must_use]
    pub fn of(mut seed: u64) -> Self {
        let mut next = || {
            seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (mixed ^ (mixed >> 27)) as u8
        };
        let bytes: Vec<u8> = (0..200).map(|_| next()).collect();
        Self::choose(&mut Choices::new(&bytes))
    }

    /// One of many.
    fn choose(choices: &mut Choices<'_>) -> Self {
        fn of<T: Copy>(choices: &mut Choices<'_>, from: &[T]) -> T {
            from[choices.below(from.len())]
        }
        let high = of(choices, &[1, 100, 1024, 16_384, 20_000, 65_536, 200_000]);
        let low = of(choices, &[0, 0, 0, 1, 500, 16_384]);
        let piece = of(
            choices,
            &[1, 100, 1023, 1024, 1025, 5000, 16_384, 60_000, 300_000],
        );
        let latency = of(choices, &[1, 50, 1000]);
        Self {
            kernel: of(choices, &[Kernel::Ready, Kernel::Completes, Kernel::GoesOn]),
            bytes: (piece as u64 * 40).min(of(choices, &[1, 576, 40_000, 300_000])),
            piece,
            input: Watermarks {
                low: low.min(high),
                high,
            },
            sip: of(choices, &[1000, 1024, 1025, usize::MAX, usize::MAX]),
            pause_after: of(choices, &[700, 16_384, 100_000, u64::MAX]),
            pause: Duration::from_micros(of(choices, &[1, 200, 5000])),
            bandwidth: of(choices, &[1, 12, 120, 1200]),
            latency: Duration::from_micros(latency),
            kernel_buffer: of(choices, &[4096, 20_000, 200_000]),
            // Bytes below the low mark are told at the end only.
            finishes: low > 1 || choices.flag(),
        }
    }

    /// Makes it, with machines that were prepared so, and tells how long it
    /// took.
    ///
    /// # Panics
    /// If a byte is wrong, if nothing moves any more before all is over, or
    /// if that takes more than twice as long as the network and the pauses
    /// have to.
    pub fn make(&self, prepare: impl Fn(usize, &mut Machine)) -> Duration {
        let mut run = Run::new(self, prepare);
        while !run.step() {}
        let took = run.now.since(Tick(0));
        let ideal = run.ideal();
        assert!(
            took <= 2 * ideal,
            "it took {took:?}, where {ideal:?} were enough; {} pauses",
            run.pauses
        );
        took
    }
}

/// A trip being made.
struct Run<'a> {
    trip: &'a Trip,
    sides: [Side; 2],
    /// From each side to the other.
    links: [Link; 2],
    now: Tick,
    written: u64,
    read: u64,
    since_pause: u64,
    pauses: u32,
    resumes: Option<Tick>,
}

struct Side {
    machine: Machine,
    send_buffer: VecDeque<u8>,
    receive_buffer: VecDeque<u8>,
    /// The send in flight, and how much of it the kernel has taken.
    sending: Option<(Pinned, usize)>,
    receiving: bool,
    shut: bool,
    peer_ended: bool,
    closed: bool,
}

#[derive(Default)]
struct Link {
    free_at: Tick,
    /// What arrives when; no bytes are the end.
    on_its_way: VecDeque<(Tick, Vec<u8>)>,
    ended: bool,
}

impl<'a> Run<'a> {
    fn new(trip: &'a Trip, prepare: impl Fn(usize, &mut Machine)) -> Self {
        let side = |s: usize| {
            let mut machine = Machine::connected();
            if s == 1 {
                let config = StreamConfig {
                    input: trip.input,
                    ..StreamConfig::DEFAULT
                };
                machine.configure(Tick(0), config);
            }
            prepare(s, &mut machine);
            Side {
                machine,
                send_buffer: VecDeque::new(),
                receive_buffer: VecDeque::new(),
                sending: None,
                receiving: false,
                shut: false,
                peer_ended: false,
                closed: false,
            }
        };
        Self {
            trip,
            sides: [side(0), side(1)],
            links: <[Link; 2]>::default(),
            now: Tick(0),
            written: 0,
            read: 0,
            since_pause: 0,
            pauses: 0,
            resumes: None,
        }
    }

    /// The least time that the network and the pauses leave.
    fn ideal(&self) -> Duration {
        let trip = self.trip;
        let latency = trip.latency.as_micros() as u64;
        let carried = self.sides[0].machine.wire_sent_bytes();
        // A byte has its place in the kernels' buffers while it is on its way.
        let by_window = (trip.kernel_buffer as u64).div_ceil(latency.max(1));
        let micros = carried.div_ceil(trip.bandwidth.min(by_window));
        // Three ways for the agreement, one for the bytes, one for the answer
        // and two for the ends; and a microsecond is the least there is.
        let ways = Duration::from_micros(7 * (latency + 10));
        let pause = trip.pause + 2 * trip.latency + Duration::from_micros(2);
        ways + Duration::from_micros(micros) + pause * self.pauses
    }

    /// Lets all happen that can happen now, then lets time pass; true once
    /// both sides are closed.
    fn step(&mut self) -> bool {
        if self.resumes.is_some_and(|at| at <= self.now) {
            self.resumes = None;
            self.sides[1].machine.resume();
        }
        for s in 0..2 {
            self.arrive(s);
            self.sides[s].machine.time_passed(self.now);
        }
        loop {
            let mut moved = false;
            for s in 0..2 {
                while self.tell(s) {
                    moved = true;
                }
                moved |= self.pursue(s) | self.carry(s);
            }
            if !moved {
                break;
            }
        }
        if self.sides.iter().all(|side| side.closed) {
            assert_eq!(self.read, self.trip.bytes, "bytes are missing");
            return true;
        }
        let Some(next) = self.next() else {
            panic!(
                "nothing moves any more at {:?}: {} of {} bytes were written, {} read; {:?} {:?}",
                self.now,
                self.written,
                self.trip.bytes,
                self.read,
                self.sides[0].machine,
                self.sides[1].machine
            );
        };
        self.now = next.max(self.now);
        false
    }

    /// When something happens by itself.
    fn next(&self) -> Option<Tick> {
        let mut next = self.resumes;
        let mut at = |tick: Option<Tick>| {
            if let Some(tick) = tick {
                next = Some(next.map_or(tick, |next| next.min(tick)));
            }
        };
        for (s, link) in self.links.iter().enumerate() {
            at(link.on_its_way.front().map(|(at, _)| *at));
            let waits = !self.sides[s].send_buffer.is_empty();
            at((waits && link.free_at > self.now).then_some(link.free_at));
        }
        // A time limit would be a stall, too: those of the machines are not
        // waited for, as long as the network has something on its way.
        next
    }

    fn arrive(&mut self, s: usize) {
        let link = &mut self.links[1 - s];
        while link
            .on_its_way
            .front()
            .is_some_and(|(at, _)| *at <= self.now)
        {
            if let Some((_, bytes)) = link.on_its_way.pop_front() {
                self.sides[s].peer_ended |= bytes.is_empty();
                self.sides[s].receive_buffer.extend(bytes);
            }
        }
    }

    /// Gives what the kernel holds to the network.
    fn carry(&mut self, s: usize) -> bool {
        let link = &mut self.links[s];
        let mut moved = false;
        while link.free_at <= self.now {
            let ahead: usize = link.on_its_way.iter().map(|(_, bytes)| bytes.len()).sum();
            let held = ahead + self.sides[1 - s].receive_buffer.len();
            let side = &mut self.sides[s];
            let room = self.trip.kernel_buffer.saturating_sub(held);
            let n = side.send_buffer.len().min(SEGMENT).min(room);
            if n == 0 {
                break;
            }
            let bytes: Vec<u8> = side.send_buffer.drain(..n).collect();
            let micros = (n as u64).div_ceil(self.trip.bandwidth);
            link.free_at = link.free_at.max(self.now) + Duration::from_micros(micros);
            let arrives = link.free_at + self.trip.latency;
            link.on_its_way.push_back((arrives, bytes));
            moved = true;
        }
        let side = &self.sides[s];
        if side.shut && side.send_buffer.is_empty() && !link.ended {
            link.ended = true;
            let arrives = link.free_at.max(self.now) + self.trip.latency;
            link.on_its_way.push_back((arrives, Vec::new()));
            moved = true;
        }
        moved
    }

    fn tell(&mut self, s: usize) -> bool {
        let Some(event) = self.sides[s].machine.next_event() else {
            return false;
        };
        match (event, s) {
            (StreamEvent::Opened | StreamEvent::Writable, 0) => self.write(),
            (StreamEvent::Readable, 0) => {
                let answer = self.sides[0].machine.input().take_vec(usize::MAX);
                assert_eq!(answer.unwrap(), b"!");
                self.sides[0].machine.finish(self.now);
            }
            (StreamEvent::Readable, _) => self.read(),
            (StreamEvent::Ended, _) => {
                if s == 1 {
                    self.take(usize::MAX);
                }
                self.sides[s].machine.finish(self.now);
            }
            (StreamEvent::Closed(reason), _) => {
                assert!(reason.is_clean(), "side {s}: {reason}");
                self.sides[s].closed = true;
                self.sides[s].shut = true;
            }
            (StreamEvent::TimedOut(which), _) => panic!("side {s}: {which:?}"),
            _ => {}
        }
        true
    }

    fn write(&mut self) {
        let machine = &mut self.sides[0].machine;
        let left = self.trip.bytes - self.written;
        let n = left.min(self.trip.piece as u64);
        if n > 0 {
            let bytes: Vec<u8> = (0..n).map(|i| byte(0, self.written + i)).collect();
            machine.write(&bytes).unwrap();
            self.written += n;
        } else if self.trip.finishes {
            machine.finish_write();
        }
    }

    fn read(&mut self) {
        self.take(self.trip.sip);
        let machine = &mut self.sides[1].machine;
        if !machine.input().is_empty() {
            machine.again();
        }
        if self.since_pause >= self.trip.pause_after {
            self.since_pause = 0;
            self.pauses += 1;
            machine.pause();
            self.resumes = Some(self.now + self.trip.pause);
        }
    }

    fn take(&mut self, n: usize) {
        let machine = &mut self.sides[1].machine;
        for got in machine.input().take_vec(n).unwrap() {
            assert_eq!(got, byte(0, self.read), "byte {} is wrong", self.read);
            self.read += 1;
            self.since_pause += 1;
            if self.read == self.trip.bytes && !self.trip.finishes {
                machine.write(b"!").unwrap();
            }
        }
    }

    fn pursue(&mut self, s: usize) -> bool {
        if self.sides[s].closed {
            return false;
        }
        let sent = self.send(s);
        let received = self.receive(s);
        sent || received
    }

    fn send(&mut self, s: usize) -> bool {
        let (now, kernel, most) = (self.now, self.trip.kernel, self.trip.kernel_buffer);
        let side = &mut self.sides[s];
        let mut moved = false;
        loop {
            let free = most - side.send_buffer.len().min(most);
            if let Some((pinned, taken)) = &mut side.sending {
                let mut slices = [IoSlice::new(&[]); 64];
                let count = pinned.io_slices(*taken, &mut slices);
                let bytes = slices[..count].iter().flat_map(|slice| slice.iter());
                let n = free.min(pinned.len() - *taken);
                side.send_buffer.extend(bytes.take(n));
                *taken += n;
                moved |= n > 0;
                let over = *taken == pinned.len() || (kernel != Kernel::Completes && *taken > 0);
                if !over {
                    break;
                }
                let taken = *taken;
                side.sending = None;
                side.machine.sent(now, Ok(taken));
            }
            if kernel == Kernel::Ready
                && free > 0
                && let Some(output) = side.machine.sendable(now)
            {
                let bytes = output.chunk();
                let n = bytes.len().min(free);
                side.send_buffer.extend(&bytes[..n]);
                side.machine.sent_at_once(now, Ok(n));
                moved = true;
                continue;
            }
            match side.machine.next_send(now) {
                Some(pinned) => side.sending = Some((pinned, 0)),
                None => break,
            }
        }
        if side.machine.wants_shutdown() {
            side.shut = true;
            side.machine.shutdown_ended(Ok(()));
            moved = true;
        }
        moved
    }

    fn receive(&mut self, s: usize) -> bool {
        let (now, kernel) = (self.now, self.trip.kernel);
        let side = &mut self.sides[s];
        let unwanted = side.machine.unwants_receive();
        if unwanted && (kernel != Kernel::GoesOn || side.receive_buffer.is_empty()) {
            side.receiving = false;
            side.machine.receive_canceled();
        }
        if side.machine.wants_receive() {
            side.receiving = true;
            side.machine.receive_began(now);
        }
        if !side.receiving {
            return unwanted;
        }
        let n = side.receive_buffer.len().min(RECEIVE);
        if n > 0 {
            // What comes though nobody wants it any more is the last.
            side.receiving = kernel == Kernel::GoesOn && !unwanted;
            let mut block = Block::with_capacity_at_least(n);
            for (to, from) in block
                .as_mut_slice()
                .iter_mut()
                .zip(side.receive_buffer.drain(..n))
            {
                *to = from;
            }
            let armed = side.receiving;
            side.machine.received(now, armed, n, |input| {
                input.append_block(block, n).unwrap();
            });
            return true;
        }
        if side.peer_ended {
            side.receiving = false;
            side.machine.receive_ended(now);
            return true;
        }
        unwanted
    }
}
