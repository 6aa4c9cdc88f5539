//! Rate limits of streams: the tree that all of an engine's streams are in,
//! and each one's place there.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use ferrevent_core::limit::{Direction, LimitError, NodeId, RateLimits, Share, Tree};
use ferrevent_core::timer::{Tick, TimerId};
use ferrevent_os::sys::Sys;
use ferrevent_os::{Backend, Completion, OpKind, Port, Readiness, Token, What};

use super::{Engine, StreamEntry, Work};

/// The key under which the engine's timers know the tree: no entry's.
pub(super) const LIMITS: Token = Token(u64::MAX);

/// The tree of an engine. Whoever runs a stream may ask it, and anybody may
/// change it, so it has a lock of its own, held for a question.
pub(crate) struct Limits {
    sys: Sys,
    tree: Mutex<Tree<Token>>,
}

impl Limits {
    pub(super) fn new(sys: Sys) -> Self {
        Self {
            sys,
            tree: Mutex::new(Tree::new()),
        }
    }

    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut Tree<Token>) -> R) -> R {
        work(&mut self.tree.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// For those who do not know the time.
    pub(crate) fn with_now<R>(&self, work: impl FnOnce(&mut Tree<Token>, Tick) -> R) -> R {
        let now = self.sys.now();
        self.with(|tree| work(tree, now))
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits").finish_non_exhaustive()
    }
}

/// A stream's place in the tree.
#[derive(Debug)]
pub(crate) struct Limited {
    limits: Arc<Limits>,
    member: NodeId,
    /// Bytes of the send in flight that were taken out of the buckets.
    charged: u64,
    /// Which directions wait for their turn.
    waits: [bool; 2],
    leaves: bool,
}

impl Limited {
    /// # Errors
    /// [`LimitError::Full`].
    pub(crate) fn new(limits: &Arc<Limits>, token: Token, now: Tick) -> Result<Self, LimitError> {
        let member = limits
            .with(|tree| tree.add_member(token, None, RateLimits::NONE, Share::default(), now))?;
        Ok(Self {
            limits: Arc::clone(limits),
            member,
            charged: 0,
            waits: [false; 2],
            leaves: false,
        })
    }

    /// The tree and the stream's place in it.
    pub(crate) fn place(&self) -> (&Arc<Limits>, NodeId) {
        (&self.limits, self.member)
    }

    /// As [`place`](Self::place), for one that has limits from now on.
    pub(crate) fn stay(&mut self) -> (&Arc<Limits>, NodeId) {
        self.leaves = false;
        self.place()
    }

    /// Ends its limits at the next chance.
    pub(crate) fn leave(&mut self) {
        self.leaves = true;
    }

    pub(super) fn leaves(&self) -> bool {
        self.leaves
    }

    /// How many bytes may move now; 0 lets it wait for its turn.
    pub(super) fn ask(&mut self, direction: Direction, wants: usize, now: Tick) -> usize {
        if self.leaves {
            self.waits = [false; 2];
            return usize::MAX;
        }
        let wants = u64::try_from(wants).unwrap_or(u64::MAX);
        let granted = self
            .limits
            .with(|tree| tree.ask(self.member, direction, wants, now));
        self.waits[direction as usize] = granted == 0;
        usize::try_from(granted).unwrap_or(usize::MAX)
    }

    pub(super) fn waits(&self, direction: Direction) -> bool {
        self.waits[direction as usize]
    }

    /// Whether it may receive now: the port is capped to what it may.
    pub(super) fn may_receive(&mut self, port: &mut Port, now: Tick) -> bool {
        let most = self.ask(Direction::Read, usize::MAX, now);
        if port.is_capped() {
            let most = u32::try_from(most).unwrap_or(u32::MAX);
            port.cap_receives(NonZeroU32::new(most.max(1)));
        }
        most > 0
    }

    /// Takes the bytes of a completion out of the buckets.
    pub(super) fn complete(&mut self, completion: &Completion, now: Tick) {
        match completion {
            Completion::Received {
                result: Ok(received),
                ..
            } => self.spent(Direction::Read, received.len() as u64, now),
            Completion::Sent(outcome) => self.sent(*outcome.as_ref().unwrap_or(&0), now),
            _ => {}
        }
    }

    /// The kernel has these bytes, all of which it may take.
    pub(super) fn sends(&mut self, bytes: usize, now: Tick) {
        self.charged = bytes as u64;
        self.spent(Direction::Write, self.charged, now);
    }

    /// A send is over, and the kernel took so many bytes of it.
    pub(super) fn sent(&mut self, bytes: usize, now: Tick) {
        let (bytes, charged) = (bytes as u64, std::mem::take(&mut self.charged));
        if bytes >= charged {
            self.spent(Direction::Write, bytes - charged, now);
        } else {
            self.limits.with(|tree| {
                tree.unspent(self.member, Direction::Write, charged - bytes, now);
            });
        }
    }

    fn spent(&self, direction: Direction, bytes: u64, now: Tick) {
        if bytes > 0 {
            self.limits
                .with(|tree| tree.spent(self.member, direction, bytes, now));
        }
    }

    /// Gives back what it may move and does not.
    pub(super) fn settle(&self, now: Tick) {
        self.limits.with(|tree| {
            for direction in Direction::BOTH {
                tree.settle(self.member, direction, now);
            }
        });
    }

    /// Lets the port receive as the limits demand; whether a receive in
    /// flight was begun under other ones.
    pub(super) fn see_to(&self, port: &mut Port) -> bool {
        let limited = !self.leaves
            && self
                .limits
                .with(|tree| tree.is_limited(self.member, Direction::Read));
        if limited == port.is_capped() {
            return false;
        }
        port.cap_receives(limited.then_some(NonZeroU32::MIN));
        true
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        self.limits
            .with_now(|tree, now| tree.release(self.member, now));
    }
}

impl<S> StreamEntry<S> {
    /// Whether there may be more to receive, and it may be received now.
    pub(super) fn may_receive_more(&self) -> bool {
        let waits = |limited: &Limited| limited.waits(Direction::Read);
        self.machine.wants_receive() && !self.limited.as_deref().is_some_and(waits)
    }

    /// Before it is told what happened: takes back the receive and the send
    /// that would go on by themselves, unless they may.
    pub(super) fn make_way(&mut self, backend: &Backend, what: &What, now: Tick) {
        let Self {
            machine,
            port: Some(port),
            limited: Some(limited),
            ..
        } = self
        else {
            return;
        };
        let readable = Readiness::READ
            .with(Readiness::CLOSED)
            .with(Readiness::ERROR);
        let (reads, writes) = match what {
            What::Ready(ready) => (
                ready.any(readable),
                !ready.without(Readiness::READ).is_none(),
            ),
            What::Done(Completion::Received { result, .. }) => (result.is_err(), false),
            _ => (false, false),
        };
        if reads && machine.is_receiving() && port.is_capped() && !limited.may_receive(port, now) {
            self.take_back(backend, OpKind::Receive, now);
        }
        if writes && self.port.as_ref().is_some_and(Port::holds_send) {
            self.take_back(backend, OpKind::Send, now);
        }
    }

    /// Keeps to limits that have changed.
    pub(super) fn see_to_limits(&mut self, backend: &Backend, now: Tick) {
        let (Some(port), Some(limited)) = (&mut self.port, &self.limited) else {
            return;
        };
        if limited.see_to(port) && self.machine.is_receiving() {
            self.take_back(backend, OpKind::Receive, now);
        }
    }

    fn take_back(&mut self, backend: &Backend, kind: OpKind, now: Tick) {
        if let Some(port) = &mut self.port
            && let Some(completion) = backend.cancel(port, kind)
        {
            self.complete(now, completion);
        }
    }
}

impl<S, O> Engine<S, O> {
    /// The tree of its streams' limits.
    pub(crate) fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// Lets those go on whose turn has come, and sees to it that it wakes for
    /// the next.
    pub(crate) fn tend_limits(&mut self) {
        let limits = Arc::clone(&self.limits);
        let wake_at = limits.with(|tree| {
            while let Some(token) = tree.next_granted() {
                self.enqueue(token, Work::Run(token));
            }
            tree.wake_at()
        });
        if self.limits_timer.map(|(_, at)| at) == wake_at {
            return;
        }
        self.limits_timer = match (self.limits_timer, wake_at) {
            (Some((id, _)), Some(at)) if self.timers.rearm(id, at) => Some((id, at)),
            (_, Some(at)) => Some((self.timers.insert(at, LIMITS), at)),
            (timer, None) => {
                if let Some((id, _)) = timer {
                    self.timers.remove(id);
                }
                None
            }
        };
    }

    pub(super) fn limits_due(&mut self) {
        self.limits_timer = None;
        self.limits.with(|tree| tree.pump(self.now));
        self.tend_limits();
    }
}

/// The timer that wakes the engine for the tree, and when.
pub(super) type LimitsTimer = Option<(TimerId, Tick)>;
