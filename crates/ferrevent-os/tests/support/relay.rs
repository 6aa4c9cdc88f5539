//! A relay in which one of a hundred system calls fails or is short.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ferrevent::sys::{Call, Fault, FaultPlan, Rule, errno, raise_descriptor_limit};
use ferrevent::{Address, CloseReason, Handle, Handler, Stream};

use crate::child;
use crate::common::Works;
use crate::common::matrix::Column;
use crate::common::rig::Rig;
use crate::heap;

/// Everything is over within this long once the clients are gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// What its connections came to.
#[derive(Default)]
struct State {
    live: usize,
    failures: u64,
    /// The client's port of each connection of which a stream failed.
    failed: BTreeSet<u16>,
    told: Vec<String>,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<State>>);

impl Shared {
    fn see(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Listens and answers questions; the part is backend, workers, seed, upstream.
pub(crate) fn play(part: &[String]) {
    raise_descriptor_limit().unwrap();
    let column = Column {
        kind: part[0].parse().unwrap(),
        workers: part[1].parse().ok(),
        storm: None,
    };
    let seed = part[2].parse().unwrap();
    let plan = Arc::new(FaultPlan::new(seed, rules()));
    let mut rig = column.rig(Some(Arc::clone(&plan))).unwrap().tortured();
    let state = Shared::default();
    let any = Address::Socket(([127, 0, 0, 1], 0).into());
    let upstream: Address = part[3].parse().unwrap();
    let (own, to) = (state.clone(), upstream);
    let listener = loop {
        let (own, to) = (own.clone(), to.clone());
        let made = rig.context().listen(&any, move || Front::new(&own, &to));
        // It may be struck as well.
        if let Ok(listener) = made {
            break listener;
        }
    };
    let address = rig.context().listener_addr(listener).unwrap();
    let questions = child::questions();
    rig.run_for(Duration::from_millis(20)).unwrap();
    let baseline = descriptors();
    child::say(&address.to_string());
    loop {
        rig.run_for(Duration::from_millis(2)).unwrap();
        let question = match questions.try_recv() {
            Ok(question) => question,
            Err(std::sync::mpsc::TryRecvError::Empty) => continue,
            Err(_) => return,
        };
        match question.as_str() {
            "told" => {
                let told = state.see().told.join("; ");
                child::say(&format!("struck {}; told {told}", struck(&plan)));
                continue;
            }
            "dump" => {
                let told = state.see().told.join("; ");
                child::say(&format!("{}\n{told}", rig.dump()));
                continue;
            }
            "settle" => settle(&mut rig, &state, baseline),
            "forget" => forget(&mut rig, &state),
            _ => {}
        }
        let heap = heap::in_use();
        let state = state.see();
        let failed: Vec<String> = state.failed.iter().map(u16::to_string).collect();
        child::say(&format!(
            "descriptors={} baseline={baseline} heap={} calls={} struck={} ending={} \
             failures={} failed={}",
            descriptors(),
            heap,
            plan.calls(),
            plan.struck(),
            ending(&plan),
            state.failures,
            failed.join(",")
        ));
    }
}

/// Waits for the last connections to go.
fn settle(rig: &mut Rig, state: &Shared, baseline: usize) {
    let end = Instant::now() + PATIENCE;
    while state.see().live > 0 || descriptors() > baseline {
        assert!(
            Instant::now() < end,
            "{} streams are left, {} descriptors\n{}",
            state.see().live,
            descriptors(),
            rig.dump()
        );
        rig.run_for(Duration::from_millis(2)).unwrap();
    }
}

/// Forgets what was told, and has every thread give its pooled blocks back.
fn forget(rig: &mut Rig, state: &Shared) {
    let mut state = state.see();
    state.failed = BTreeSet::new();
    state.told = Vec::new();
    drop(state);
    rig.forget();
    ferrevent::buffer::trim_pool();
    // A thread gives back what is its own a moment after it was joined.
    let (mut least, mut since) = (heap::in_use(), Instant::now());
    while since.elapsed() < Duration::from_millis(100) {
        rig.run_for(Duration::from_millis(1)).unwrap();
        if heap::in_use() < least {
            (least, since) = (heap::in_use(), Instant::now());
        }
    }
}

/// One of a hundred calls in all: more of those that move bytes, fewer of
/// those that a connection makes once.
fn rules() -> Vec<Rule> {
    let mut rules = Vec::new();
    for (call, per_mille, fault) in HARMLESS {
        rules.push(Rule::often(*call, *per_mille, *fault));
    }
    for (call, errno) in ENDING {
        rules.push(Rule::often(*call, 1, Fault::Errno(*errno)));
    }
    rules
}

const AGAIN: Fault = Fault::Errno(errno::EINTR);
const NOT_NOW: Fault = Fault::Errno(errno::EAGAIN);

const HARMLESS: &[(Call, u16, Fault)] = &[
    (Call::Receive, 5, AGAIN),
    (Call::Receive, 5, NOT_NOW),
    (Call::Receive, 5, Fault::Short(5)),
    (Call::Send, 5, AGAIN),
    (Call::Send, 5, NOT_NOW),
    (Call::Send, 5, Fault::Short(11)),
    (Call::Accept, 3, AGAIN),
    (Call::Accept, 3, NOT_NOW),
    (Call::Accept, 2, Fault::Errno(errno::ECONNABORTED)),
    (Call::Accept, 1, Fault::Errno(errno::EMFILE)),
    (Call::Accept, 1, Fault::Errno(errno::ENOBUFS)),
    (Call::Connect, 9, AGAIN),
    (Call::Wait, 9, AGAIN),
    (Call::Wait, 1, Fault::Errno(errno::ENOMEM)),
    (Call::Wake, 10, AGAIN),
];

const ENDING: &[(Call, i32)] = &[
    (Call::Receive, errno::ECONNRESET),
    (Call::Send, errno::EPIPE),
    (Call::Connect, errno::ECONNREFUSED),
    (Call::Socket, errno::ENOBUFS),
    (Call::SocketOption, errno::ENOBUFS),
    (Call::Shutdown, errno::ENOTCONN),
    (Call::WaiterControl, errno::ENOMEM),
    (Call::Duplicate, errno::EMFILE),
];

/// How many faults were there to end a connection.
fn ending(plan: &FaultPlan) -> u64 {
    plan.struck_by_rule()[HARMLESS.len()..].iter().sum()
}

/// How often each of those was struck.
fn struck(plan: &FaultPlan) -> String {
    let counts = &plan.struck_by_rule()[HARMLESS.len()..];
    let each = ENDING.iter().zip(counts);
    let each: Vec<String> = each
        .map(|((call, errno), times)| format!("{call:?} {errno}: {times}"))
        .collect();
    each.join(", ")
}

fn descriptors() -> usize {
    // One of them is the directory itself.
    std::fs::read_dir("/proc/self/fd").unwrap().count() - 1
}

/// The side of a connection that was accepted.
struct Front {
    state: Shared,
    upstream: Address,
    port: u16,
    back: Option<Handle>,
}

/// The side towards the upstream.
struct Back {
    state: Shared,
    port: u16,
    front: Handle,
}

impl Front {
    fn new(state: &Shared, upstream: &Address) -> Self {
        state.see().live += 1;
        Self {
            state: state.clone(),
            upstream: upstream.clone(),
            port: 0,
            back: None,
        }
    }
}

impl Handler for Front {
    fn opened(&mut self, stream: &mut Stream<'_>) {
        self.port = stream.peer_addr().map_or(0, |peer| peer.port());
        let back = Back {
            state: self.state.clone(),
            port: self.port,
            front: stream.handle(),
        };
        self.state.see().live += 1;
        let back = stream.context().connect(&self.upstream, back).unwrap();
        assert!(stream.pipe(&back));
        self.back = Some(back);
    }

    fn readable(&mut self, _: &mut Stream<'_>) {}

    fn ended(&mut self, _: &mut Stream<'_>) {}

    fn closed(&mut self, _: &mut Stream<'_>, reason: CloseReason) {
        if let Some(back) = &self.back
            && !reason.is_clean()
        {
            back.close();
        }
        over(&self.state, self.port, "front", &reason);
    }
}

impl Handler for Back {
    fn readable(&mut self, _: &mut Stream<'_>) {}

    fn ended(&mut self, _: &mut Stream<'_>) {}

    fn closed(&mut self, _: &mut Stream<'_>, reason: CloseReason) {
        if !reason.is_clean() {
            self.front.close();
        }
        over(&self.state, self.port, "back", &reason);
    }
}

fn over(state: &Shared, port: u16, side: &str, reason: &CloseReason) {
    let mut state = state.see();
    state.live -= 1;
    if !reason.is_clean() {
        state.failures += 1;
        state.failed.insert(port);
        state.told.push(format!("{port} {side}: {reason}"));
    }
}
