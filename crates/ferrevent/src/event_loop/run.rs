//! One turn of the loop, and the calls into user code.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use ferrevent_core::stream::StreamEvent;
use ferrevent_os::{Accepted, PortKind, Readiness, Token};

use super::{Context, EventLoop, Hook, Inner, ListenerId, Owned, Stop, StreamCore, Task, Trouble};
use crate::engine::Happening;
use crate::handle::Shared;
use crate::mailbox::{Command, Message};
use crate::{CloseReason, Stream};

impl EventLoop {
    /// Waits (no longer than `limit`) and does everything that happened.
    pub(super) fn turn(&mut self, limit: Option<Duration>) -> io::Result<()> {
        self.inner.call_hooks(|inner| &mut inner.before_wait);
        let mut patience = self.inner.engine.patience(limit);
        if patience != Some(Duration::ZERO) && !self.inner.mailbox.fall_asleep() {
            patience = Some(Duration::ZERO);
        }
        let outcome = self.inner.engine.wait(patience);
        self.inner.mailbox.wake_up();
        self.inner.call_hooks(|inner| &mut inner.after_wait);
        self.inner.take_signals();
        for _ in 0..MAIL_ROUNDS {
            let mail = self.read_mail();
            while self.inner.stop != Stop::Now {
                let Some(happening) = self.inner.engine.next() else {
                    break;
                };
                self.inner.handle(happening);
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
            self.inner.deliver(message);
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

impl Inner {
    fn deliver(&mut self, message: Message) {
        match message {
            Message::Write(token, mut bytes, shared) => {
                shared.arrived(bytes.len());
                self.engine.with_stream(token, |stream, _| {
                    // Refused only when the sending side has ended meanwhile:
                    // then its close will tell.
                    if stream.machine.check_write() != Err(crate::WriteError::Closed) {
                        let _ = stream.machine.output().append_buffer(&mut bytes);
                    }
                    note(stream);
                });
            }
            Message::Command(token, command) => {
                self.engine.with_stream(token, |stream, now| match command {
                    Command::Close(reason) => stream.machine.close(reason),
                    Command::Finish => stream.machine.finish(now),
                    Command::FinishWrite => stream.machine.finish_write(),
                    Command::Pause => stream.machine.pause(),
                    Command::Resume => stream.machine.resume(),
                    Command::Configure(config) => stream.machine.configure(now, config),
                });
            }
            Message::Resolved(token, outcome) => self.engine.resolved(token, outcome),
            Message::Raise(token, raised) => {
                raised.store(false, std::sync::atomic::Ordering::Release);
                self.engine.raise(token);
            }
            Message::Pipe(a, b) => {
                self.engine.pipe(a, b);
            }
            Message::Run(work) => {
                let outcome = catch_unwind(AssertUnwindSafe(|| work(&mut self.context())));
                if let Err(payload) = outcome {
                    self.trouble(&Trouble::Panicked(panic_message(&*payload)));
                }
            }
            Message::Stop => self.stop = Stop::Now,
        }
    }

    #[inline]
    fn handle(&mut self, happening: Happening) {
        match happening {
            Happening::Stream(token) => self.run_stream(token),
            Happening::Accepted(token, accepted, kind) => self.accept(token, accepted, kind),
            Happening::AcceptFailed {
                token,
                error,
                resting,
            } => {
                let listener = ListenerId(token);
                self.trouble(&if resting {
                    Trouble::Resting(listener, error)
                } else {
                    Trouble::ListenerFailed(listener, error)
                });
            }
            Happening::Timer(token) => {
                self.run_task(token, Readiness::NONE);
                self.engine.remove_idle_timer(token);
            }
            Happening::User(token) => self.run_task(token, Readiness::NONE),
            Happening::Watch(token, readiness) => self.run_task(token, readiness),
        }
    }

    #[inline]
    fn run_stream(&mut self, token: Token) {
        let Some(mut stream) = self.engine.take(token) else {
            return;
        };
        loop {
            self.tell(&mut stream);
            if !self.engine.pursue(&mut stream) {
                break;
            }
        }
        note(&mut stream);
        if let Some(owned) = self.engine.put_back(stream)
            && let Some(shared) = owned.shared
        {
            shared.close();
        }
    }

    /// Tells a stream's handler everything there is to tell.
    #[inline]
    pub(super) fn tell(&mut self, core: &mut StreamCore) {
        let Some(mut handler) = core.owner.handler.take() else {
            while core.machine.next_event().is_some() {}
            return;
        };
        let mut shared = core.owner.shared.take();
        while let Some(event) = core.machine.next_event() {
            let mut stream = Stream {
                core: &mut *core,
                context: Context::new(self),
                shared: &mut shared,
            };
            let stream = &mut stream;
            let outcome = catch_unwind(AssertUnwindSafe(|| match event {
                StreamEvent::Opened => handler.opened(stream),
                StreamEvent::Readable => handler.readable(stream),
                StreamEvent::Ended => handler.ended(stream),
                StreamEvent::Writable => handler.writable(stream),
                StreamEvent::TimedOut(which) => handler.timed_out(stream, which),
                StreamEvent::Closed(reason) => handler.closed(stream, reason),
                _ => {}
            }));
            if let Err(payload) = outcome {
                let message = panic_message(&*payload);
                core.machine.close(CloseReason::Panicked(message));
            }
        }
        core.owner = Owned {
            handler: Some(handler),
            shared,
        };
    }

    fn accept(&mut self, token: Token, accepted: Accepted, kind: PortKind) {
        let Some(Task::Listener(mut factory)) = self.engine.take_owner(token) else {
            return;
        };
        let handler = catch_unwind(AssertUnwindSafe(&mut factory.make));
        let config = factory.config.as_deref().copied();
        self.engine.put_owner(token, Task::Listener(factory));
        match handler {
            Ok(handler) => {
                let owned = Owned {
                    handler: Some(handler),
                    shared: None,
                };
                if let Some(stream) = self.engine.add_stream(accepted.fd, kind, owned)
                    && let Some(config) = config
                {
                    self.engine.configure(stream, config);
                }
            }
            Err(payload) => self.trouble(&Trouble::Panicked(panic_message(&*payload))),
        }
    }

    fn run_task(&mut self, token: Token, readiness: Readiness) {
        let Some(mut task) = self.engine.take_owner(token) else {
            return;
        };
        let times = match &task {
            Task::Signal(_) => self.signal_times(token),
            _ => 0,
        };
        let mut context = Context::new(self);
        let outcome = catch_unwind(AssertUnwindSafe(|| match &mut task {
            Task::Signal(callback) => callback(&mut context, times),
            Task::Timer(callback) => callback(&mut context),
            Task::Watch(callback) => callback(&mut context, readiness),
            Task::Listener(_) => {}
        }));
        match outcome {
            Ok(()) => self.engine.put_owner(token, task),
            Err(payload) => {
                self.engine.remove(token);
                self.trouble(&Trouble::Panicked(panic_message(&*payload)));
            }
        }
    }

    fn call_hooks(&mut self, which: fn(&mut Inner) -> &mut Vec<Hook>) {
        if which(self).is_empty() {
            return;
        }
        let mut hooks = std::mem::take(which(self));
        for hook in &mut hooks {
            hook(&mut Context::new(self));
        }
        // Those that were added meanwhile come after.
        hooks.append(which(self));
        *which(self) = hooks;
    }
}

/// Lets the handles of a stream know how much waits.
#[inline]
fn note(stream: &mut StreamCore) {
    if let Some(shared) = &stream.owner.shared {
        let shared: &Shared = shared;
        let limit = stream.machine.config().write_limit;
        shared.note(stream.machine.output().len(), limit);
    }
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
