//! Clients that check every byte that comes back, and the upstream that sends
//! them: one process, no faults.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ferrevent::{Address, Builder, CloseReason, EventLoop, Handle, Handler, Stream};

/// Attempts to connect that are under way at once.
const CONNECTING: usize = 200;
/// Nothing happens for so long only when something is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Clients {
    events: EventLoop,
    pub(crate) upstream: SocketAddr,
}

/// What a wave comes to.
pub(crate) struct Sum<P> {
    /// Bytes that came back and were checked.
    pub(crate) bytes: u64,
    pub(crate) wrong: u64,
    /// Where a wrong byte was met first: client and position.
    pub(crate) first_wrong: Option<(u64, u64)>,
    /// The ports of the clients that did not get everything, and why.
    pub(crate) cut: Vec<(u16, String)>,
    pub(crate) peak: P,
}

impl Clients {
    pub(crate) fn new() -> Self {
        let mut events = Builder::new().build().unwrap();
        let any = Address::Socket(([127, 0, 0, 1], 0).into());
        let echo = || |stream: &mut Stream<'_>| stream.echo();
        let listener = events.listen(any, echo).unwrap();
        let upstream = events.context().listener_addr(listener).unwrap();
        Self { events, upstream }
    }

    /// Connects them all, lets each have a part of its bytes back, looks at
    /// the peak, and lets them have the rest.
    pub(crate) fn wave<P>(
        &mut self,
        relay: SocketAddr,
        count: usize,
        wave: usize,
        mut peak: impl FnMut(usize) -> P,
        mut complain: impl FnMut() -> String,
    ) -> Sum<P> {
        let state = Rc::new(RefCell::new(State::default()));
        let mut handles: Vec<(Handle, u64, u64)> = Vec::new();
        let mut moved = Progress::new();
        while handles.len() < count || !state.borrow().is_past_first(count) {
            while handles.len() < count && state.borrow().connecting < CONNECTING {
                let id = (wave * count + handles.len()) as u64;
                let (first, all) = (1 + id * 7 % 3000, 3001 + id * 131 % 16_000);
                state.borrow_mut().connecting += 1;
                let client = Client {
                    id,
                    first,
                    all,
                    came: 0,
                    opened: false,
                    over: false,
                    port: 0,
                    state: Rc::clone(&state),
                };
                let handle = self.events.connect(relay.into(), client).unwrap();
                handles.push((handle, first, all));
            }
            self.turn(&state, &mut moved, "the first bytes", &mut complain);
        }
        let live = count - state.borrow().closed;
        let peak = peak(live);
        for (number, (handle, first, all)) in handles.iter().enumerate() {
            let id = (wave * count + number) as u64;
            // Refused by those that were cut short.
            let _ = handle.write(pattern(id, *first, *all));
            handle.finish_write();
            if number % 500 == 0 {
                self.turn(&state, &mut moved, "the rest", &mut complain);
            }
        }
        while state.borrow().closed < count {
            self.turn(&state, &mut moved, "the end", &mut complain);
        }
        let state = state.take();
        Sum {
            bytes: state.bytes,
            wrong: state.wrong,
            first_wrong: state.first_wrong,
            cut: state.cut,
            peak,
        }
    }

    fn turn(
        &mut self,
        state: &Rc<RefCell<State>>,
        moved: &mut Progress,
        what: &str,
        complain: &mut dyn FnMut() -> String,
    ) {
        self.events.run_for(Duration::from_millis(2)).unwrap();
        let state = state.borrow();
        let now = (state.bytes, state.closed, state.connecting);
        if now != moved.last {
            *moved = Progress {
                last: now,
                at: Instant::now(),
            };
        }
        assert!(
            moved.at.elapsed() < PATIENCE,
            "stuck before {what}: {} closed, {} connecting, {} had their first bytes\n{}\nthe relay: {}",
            state.closed,
            state.connecting,
            state.firsts,
            self.events.dump(),
            complain()
        );
    }
}

struct Progress {
    last: (u64, usize, usize),
    at: Instant,
}

impl Progress {
    fn new() -> Self {
        Self {
            last: (0, 0, 0),
            at: Instant::now(),
        }
    }
}

#[derive(Default)]
struct State {
    connecting: usize,
    /// Had their first bytes back, and are not closed.
    firsts: usize,
    closed: usize,
    bytes: u64,
    wrong: u64,
    first_wrong: Option<(u64, u64)>,
    cut: Vec<(u16, String)>,
}

impl State {
    fn is_past_first(&self, count: usize) -> bool {
        self.firsts + self.closed >= count
    }
}

struct Client {
    id: u64,
    /// Bytes that it sends at first, and in all.
    first: u64,
    all: u64,
    came: u64,
    opened: bool,
    over: bool,
    port: u16,
    state: Rc<RefCell<State>>,
}

impl Client {
    fn has_first(&self) -> bool {
        self.came >= self.first
    }
}

impl Handler for Client {
    fn opened(&mut self, stream: &mut Stream<'_>) {
        self.opened = true;
        self.port = stream.local_addr().map_or(0, |address| address.port());
        self.state.borrow_mut().connecting -= 1;
        stream.write(&pattern(self.id, 0, self.first)).unwrap();
    }

    fn readable(&mut self, stream: &mut Stream<'_>) {
        let len = stream.input().len();
        let bytes = stream.input().take_vec(len).unwrap();
        let had_first = self.has_first();
        let expected = pattern(self.id, self.came, self.came + len as u64);
        let mut state = self.state.borrow_mut();
        state.bytes += len as u64;
        let wrong = bytes.iter().zip(&expected).position(|(a, b)| a != b);
        if let Some(at) = wrong {
            state.wrong += 1;
            let place = (self.id, self.came + at as u64);
            state.first_wrong.get_or_insert(place);
        }
        self.came += len as u64;
        if self.came > self.all {
            state.wrong += 1;
        }
        state.firsts += usize::from(self.has_first() && !had_first);
    }

    fn closed(&mut self, _: &mut Stream<'_>, reason: CloseReason) {
        assert!(!self.over, "closed twice");
        self.over = true;
        let (opened, had_first) = (self.opened, self.has_first());
        let mut state = self.state.borrow_mut();
        state.closed += 1;
        state.connecting -= usize::from(!opened);
        state.firsts -= usize::from(had_first);
        if self.came != self.all || !reason.is_clean() {
            let text = format!("{} of {} bytes, {reason}", self.came, self.all);
            state.cut.push((self.port, text));
        }
    }
}

/// The bytes from one position to another that a client sends: no two clients
/// and no two places have the same for long.
fn pattern(id: u64, from: u64, to: u64) -> Vec<u8> {
    (from..to)
        .map(|at| {
            let mixed = (id << 20 | at).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (mixed >> 56) as u8
        })
        .collect()
}
