//! The pool's core: an engine at a desk, and what its workers do.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ferrevent_core::timer::Tick;
use ferrevent_os::{Accepted, Backend, PortKind, Readiness, Token};

use super::desk::{Desk, Hands, Source};
use crate::engine::{Happening, Over, Run, Waiting};
use crate::host::{
    AnyThread, Context, Factory, Host, Inner, Made, Owned, Stop, Task, Trouble, apply, call,
    finish, panic_message, tell_all,
};
use crate::mailbox::{Mailbox, Message};

type Inside = Inner<AnyThread>;

/// What the workers of a pool share.
pub(crate) struct Core {
    desk: Desk<Work>,
    backend: Arc<Backend>,
    mailbox: Arc<Mailbox>,
}

/// What is under the desk's lock.
pub(crate) struct Work {
    inner: Inside,
    mail: VecDeque<Message>,
    messages: Vec<Message>,
    /// Mail for streams that are out, by what it waits for.
    postponed: HashMap<Token, VecDeque<Message>>,
    waste: Vec<Message>,
    pace: Pace,
    /// How much mail was read in this turn.
    read: u32,
    /// The deadline up to which the lookout waits; `None` is for ever.
    until: Option<Tick>,
    /// Why waiting failed.
    failure: Option<io::Error>,
}

/// Something to do without the lock.
pub(crate) enum Job {
    Stream(Run<Owned<AnyThread>>, Vec<Message>),
    Accept(Token, Accepted, PortKind, Factory<AnyThread>),
    Task {
        token: Token,
        task: Task<AnyThread>,
        readiness: Readiness,
        times: u32,
        now: Tick,
        once: bool,
    },
    Call(Box<dyn FnOnce(&mut Context<'_>) + Send>, Tick),
    #[cfg(feature = "async")]
    Poll(Arc<dyn crate::asynch::Runnable>, Tick),
    Trouble(Trouble),
}

/// What came of a job.
pub(crate) enum Done {
    Stream(Run<Owned<AnyThread>>),
    Accepted {
        token: Token,
        factory: Factory<AnyThread>,
        made: Option<Made<AnyThread>>,
        accepted: Accepted,
        kind: PortKind,
    },
    Task {
        token: Token,
        task: Task<AnyThread>,
        once: bool,
        panicked: bool,
    },
    Nothing,
}

/// What is dropped without the lock: handlers and the like.
#[derive(Default)]
pub(crate) struct Waste {
    over: Over<Owned<AnyThread>>,
    task: Option<Task<AnyThread>>,
    messages: Vec<Message>,
}

/// A wait, and for how long.
pub(crate) struct Lookout {
    waiting: Waiting,
    patience: Option<Duration>,
    outcome: io::Result<()>,
}

impl Core {
    pub(super) fn new(inner: Inside, backend: Arc<Backend>) -> Self {
        Self {
            mailbox: Arc::clone(&inner.mailbox),
            desk: Desk::new(Work {
                inner,
                mail: VecDeque::new(),
                messages: Vec::new(),
                postponed: HashMap::new(),
                waste: Vec::new(),
                pace: Pace::default(),
                read: 0,
                until: None,
                failure: None,
            }),
            backend,
        }
    }

    pub(crate) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Works on the inside, under the lock: no user code may be called or
    /// dropped there.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut Inside) -> R) -> R {
        self.desk.with(self, |source| work(&mut source.inner))
    }

    pub(super) fn dump(&self) -> String {
        self.desk.with(self, |work| {
            let mut text = work.inner.engine.dump();
            if !work.postponed.is_empty() {
                text.push_str(&format!("mail waits for {:?}\n", work.postponed.keys()));
            }
            text
        })
    }

    /// Whether there is work that waits for nothing, or that is being done.
    #[cfg(feature = "async")]
    pub(super) fn is_working(&self) -> bool {
        self.mailbox.has_mail(0) || self.desk.is_working()
    }

    pub(super) fn open(&self) {
        self.desk.open();
    }

    pub(super) fn work(&self) {
        self.desk.work(self);
    }

    /// How a run went.
    pub(super) fn outcome(&self) -> io::Result<()> {
        let failure = self.desk.with(self, |work| {
            work.inner.stop = Stop::No;
            work.failure.take()
        });
        failure.map_or(Ok(()), Err)
    }

    fn panicked(&self, message: String) {
        self.trouble(&Trouble::Panicked(message));
    }

    fn trouble(&self, trouble: &Trouble) {
        #[cfg(feature = "async")]
        if let Some(hub) = self.with(|inner| inner.hub.clone()) {
            hub.heed(trouble);
        }
        let hook = self.with(|inner| inner.trouble.clone());
        if let Some(hook) = hook {
            hook(trouble);
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        #[cfg(feature = "async")]
        if let Some(hub) = self.desk.source().inner.hub.take() {
            hub.shut_down();
        }
        drop(self.mailbox.close());
        let tokens = self.desk.source().inner.engine.streams();
        for token in tokens {
            let Some(mut run) = self.desk.source().inner.engine.take(token) else {
                continue;
            };
            run.stream().machine.close(crate::CloseReason::Closed);
            tell_all(&mut Host::Pool(self), &self.backend, &mut run);
            finish(self.desk.source().inner.engine.put_back(run));
        }
    }
}

impl Hands<Work> for Core {
    fn work(&self, job: Job) -> Done {
        match job {
            Job::Stream(mut run, messages) => {
                let now = run.now();
                for message in messages {
                    apply(run.stream(), now, message);
                }
                tell_all(&mut Host::Pool(self), &self.backend, &mut run);
                Done::Stream(run)
            }
            Job::Accept(token, accepted, kind, mut factory) => {
                let made = catch_unwind(AssertUnwindSafe(|| factory.make()));
                let made = made
                    .map_err(|payload| self.panicked(panic_message(&*payload)))
                    .ok();
                Done::Accepted {
                    token,
                    factory,
                    made,
                    accepted,
                    kind,
                }
            }
            Job::Task {
                token,
                mut task,
                readiness,
                times,
                now,
                once,
            } => {
                let outcome = call(Host::Pool(self), now, &mut task, readiness, times);
                let panicked = outcome.map_err(|message| self.panicked(message)).is_err();
                Done::Task {
                    token,
                    task,
                    once,
                    panicked,
                }
            }
            Job::Call(work, now) => {
                let mut context = Context::new(Host::Pool(self), now);
                let outcome = catch_unwind(AssertUnwindSafe(|| work(&mut context)));
                if let Err(payload) = outcome {
                    self.panicked(panic_message(&*payload));
                }
                Done::Nothing
            }
            #[cfg(feature = "async")]
            Job::Poll(task, now) => {
                crate::asynch::run(&mut Context::new(Host::Pool(self), now), task);
                Done::Nothing
            }
            Job::Trouble(trouble) => {
                self.trouble(&trouble);
                Done::Nothing
            }
        }
    }

    fn look_out(&self, lookout: &mut Lookout) {
        if lookout.patience != Some(Duration::ZERO) && !self.mailbox.fall_asleep() {
            lookout.patience = Some(Duration::ZERO);
        }
        lookout.outcome = lookout.waiting.wait(&self.backend, lookout.patience);
        self.mailbox.wake_up();
    }

    fn call_lookout(&self) {
        // Only a broken descriptor refuses, and then the wait has failed too.
        let _ = self.backend.wake();
    }

    fn throw_away(&self, waste: Waste) {
        finish(waste.over);
        drop(waste.task);
        for message in waste.messages {
            if let Message::Write(_, bytes, shared) = message {
                shared.arrived(bytes.len());
            }
        }
    }
}

impl Source for Work {
    type Job = Job;
    type Done = Done;
    type Lookout = Lookout;
    type Waste = Waste;

    fn next(&mut self) -> Option<Job> {
        let job = self.fetch()?;
        self.pace.jobs += 1;
        Some(job)
    }

    fn has_more(&self) -> bool {
        !self.mail.is_empty() || self.inner.engine.has_work()
    }

    fn wants_help(&self) -> bool {
        self.pace
            .is_long(self.mail.len() + self.inner.engine.work_len())
    }

    fn lend(&mut self) -> Option<Lookout> {
        let waiting = self.inner.engine.lend_waiting()?;
        if self.pace.jobs > 0 {
            let now = self.inner.engine.backend().sys().now();
            self.pace.turn_ended(now);
        }
        self.until = self.inner.engine.next_deadline();
        let limit = (!self.mail.is_empty()).then_some(Duration::ZERO);
        Some(Lookout {
            waiting,
            patience: self.inner.engine.patience(limit),
            outcome: Ok(()),
        })
    }

    fn give_back(&mut self, lookout: Lookout) {
        self.inner.engine.gather(lookout.waiting);
        self.pace.turn_begins(self.inner.engine.now());
        self.read = 0;
        self.inner.take_signals();
        if let Err(error) = lookout.outcome {
            self.failure = Some(error);
            self.inner.stop = Stop::Now;
        }
    }

    fn hand_in(&mut self, done: Done) -> Option<Waste> {
        let mut waste = Waste::default();
        match done {
            Done::Stream(run) => {
                let tokens = run.tokens();
                waste.over = self.inner.engine.put_back(run);
                for token in tokens.into_iter().flatten() {
                    self.bring_back(token);
                }
            }
            Done::Accepted {
                token,
                factory,
                made,
                accepted,
                kind,
            } => {
                if let Some(made) = made {
                    let config = factory.config.as_deref();
                    self.inner.add_accepted(accepted, kind, made, config);
                }
                waste.task = self.put_owner(token, Task::Listener(factory));
            }
            Done::Task {
                token,
                task,
                once,
                panicked,
            } => {
                waste.task = self.put_owner(token, task);
                if panicked && waste.task.is_none() {
                    waste.task = self.inner.engine.remove(token).and_then(|gone| gone.0);
                } else if once {
                    // A timer that its callback did not arm anew is over.
                    let over = self.inner.engine.remove_idle_timer(token);
                    waste.task = waste.task.or(over);
                }
            }
            Done::Nothing => {}
        }
        waste.messages = std::mem::take(&mut self.waste);
        let [one, other] = &waste.over;
        let nothing = one.is_none() && other.is_none();
        (!nothing || waste.task.is_some() || !waste.messages.is_empty()).then_some(waste)
    }

    fn is_unwatched(&self) -> bool {
        self.inner.engine.is_unwatched()
    }

    fn is_due_sooner(&mut self) -> bool {
        let next = self.inner.engine.next_deadline();
        let sooner = match (next, self.until) {
            (Some(next), Some(until)) => next < until,
            (next, _) => next.is_some(),
        };
        if sooner {
            self.until = next;
        }
        sooner
    }

    fn is_over(&self, running: usize) -> bool {
        self.inner.stop != Stop::No
            || (running == 0
                && self.inner.is_idle()
                && self.mail.is_empty()
                && !self.inner.mailbox.has_mail(0))
    }
}

impl Work {
    fn fetch(&mut self) -> Option<Job> {
        if self.inner.stop != Stop::No {
            return None;
        }
        if self.inner.mailbox.has_mail(0) {
            self.inner.mailbox.collect(&mut self.messages);
            self.mail.extend(self.messages.drain(..));
        }
        // Whoever writes letter upon letter does not keep all from the kernel.
        while self.read < MOST_MAIL || !self.inner.engine.is_unwatched() {
            let Some(message) = self.mail.pop_front() else {
                break;
            };
            self.read += 1;
            if let Some(job) = self.deliver(message) {
                return Some(job);
            }
        }
        loop {
            if let Some(job) = self.happening() {
                return Some(job);
            }
            // While another worker looks out, those that had their share go
            // on without a wait.
            let engine = &mut self.inner.engine;
            if !engine.is_unwatched() && engine.patience(None) == Some(Duration::ZERO) {
                engine.begin_turn();
                if !engine.has_work() {
                    return None;
                }
            } else {
                return None;
            }
        }
    }

    fn happening(&mut self) -> Option<Job> {
        while let Some(happening) = self.inner.engine.next() {
            let job = match happening {
                Happening::Stream(run) => Some(Job::Stream(run, Vec::new())),
                Happening::Accepted(token, accepted, kind) => {
                    match self.inner.engine.take_owner(token) {
                        Some(Task::Listener(factory)) => {
                            Some(Job::Accept(token, accepted, kind, factory))
                        }
                        _ => None,
                    }
                }
                Happening::AcceptFailed {
                    token,
                    error,
                    resting,
                } => Some(Job::Trouble(Trouble::of_listener(token, error, resting))),
                Happening::Timer(token) => self.task(token, Readiness::NONE, true),
                Happening::User(token) => self.task(token, Readiness::NONE, false),
                Happening::Watch(token, readiness) => self.task(token, readiness, false),
            };
            if job.is_some() {
                return job;
            }
        }
        None
    }

    fn task(&mut self, token: Token, readiness: Readiness, once: bool) -> Option<Job> {
        let task = self.inner.engine.take_owner(token)?;
        Some(Job::Task {
            token,
            times: self.inner.times_of(token, &task),
            task,
            readiness,
            now: self.inner.engine.now(),
            once,
        })
    }

    /// Gives a task back; it comes back itself if it was removed meanwhile.
    fn put_owner(&mut self, token: Token, task: Task<AnyThread>) -> Option<Task<AnyThread>> {
        if self.inner.engine.contains(token) {
            self.inner.engine.put_owner(token, task);
            return None;
        }
        Some(task)
    }

    /// Mail that waited for this stream is next.
    fn bring_back(&mut self, token: Token) {
        if self.postponed.is_empty() {
            return;
        }
        if let Some(waited) = self.postponed.remove(&token) {
            for message in waited.into_iter().rev() {
                self.mail.push_front(message);
            }
        }
    }

    fn deliver(&mut self, message: Message) -> Option<Job> {
        match message {
            Message::Write(token, ..) | Message::Command(token, _) => {
                self.deliver_to_stream(token, message)
            }
            Message::Resolved(token, outcome) => {
                if let Some(out) = self.inner.engine.missing(token) {
                    self.postpone(out, Message::Resolved(token, outcome));
                } else {
                    self.inner.engine.resolved(token, outcome);
                }
                None
            }
            Message::Raise(token, raised) => {
                raised.store(false, Ordering::Release);
                self.inner.engine.raise(token);
                None
            }
            Message::Pipe(a, b) => {
                let engine = &mut self.inner.engine;
                if let Some(out) = engine.missing(a).or_else(|| engine.missing(b)) {
                    self.postpone(out, Message::Pipe(a, b));
                } else {
                    engine.pipe(a, b);
                }
                None
            }
            Message::Run(work) => Some(Job::Call(work, self.inner.engine.now())),
            #[cfg(feature = "async")]
            Message::Poll(task) => Some(Job::Poll(task, self.inner.engine.now())),
            Message::Limits => {
                self.inner.engine.tend_limits();
                None
            }
            Message::Stop => {
                self.inner.stop = Stop::Now;
                None
            }
        }
    }

    fn deliver_to_stream(&mut self, token: Token, message: Message) -> Option<Job> {
        if let Some(out) = self.inner.engine.missing(token) {
            self.postpone(out, message);
            return None;
        }
        let Some(run) = self.inner.engine.take(token) else {
            // It is over: the handle will hear of it.
            self.waste.push(message);
            return None;
        };
        let mut messages = vec![message];
        while self
            .mail
            .front()
            .is_some_and(|next| next.stream() == Some(token))
        {
            messages.extend(self.mail.pop_front());
        }
        Some(Job::Stream(run, messages))
    }

    fn postpone(&mut self, out: Token, message: Message) {
        self.postponed.entry(out).or_default().push_back(message);
    }
}

/// So much mail is read before the kernel is asked again.
const MOST_MAIL: u32 = 64;

/// How fast jobs are done: what is woken for is to be worth the waking.
#[derive(Default)]
struct Pace {
    /// Of this turn.
    began: Tick,
    jobs: u32,
    /// What a job took lately, in nanoseconds.
    each: f32,
}

/// A sleeper is woken for so many nanoseconds of work. Two workers who share
/// short jobs pay for it by the wake-up, and by what each has to fetch from the
/// other's cache.
const WORTH_WAKING: f32 = 200_000.0;
/// Of so many jobs nobody asks how long they take.
const MANY: usize = 256;

impl Pace {
    fn turn_begins(&mut self, now: Tick) {
        self.began = now;
        self.jobs = 0;
    }

    fn turn_ended(&mut self, now: Tick) {
        let took = now.since(self.began).as_nanos() as f32;
        let each = took / self.jobs.max(1) as f32;
        self.each += (each - self.each) / 8.0;
        self.jobs = 0;
    }

    /// Whether so many jobs are worth help.
    fn is_long(&self, jobs: usize) -> bool {
        jobs >= MANY || jobs as f32 * self.each >= WORTH_WAKING
    }
}
