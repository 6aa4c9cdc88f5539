//! The calls into user code, and what comes back from them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ferrevent_core::stream::{StreamEvent, panic_message};
use ferrevent_core::timer::Tick;
use ferrevent_os::{Backend, socket};

use super::{Context, Host, Mode, Owned, StreamCore, Task};
use crate::engine::{Over, Parts, Run};
use crate::mailbox::{Command, Message};
use crate::{CloseReason, Handler, Readiness, Stream, WriteError};

/// Runs a stream, and the one it is piped to, until nothing more is to be
/// done in this turn.
#[inline]
pub(crate) fn tell_all<M: Mode>(host: &mut Host<'_>, backend: &Backend, run: &mut Run<Owned<M>>) {
    let now = run.now();
    while let Some(stream) = run.advance(backend) {
        tell(host, now, stream);
    }
    run.each(note);
}

/// Tells a handler everything there is to tell.
#[inline]
fn tell<M: Mode>(host: &mut Host<'_>, now: Tick, core: &mut StreamCore<M>) {
    let Parts {
        machine,
        owner,
        port,
        token,
        limited,
    } = core.all_parts();
    while let Some(event) = machine.next_event() {
        let mut stream = Stream {
            machine: &mut *machine,
            port,
            token,
            limited: &mut *limited,
            shared: &mut owner.shared,
            context: Context::new(host.again(), now),
        };
        let (stream, handler) = (&mut stream, &mut owner.handler);
        let outcome = catch_unwind(AssertUnwindSafe(|| match event {
            StreamEvent::Opened => handler.opened(stream),
            StreamEvent::Readable => handler.readable(stream),
            StreamEvent::Ended => handler.ended(stream),
            StreamEvent::Upgraded => handler.upgraded(stream),
            StreamEvent::Writable => handler.writable(stream),
            StreamEvent::Sent => handler.sent(stream),
            StreamEvent::Nudged => handler.nudged(stream),
            StreamEvent::TimedOut(which) => handler.timed_out(stream, which),
            StreamEvent::Closed(reason) => handler.closed(stream, reason),
            _ => {}
        }));
        if let Err(payload) = outcome {
            let message = panic_message(&*payload);
            machine.close(CloseReason::Panicked(message));
        }
    }
}

/// Calls a timer, a watch, a user event or a signal; `Err` is the message of
/// its panic.
pub(crate) fn call<M: Mode>(
    host: Host<'_>,
    now: Tick,
    task: &mut Task<M>,
    readiness: Readiness,
    times: u32,
) -> Result<(), String> {
    let mut context = Context::new(host, now);
    catch_unwind(AssertUnwindSafe(|| match task {
        Task::Signal(callback) => callback(&mut context, times),
        Task::Timer(callback) => callback(&mut context),
        Task::Watch(callback) => callback(&mut context, readiness),
        Task::Listener(_) => {}
    }))
    .map_err(|payload| panic_message(&*payload))
}

/// Applies to a stream what a handle asked for. Other messages are not a
/// stream's.
pub(crate) fn apply<M: Mode>(stream: &mut StreamCore<M>, now: Tick, message: Message) {
    let machine = &mut stream.machine;
    match message {
        Message::Write(_, mut bytes, shared) => {
            shared.arrived(bytes.len());
            // Refused only when the sending side has ended meanwhile: then its
            // close will tell.
            if machine.check_write() != Err(WriteError::Closed) {
                let _ = machine.output().append_buffer(&mut bytes);
            }
            note(stream);
        }
        Message::Command(_, command) => match command {
            Command::Close(reason) => machine.close(reason),
            Command::Finish => machine.finish(now),
            Command::FinishWrite => machine.finish_write(),
            Command::Pause => machine.pause(),
            Command::Resume => machine.resume(),
            Command::Configure(config) => machine.configure(now, *config),
            Command::Flush => machine.flush(),
            Command::Nudge => machine.nudge(),
            // Refused only by a stream that is over, or whose owner ends it.
            Command::AddFilter(filter) => drop(machine.add_filter(now, filter)),
            Command::NotsentLowat(bytes) => {
                // Where the system refuses it, the kernel holds what it likes.
                let _ = stream
                    .parts()
                    .2
                    .map(|port| socket::set_notsent_lowat(port, bytes));
            }
            // A tree of four billion streams refuses one more.
            Command::Limit(change) => drop(stream.change_limits(&change, now)),
        },
        _ => {}
    }
}

/// Lets the handles of a stream see how much of it waits.
#[inline]
fn note<M: Mode>(stream: &mut StreamCore<M>) {
    if let Some(shared) = &stream.owner.shared {
        let limit = stream.machine.config().write_limit;
        let waiting = stream.machine.output().len() + stream.machine.filtered_bytes();
        shared.note(waiting, limit);
    }
}

/// Lets the handles of streams that are over know, and drops the handlers.
#[inline]
pub(crate) fn finish<M: Mode>([one, other]: Over<Owned<M>>) {
    if let Some(stream) = one {
        let_go(&stream);
    }
    if let Some(stream) = other {
        let_go(&stream);
    }
}

#[cold]
fn let_go<M: Mode>(stream: &StreamCore<M>) {
    if let Some(shared) = &stream.owner.shared {
        shared.close();
    }
}
