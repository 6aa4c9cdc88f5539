//! Two streams joined: what one receives the other sends, under the
//! watermarks of both, and an end is passed on once everything before it is.

use ferrevent_os::Token;

use super::Engine;
use super::entry::Entry;

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
            self.give_up_pipe(a);
            self.give_up_pipe(b);
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

    /// A stream that waits to be piped to one that is gone is finished.
    fn give_up_pipe(&mut self, token: Token) {
        let waits = match self.stream(token) {
            Some(stream) => stream.machine.is_piped() && stream.piped_to().is_none(),
            None => false,
        };
        if waits {
            self.with_stream(token, |stream, now| {
                stream.machine.set_piped(false);
                stream.machine.cut_short();
                stream.machine.finish(now);
            });
        }
    }

    fn is_stream(&mut self, token: Token) -> bool {
        matches!(self.table.get_mut(token), Some(Entry::Stream(_)))
    }

    /// The other end of a pipe is gone: this one sends what it has, and ends.
    /// If no end was passed on before, the peer should hear that something is
    /// missing, where it can.
    pub(super) fn unpipe(&mut self, token: Token, gone: Token) {
        let now = self.now;
        if let Some(Entry::Stream(stream)) = self.table.get_mut(token)
            && let Some(extras) = &mut stream.extras
            && extras.piped_to == Some(gone)
        {
            extras.piped_to = None;
            stream.machine.set_piped(false);
            stream.machine.cut_short();
            stream.machine.finish(now);
            self.queue_stream(token);
        }
    }
}
