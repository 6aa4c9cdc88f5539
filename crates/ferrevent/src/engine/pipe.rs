//! Two streams joined: what one receives the other sends, under the
//! watermarks of both, and an end is passed on once everything before it is.

use ferrevent_os::Token;

use super::entry::{Entry, StreamEntry};
use super::{Engine, Happening};

impl<S, O> Engine<S, O> {
    /// Joins two streams both ways. From now on their bytes go to each other,
    /// and they tell only of being opened and closed. Returns false when one
    /// of them does not exist or is running, or both are the same.
    ///
    /// ```
    /// # use ferrevent::engine::{Engine, Happening, Listening, Priority, Registration, Target};
    /// # use ferrevent::{Readiness, StreamConfig};
    /// # use ferrevent_os::{Backend, BackendKind, PortKind, SockAddr, Token, socket, sys::{Clock, Sys}};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// # let mut engine: Engine<&str, &str> = Engine::new(backend.into(), 1);
    /// let (near, far) = socket::pair()?;
    /// let token = engine.add_stream(near, PortKind::Socket, "mine").unwrap();
    /// let (other, beyond) = socket::pair()?;
    /// let other = engine.add_stream(other, PortKind::Socket, "other").unwrap();
    /// assert!(engine.pipe(token, other));
    /// # drop(beyond);
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn pipe(&mut self, a: Token, b: Token) -> bool {
        if a == b || !self.is_stream(a) || !self.is_stream(b) {
            return false;
        }
        for (one, other) in [(a, b), (b, a)] {
            let now = self.now;
            if let Some(Entry::Stream(stream)) = self.table.get_mut(one) {
                let mut config = *stream.machine.config();
                config.coupled = false;
                stream.machine.configure(now, config);
                stream.machine.set_piped(true);
                stream.extras_mut().piped_to = Some(other);
            }
        }
        self.queue_stream(a);
        self.queue_stream(b);
        true
    }

    fn is_stream(&mut self, token: Token) -> bool {
        matches!(self.table.get_mut(token), Some(Entry::Stream(_)))
    }

    /// The other end of a pipe is gone: this one sends what it has, and ends.
    pub(super) fn unpipe(&mut self, token: Token, gone: Token) {
        let now = self.now;
        if let Some(Entry::Stream(stream)) = self.table.get_mut(token)
            && let Some(extras) = &mut stream.extras
            && extras.piped_to == Some(gone)
        {
            extras.piped_to = None;
            stream.machine.set_piped(false);
            stream.machine.finish(now);
            self.queue_stream(token);
        }
    }

    /// Moves what a piped stream has received, and what its other end has
    /// received for it, and passes ends on.
    pub(super) fn run_piped(&mut self, token: Token) -> Option<Happening> {
        let mut stream = self.take(token)?;
        let other = stream
            .extras
            .as_ref()
            .and_then(|extras| extras.piped_to)
            .and_then(|other| self.take(other));
        let Some(mut other) = other else {
            // The other end is being run by the driver just now.
            let tell = stream.machine.has_events();
            self.table.put_back(token, Entry::Stream(stream));
            self.later.push(token);
            return tell.then_some(Happening::Stream(token));
        };
        let mut rounds = 0;
        let (mut tell_one, mut tell_other);
        loop {
            let moved = pass(&mut stream, &mut other) | pass(&mut other, &mut stream);
            tell_one = self.pursue(&mut stream);
            tell_other = self.pursue(&mut other);
            rounds += 1;
            if !moved || rounds >= 16 {
                break;
            }
        }
        let other_token = other.token;
        self.table.put_back(token, Entry::Stream(stream));
        self.table.put_back(other_token, Entry::Stream(other));
        if tell_other {
            self.queue_stream(other_token);
        }
        tell_one.then_some(Happening::Stream(token))
    }
}

/// Moves the input of one to the output of the other, and the end after the
/// last byte; returns whether anything changed.
fn pass<S>(from: &mut StreamEntry<S>, to: &mut StreamEntry<S>) -> bool {
    let room = to.machine.config().output.high;
    if to.machine.check_write().is_err() || to.machine.output().len() >= room {
        return false;
    }
    let mut changed = false;
    if !from.machine.input().is_empty() {
        let input = from.machine.input();
        changed = to.machine.output().append_buffer(input).is_ok();
    }
    if from.machine.take_end() {
        to.machine.finish_write();
        changed = true;
    }
    changed
}
