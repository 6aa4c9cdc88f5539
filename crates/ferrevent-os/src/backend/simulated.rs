//! A completion kernel, played over poll(2) from a seed: for tests.
//!
//! It does, on real descriptors, what io_uring and IOCP may do and readiness
//! kernels never do: operations complete late, and one port's before
//! another's; a receive goes on by itself and brings bytes that nobody asked
//! for any more; a send takes a part; a cancel comes too late. What holds for
//! every backend holds here too: an operation completes exactly once, and one
//! port's receives complete in order.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::io;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferrevent_core::buffer::Buffer;

use super::{Event, What, poll};
use crate::op::{Completion, Op, OpKind, Token};
use crate::port::{Port, PortKind, Readiness};
use crate::sys::fd::{OwnedFd, RawFd};
use crate::sys::{Call, Fault, FaultPlan, Rule, Sys, canceled};
use crate::wake::WakeDescriptor;

/// Waits that a completion is held back at most.
const LATEST: u64 = 3;
/// Completions of one receive that goes on by itself.
const SHOTS: u32 = 8;

#[derive(Debug)]
pub(super) struct Backend {
    sys: Sys,
    seed: u64,
    /// What really moves the bytes.
    kernel: poll::Backend,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    random: u64,
    ports: HashMap<Token, Inner>,
    /// Completions that were not told yet, in the order they came about.
    held: Vec<Held>,
    /// Every operation that was submitted and has not completed.
    in_flight: HashSet<(Token, OpKind)>,
    /// Somebody waits, and found nothing held back.
    asleep: bool,
}

/// The kernel's own side of a port.
#[derive(Debug)]
struct Inner {
    port: Port,
    /// How often the receive or accept in flight may still complete.
    shots: u32,
    /// A receive or an accept has told something since it was submitted.
    told: bool,
}

#[derive(Debug)]
struct Held {
    token: Token,
    kind: OpKind,
    waits: u64,
    completion: Completion,
}

pub(super) type Waiter = poll::Waiter;

impl Backend {
    pub(super) fn new(sys: Sys, seed: u64, shared: bool) -> io::Result<Self> {
        // Sends and receives that fall short, unless a test brings its own
        // faults.
        let rules = vec![
            Rule::often(Call::Send, 200, Fault::Short(7)),
            Rule::often(Call::Send, 200, Fault::Short(5000)),
            Rule::often(Call::Receive, 100, Fault::Short(3)),
        ];
        let kernel_sys = sys.or_faults(Arc::new(FaultPlan::new(seed, rules)));
        Ok(Self {
            sys,
            seed,
            kernel: poll::Backend::new(kernel_sys, shared)?,
            state: Mutex::new(State {
                random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
                ports: HashMap::new(),
                held: Vec::new(),
                in_flight: HashSet::new(),
                asleep: false,
            }),
        })
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn sys(&self) -> &Sys {
        &self.sys
    }

    pub(super) fn waiter(&self) -> Waiter {
        self.kernel.waiter()
    }

    pub(super) fn open(&self, fd: OwnedFd, kind: PortKind, token: Token) -> Port {
        Port::new(fd, kind, token)
    }

    pub(super) fn submit(&self, port: &mut Port, op: Op) -> Option<Completion> {
        let (token, kind) = (port.token, op.kind());
        let mut state = self.lock();
        let fresh = state.in_flight.insert((token, kind));
        debug_assert!(fresh, "{kind:?} submitted twice on {token:?}");
        let State {
            ports, in_flight, ..
        } = &mut *state;
        if let Entry::Vacant(vacant) = ports.entry(token) {
            // The kernel holds a descriptor of its own, as a real one does.
            match self.sys.duplicate(&port.fd) {
                Ok(fd) => {
                    let port = self.kernel.open(fd, port.kind, token);
                    vacant.insert(Inner {
                        port,
                        shots: 0,
                        told: false,
                    });
                }
                Err(error) => {
                    in_flight.remove(&(token, kind));
                    return Some(op.fail(error));
                }
            }
        }
        let capped = kind == OpKind::Receive && port.is_capped();
        let multishot =
            matches!(kind, OpKind::Receive | OpKind::Accept) && state.chance(2) && !capped;
        let at_once = state.chance(4);
        let inner = state.ports.get_mut(&token)?;
        inner.port.cap_receives(NonZeroU32::new(port.cap()));
        inner.shots = if multishot { SHOTS } else { 1 };
        inner.told &= !matches!(kind, OpKind::Receive | OpKind::Accept);
        let completion = self.kernel.submit(&mut inner.port, op)?;
        if at_once && !multishot {
            self.disarm(&mut inner.port, &completion);
            state.in_flight.remove(&(token, kind));
            return Some(completion.armed(false));
        }
        self.came_about(&mut state, token, kind, completion);
        None
    }

    pub(super) fn send_at_once(
        &self,
        _: &mut Port,
        _: &Buffer,
        _: usize,
    ) -> Option<io::Result<usize>> {
        None
    }

    pub(super) fn cancel(&self, port: &mut Port, kind: OpKind) -> Option<Completion> {
        let token = port.token;
        let mut state = self.lock();
        let taken = state
            .ports
            .get_mut(&token)
            .and_then(|inner| self.kernel.cancel(&mut inner.port, kind))?;
        // What it told may not have been heard yet: its end comes after that.
        let goes_on = matches!(kind, OpKind::Receive | OpKind::Accept);
        let told = state.ports.get(&token).is_some_and(|inner| inner.told);
        let earlier = (goes_on && told)
            || state
                .held
                .iter()
                .any(|it| (it.token, it.kind) == (token, kind));
        if !earlier && state.chance(2) {
            state.in_flight.remove(&(token, kind));
            return Some(taken);
        }
        state.hold(token, kind, taken.with_error(canceled()));
        self.rouse(&mut state);
        None
    }

    pub(super) fn event(&self, _: &mut Port, what: What, sink: &mut dyn FnMut(Completion)) {
        if let What::Done(completion) = what {
            sink(completion);
        }
    }

    pub(super) fn close(&self, port: Port) {
        drop(self.release(port));
    }

    pub(super) fn release(&self, port: Port) -> OwnedFd {
        let mut state = self.lock();
        state.held.retain(|it| it.token != port.token);
        state.in_flight.retain(|(token, _)| *token != port.token);
        if let Some(inner) = state.ports.remove(&port.token) {
            self.kernel.close(inner.port);
        }
        port.fd
    }

    pub(super) fn watch(
        &self,
        fd: RawFd,
        token: Token,
        interest: Readiness,
        edge: bool,
    ) -> io::Result<()> {
        self.kernel.watch(fd, token, interest, edge)
    }

    pub(super) fn rewatch(
        &self,
        fd: RawFd,
        token: Token,
        interest: Readiness,
        edge: bool,
    ) -> io::Result<()> {
        self.kernel.rewatch(fd, token, interest, edge)
    }

    pub(super) fn took(
        &self,
        fd: RawFd,
        token: Token,
        interest: Readiness,
        edge: bool,
    ) -> io::Result<()> {
        self.kernel.took(fd, token, interest, edge)
    }

    pub(super) fn unwatch(&self, fd: RawFd) -> io::Result<()> {
        self.kernel.unwatch(fd)
    }

    pub(super) fn wake(&self) -> io::Result<()> {
        self.kernel.wake()
    }

    pub(super) fn wake_descriptor(&self) -> io::Result<WakeDescriptor> {
        self.kernel.wake_descriptor()
    }

    pub(super) fn wait(
        &self,
        waiter: &mut Waiter,
        timeout: Option<Duration>,
        events: &mut Vec<Event>,
    ) -> io::Result<()> {
        let mut state = self.lock();
        state.asleep = state.held.is_empty();
        let patience = if state.asleep {
            timeout
        } else {
            Some(Duration::ZERO)
        };
        drop(state);
        let first = events.len();
        let outcome = self.kernel.wait(waiter, patience, events);
        let mut state = self.lock();
        state.asleep = false;
        outcome?;
        let told: Vec<Event> = events.drain(first..).collect();
        for event in told {
            if state.ports.contains_key(&event.token) {
                self.kernel_event(&mut state, event);
            } else {
                events.push(event);
            }
        }
        state.tell(events);
        Ok(())
    }

    /// Readiness that the kernel turns into completions.
    fn kernel_event(&self, state: &mut State, event: Event) {
        let mut completions = Vec::new();
        if let Some(inner) = state.ports.get_mut(&event.token) {
            self.kernel
                .event(&mut inner.port, event.what, &mut |completion| {
                    completions.push(completion);
                });
        }
        for completion in completions {
            let kind = kind_of(&completion);
            self.came_about(state, event.token, kind, completion);
        }
    }

    /// An operation has completed, but is told later; a receive or accept may
    /// go on by itself.
    fn came_about(&self, state: &mut State, token: Token, kind: OpKind, first: Completion) {
        let mut next = Some(first);
        while let Some(completion) = next.take() {
            let goes_on = brought_something(&completion)
                && state.ports.get_mut(&token).is_some_and(|inner| {
                    inner.shots = inner.shots.saturating_sub(1);
                    inner.shots > 0
                });
            let went_on = completion.is_armed();
            if let Some(inner) = state.ports.get_mut(&token)
                && !goes_on
            {
                self.disarm(&mut inner.port, &completion);
            }
            state.hold(token, kind, completion.armed(goes_on));
            self.rouse(state);
            if goes_on
                && !went_on
                && let Some(inner) = state.ports.get_mut(&token)
            {
                let op = match kind {
                    OpKind::Accept => Op::Accept,
                    _ => Op::Receive,
                };
                next = self.kernel.submit(&mut inner.port, op);
            }
        }
    }

    /// Ends an operation that went on in the kernel though its owner asked
    /// for one completion: nothing has come since, so nothing is lost.
    fn disarm(&self, port: &mut Port, completion: &Completion) {
        if completion.is_armed() {
            let _ = self.kernel.cancel(port, kind_of(completion));
        }
    }

    /// Whoever waits must tell what is held back now.
    fn rouse(&self, state: &mut State) {
        if std::mem::take(&mut state.asleep) {
            let _ = self.kernel.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn roll(&mut self, sides: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 20) % sides
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.roll(one_in) == 0
    }

    fn hold(&mut self, token: Token, kind: OpKind, completion: Completion) {
        let waits = self.roll(LATEST + 1);
        if matches!(kind, OpKind::Receive | OpKind::Accept)
            && let Some(inner) = self.ports.get_mut(&token)
        {
            inner.told = true;
        }
        self.held.push(Held {
            token,
            kind,
            waits,
            completion,
        });
    }

    /// Tells the completions whose time has come, in no order but that of one
    /// port's own operations of a kind.
    fn tell(&mut self, events: &mut Vec<Event>) {
        let mut blocked = HashSet::new();
        let mut kept = Vec::new();
        let first = events.len();
        for mut held in std::mem::take(&mut self.held) {
            let key = (held.token, held.kind);
            if held.waits > 0 || blocked.contains(&key) {
                held.waits = held.waits.saturating_sub(1);
                blocked.insert(key);
                kept.push(held);
                continue;
            }
            if !held.completion.is_armed() {
                let was = self.in_flight.remove(&key);
                debug_assert!(was, "{:?} of {:?} completed twice", held.kind, held.token);
            }
            events.push(Event {
                token: held.token,
                what: What::Done(held.completion),
            });
        }
        self.held = kept;
        // Whole ports change places; the order inside one stays.
        if self.chance(2) {
            let mut ports: Vec<Token> = Vec::new();
            for event in &events[first..] {
                if !ports.contains(&event.token) {
                    ports.push(event.token);
                }
            }
            let place = |event: &Event| ports.iter().rev().position(|it| *it == event.token);
            events[first..].sort_by_key(place);
        }
    }
}

fn kind_of(completion: &Completion) -> OpKind {
    match completion {
        Completion::Received { .. } => OpKind::Receive,
        Completion::Sent(_) => OpKind::Send,
        Completion::Accepted { .. } => OpKind::Accept,
        Completion::Connected(_) => OpKind::Connect,
    }
}

/// Whether an operation of this outcome may go on by itself.
fn brought_something(completion: &Completion) -> bool {
    match completion {
        Completion::Received { result, .. } => {
            result.as_ref().is_ok_and(|received| !received.is_empty())
        }
        Completion::Accepted { result, .. } => result.is_ok(),
        _ => false,
    }
}
