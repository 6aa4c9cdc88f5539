//! One turn of the loop, and the calls into user code.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::Duration;

use ferrevent_os::{Accepted, Backend, PortKind, Readiness, Token};

use super::{EventLoop, Hook};
use crate::engine::{Happening, Run};
use crate::host::{
    Context, Host, Inner, OneThread, Owned, Stop, Task, Trouble, apply, call, finish,
    panic_message, tell_all,
};
use crate::mailbox::Message;

impl EventLoop {
    pub(super) fn turn(&mut self, limit: Option<Duration>) -> io::Result<()> {
        call_hooks(&mut self.before_wait, &mut self.inner);
        let mut patience = self.inner.engine.patience(limit);
        if patience != Some(Duration::ZERO) && !self.inner.mailbox.fall_asleep() {
            patience = Some(Duration::ZERO);
        }
        let outcome = self.inner.engine.wait(patience);
        self.inner.mailbox.wake_up();
        call_hooks(&mut self.after_wait, &mut self.inner);
        self.inner.take_signals();
        for _ in 0..MAIL_ROUNDS {
            let mail = self.read_mail();
            while self.inner.stop != Stop::Now {
                let Some(happening) = self.inner.engine.next() else {
                    break;
                };
                handle(&mut self.inner, &self.backend, happening);
            }
            if !mail || self.inner.stop != Stop::No || !self.more_mail() {
                break;
            }
        }
        outcome
    }

    /// Whether to read mail once more in this turn: falling asleep and being
    /// woken costs both threads more than a look at a flag for as long as
    /// mail usually takes to come.
    fn more_mail(&mut self) -> bool {
        let came = self.inner.mailbox.has_mail(self.look_out);
        self.look_out = if came {
            LONG_LOOK
        } else {
            (self.look_out / 2).max(SHORT_LOOK)
        };
        came
    }

    /// Delivers what came from other threads; returns whether something did.
    fn read_mail(&mut self) -> bool {
        let mut messages = std::mem::take(&mut self.messages);
        self.inner.mailbox.collect(&mut messages);
        let came = !messages.is_empty();
        for message in messages.drain(..) {
            deliver(&mut self.inner, message);
        }
        self.messages = messages;
        came
    }
}

/// How often mail is read in a turn before the kernel is asked again.
const MAIL_ROUNDS: u32 = 32;
/// How often a loop looks for more mail after it had some: while more came
/// the last time, and when it did not.
pub(super) const LONG_LOOK: u32 = 64;
pub(super) const SHORT_LOOK: u32 = 2;

impl EventLoop {
    /// Ends a stream, and tells it so.
    pub(super) fn end_stream(&mut self, token: Token) {
        if let Some(mut run) = self.inner.engine.take(token) {
            run.stream().machine.close(crate::CloseReason::Closed);
            run_stream(&mut self.inner, &self.backend, run);
        }
    }
}

/// Does what another thread asked for.
fn deliver(inner: &mut Inner<OneThread>, message: Message) {
    match message {
        Message::Write(token, ..) | Message::Command(token, _) => {
            inner
                .engine
                .with_stream(token, |stream, now| apply(stream, now, message));
        }
        Message::Resolved(token, outcome) => inner.engine.resolved(token, outcome),
        Message::Raise(token, raised) => {
            raised.store(false, Ordering::Release);
            inner.engine.raise(token);
        }
        Message::Pipe(a, b) => {
            inner.engine.pipe(a, b);
        }
        Message::Run(work) => {
            let now = inner.engine.now();
            let mut context = Context::new(Host::Loop(inner), now);
            let outcome = catch_unwind(AssertUnwindSafe(|| work(&mut context)));
            if let Err(payload) = outcome {
                inner.trouble(&Trouble::Panicked(panic_message(&*payload)));
            }
        }
        Message::Limits => inner.engine.tend_limits(),
        #[cfg(feature = "async")]
        Message::Poll(task) => {
            let now = inner.engine.now();
            crate::asynch::run(&mut Context::new(Host::Loop(inner), now), task);
        }
        Message::Stop => inner.stop = Stop::Now,
    }
}

#[inline]
fn handle(inner: &mut Inner<OneThread>, backend: &Backend, happening: Happening<Owned<OneThread>>) {
    match happening {
        Happening::Stream(run) => run_stream(inner, backend, run),
        Happening::Accepted(token, accepted, kind) => accept(inner, token, accepted, kind),
        Happening::AcceptFailed {
            token,
            error,
            resting,
        } => inner.trouble(&Trouble::of_listener(token, error, resting)),
        Happening::Timer(token) => {
            run_task(inner, token, Readiness::NONE);
            // A timer that was not armed anew by its callback is over.
            inner.engine.remove_idle_timer(token);
        }
        Happening::User(token) => run_task(inner, token, Readiness::NONE),
        Happening::Watch(token, readiness) => run_task(inner, token, readiness),
    }
}

#[inline]
fn run_stream(inner: &mut Inner<OneThread>, backend: &Backend, mut run: Run<Owned<OneThread>>) {
    tell_all(&mut Host::Loop(inner), backend, &mut run);
    finish(inner.engine.put_back(run));
}

fn accept(inner: &mut Inner<OneThread>, token: Token, accepted: Accepted, kind: PortKind) {
    let Some(Task::Listener(mut factory)) = inner.engine.take_owner(token) else {
        return;
    };
    let made = catch_unwind(AssertUnwindSafe(|| factory.make()));
    match made {
        Ok(made) => inner.add_accepted(accepted, kind, made, factory.config.as_deref()),
        Err(payload) => inner.trouble(&Trouble::Panicked(panic_message(&*payload))),
    }
    inner.engine.put_owner(token, Task::Listener(factory));
}

fn run_task(inner: &mut Inner<OneThread>, token: Token, readiness: Readiness) {
    let Some(mut task) = inner.engine.take_owner(token) else {
        return;
    };
    let times = inner.times_of(token, &task);
    let now = inner.engine.now();
    match call(Host::Loop(inner), now, &mut task, readiness, times) {
        Ok(()) => inner.engine.put_owner(token, task),
        Err(message) => {
            drop(inner.engine.remove(token));
            inner.trouble(&Trouble::Panicked(message));
        }
    }
}

fn call_hooks(hooks: &mut [Hook], inner: &mut Inner<OneThread>) {
    let now = inner.engine.now();
    for hook in hooks {
        hook(&mut Context::new(Host::Loop(inner), now));
    }
}
