//! What a resolver's clones, its sockets and its timer share: the state machine,
//! and how its wishes are done.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferrevent_core::timer::Tick;
use ferrevent_dns::{
    Action, Answer, Client, Config, ExchangeId, Hosts, LaneId, LookupId, Question, ResolveError,
};
use ferrevent_os::sys::Sys;

use super::lanes::Lane;
use crate::handle::Handle;
use crate::host::{Context, TimerId};
use crate::mailbox::{Mailbox, Message};

pub(super) type Callback = Box<dyn FnOnce(&mut Context<'_>, Result<Answer, ResolveError>) + Send>;

/// A question's name before it has come to the loop.
pub(super) type Ticket = u64;

pub(super) struct Shared {
    mailbox: Arc<Mailbox>,
    pub(super) sys: Sys,
    tickets: AtomicU64,
    /// What was asked for and not taken up yet, in order: a pool's workers do
    /// not take mail in order.
    inbox: Mutex<Vec<Work>>,
    /// Held while things are added to the loop, never while user code runs.
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) client: Client,
    pub(super) lanes: BTreeMap<LaneId, Lane>,
    pub(super) exchanges: BTreeMap<ExchangeId, Handle>,
    /// What came by a socket.
    pub(super) datagram: Vec<u8>,
    askers: BTreeMap<LookupId, (Ticket, Callback)>,
    lookups: BTreeMap<Ticket, LookupId>,
    alarm: Option<Alarm>,
    alarms: u64,
}

impl State {
    /// For the longest datagram that is offered to be taken.
    pub(super) fn make_room(&mut self, config: &Config) {
        self.datagram = vec![0; usize::from(config.edns_size).max(512)];
    }
}

/// The timer, and which of all that there were it is.
struct Alarm {
    timer: TimerId,
    at: Tick,
    number: u64,
}

/// Held by what the loop has of a resolver that is at work, and dropped with the
/// loop.
struct Leash(Arc<Shared>);

impl Drop for Leash {
    fn drop(&mut self) {
        self.0.let_go();
    }
}

type Work = Box<dyn FnOnce(&mut State, Tick) + Send>;

/// Callbacks to call when the state is let go of.
type Told = Vec<(Callback, Result<Answer, ResolveError>)>;

impl Shared {
    pub(super) fn new(mailbox: Arc<Mailbox>, sys: Sys, config: Config, hosts: Hosts) -> Self {
        let mut state = State {
            client: Client::new(config.clone(), hosts, random),
            lanes: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            datagram: Vec::new(),
            askers: BTreeMap::new(),
            lookups: BTreeMap::new(),
            alarm: None,
            alarms: 0,
        };
        state.make_room(&config);
        Self {
            mailbox,
            sys,
            tickets: AtomicU64::new(0),
            inbox: Mutex::default(),
            state: Mutex::new(state),
        }
    }

    pub(super) fn ask(self: &Arc<Self>, question: Question, callback: Callback) -> Ticket {
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        self.post(move |state, now| {
            let lookup = state.client.resolve(now, &question);
            state.askers.insert(lookup, (ticket, callback));
            state.lookups.insert(ticket, lookup);
        });
        ticket
    }

    pub(super) fn cancel(self: &Arc<Self>, ticket: Ticket) {
        self.post(move |state, now| {
            if let Some(lookup) = state.lookups.get(&ticket).copied() {
                state.client.cancel(now, lookup);
            }
        });
    }

    /// Works on the state, on the loop or pool, after what was posted before.
    pub(super) fn post(self: &Arc<Self>, work: impl FnOnce(&mut State, Tick) + Send + 'static) {
        let is_first = {
            let mut inbox = lock(&self.inbox);
            inbox.push(Box::new(work));
            inbox.len() == 1
        };
        if !is_first {
            return; // Somebody is on the way already, and takes it along.
        }
        let leash = Leash(Arc::clone(self));
        let drive = Box::new(move |context: &mut Context<'_>| leash.0.drive(context, |_, _| ()));
        // What a loop that is gone gives back is dropped, and its leash sees to the rest.
        let _ = self.mailbox.send(Message::Run(drive));
    }

    /// Works on the state, and does what it wants then.
    pub(super) fn drive(
        self: &Arc<Self>,
        context: &mut Context<'_>,
        work: impl FnOnce(&mut State, Tick),
    ) {
        let mut told = Told::new();
        {
            let (mut state, now) = (lock(&self.state), context.now_tick());
            for posted in self.take_inbox() {
                posted(&mut state, now);
            }
            work(&mut state, now);
            while let Some(action) = state.client.next_action() {
                self.act(&mut state, context, action, &mut told);
            }
            self.set_alarm(&mut state, context);
        }
        for (callback, mut outcome) in told {
            if let Ok(answer) = &mut outcome {
                self.sort(&mut answer.addresses);
            }
            let called = catch_unwind(AssertUnwindSafe(|| callback(context, outcome)));
            if let Err(payload) = called {
                // It is told by the loop, as every panic is, and harms no other.
                context.remote().run(move |_| resume_unwind(payload));
            }
        }
        self.let_go();
    }

    /// When the loop is gone, nobody is asked and nobody is told any more:
    /// callbacks are dropped.
    fn let_go(&self) {
        if self.mailbox.is_open() {
            return;
        }
        let inbox = self.take_inbox();
        // Whoever holds the state comes here when done with it.
        let state = self.state.try_lock();
        let askers = state.map(|mut state| std::mem::take(&mut state.askers));
        drop((inbox, askers));
    }

    fn take_inbox(&self) -> Vec<Work> {
        std::mem::take(&mut *lock(&self.inbox))
    }

    fn act(
        self: &Arc<Self>,
        state: &mut State,
        context: &mut Context<'_>,
        action: Action,
        told: &mut Told,
    ) {
        match action {
            Action::Send {
                lane,
                server,
                datagram,
            } => self.send(state, context, lane, server, &datagram),
            Action::CloseLane(lane) => {
                if let Some(lane) = state.lanes.remove(&lane) {
                    context.remove_watch(lane.watch);
                }
            }
            Action::Exchange {
                exchange,
                server,
                message,
            } => self.exchange(state, context, exchange, server, message),
            Action::CloseExchange(exchange) => {
                if let Some(stream) = state.exchanges.remove(&exchange) {
                    stream.close();
                }
            }
            Action::Done(lookup, outcome) => {
                if let Some((ticket, callback)) = state.askers.remove(&lookup) {
                    state.lookups.remove(&ticket);
                    told.push((callback, outcome));
                }
            }
            _ => {}
        }
    }

    /// Sees to it that the loop calls in time, and that it does not wait for
    /// nothing.
    fn set_alarm(self: &Arc<Self>, state: &mut State, context: &mut Context<'_>) {
        let wanted = state.client.deadline();
        match (&mut state.alarm, wanted) {
            (None, None) => return,
            (Some(alarm), None) => {
                context.remove_timer(alarm.timer);
                state.alarm = None;
                return;
            }
            // What comes too early sets the next one.
            (Some(alarm), Some(at)) if alarm.at <= at => return,
            (Some(alarm), Some(at)) => {
                if context.arm_timer(alarm.timer, at.since(context.now_tick())) {
                    alarm.at = at;
                    return;
                }
            }
            (None, Some(_)) => {}
        }
        let Some(at) = wanted else { return };
        state.alarms += 1;
        let (leash, number) = (Leash(Arc::clone(self)), state.alarms);
        let added = context.timer(at.since(context.now_tick()), move |context| {
            leash.0.drive(context, |state, now| {
                if state
                    .alarm
                    .as_ref()
                    .is_some_and(|alarm| alarm.number == number)
                {
                    state.alarm = None;
                }
                state.client.timed_out(now);
            });
        });
        // A loop with four billion timers has no room for another; then only
        // what comes is heard.
        state.alarm = added.ok().map(|timer| Alarm { timer, at, number });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Fills this with what nobody can foretell.
pub(super) fn random(bytes: &mut [u8]) {
    if getrandom::fill(bytes).is_ok() {
        return;
    }
    // The keys of hash maps are random too, and always there.
    for piece in bytes.chunks_mut(8) {
        let word = RandomState::new().build_hasher().finish().to_ne_bytes();
        piece.copy_from_slice(&word[..piece.len()]);
    }
}
