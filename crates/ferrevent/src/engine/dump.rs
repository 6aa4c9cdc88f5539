//! What is registered, in words.

use ferrevent_os::sys::fd::{AsFd, AsRawFd};
use std::fmt::Write as _;

use super::Engine;
use super::entry::Entry;

impl<S, O> Engine<S, O> {
    /// One line for everything registered, for a person to read.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let token = engine.add_timer(Priority(0), "mine").unwrap();
    /// assert!(engine.arm_timer(token, engine.now() + Duration::from_millis(1)));
    /// print!("{}", engine.dump());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn dump(&mut self) -> String {
        let mut text = String::new();
        for (token, entry) in self.table.iter_mut() {
            // Writing to a string does not fail.
            let _ = write!(text, "{:#x}: ", token.0);
            let _ = match entry {
                Entry::Stream(stream) => {
                    let fd = stream.port.as_ref().map(|port| port.as_fd().as_raw_fd());
                    let machine = &mut stream.machine;
                    writeln!(
                        text,
                        "stream, descriptor {fd:?}, {} bytes in, {} bytes out, received {}, \
                         sent {}{}{}{}{}",
                        machine.input().len(),
                        machine.output().len(),
                        machine.received_bytes(),
                        machine.sent_bytes(),
                        if machine.is_connecting() {
                            ", connecting"
                        } else {
                            ""
                        },
                        if machine.is_paused() { ", paused" } else { "" },
                        if stream.queued { ", queued" } else { "" },
                        if machine.has_ended() {
                            ", peer ended"
                        } else {
                            ""
                        },
                    )
                }
                Entry::Listener(listener) => writeln!(
                    text,
                    "listener, descriptor {:?}, {:?}",
                    listener.port.as_ref().map(|port| port.as_fd().as_raw_fd()),
                    listener.state
                ),
                Entry::Timer(timer) => match timer.armed.and_then(|id| self.timers.deadline(id)) {
                    Some(at) => writeln!(text, "timer, due at {at:?}, now {:?}", self.now),
                    None => writeln!(text, "timer, not armed"),
                },
                Entry::Watch(watch) => writeln!(text, "watch, {}", watch.describe()),
                Entry::User(user) => writeln!(
                    text,
                    "user event{}",
                    if user.raised { ", raised" } else { "" }
                ),
            };
        }
        text.push_str(&self.watches.describe());
        let waiting: usize = self
            .queues
            .iter()
            .map(std::collections::VecDeque::len)
            .sum();
        let _ = writeln!(
            text,
            "{waiting} pieces of work now, {} later, {} for what is being run; \
             {} operations with the kernel",
            self.later.len(),
            self.blocked.len(),
            self.backend.under_way()
        );
        text
    }
}
