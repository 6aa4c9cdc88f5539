//! What only a stream with limits of its own, or one that is finishing,
//! needs to remember: kept apart so that the others stay small.

use std::time::Duration;

use super::StreamConfig;
use crate::filter::Stack;
use crate::timer::Tick;

const NEVER: Tick = Tick(u64::MAX);

#[derive(Debug)]
pub(super) struct Rare {
    pub(super) config: StreamConfig,
    pub(super) read_since: Tick,
    pub(super) write_since: Tick,
    pub(super) linger_until: Tick,
    /// When the filters must be open, while they are not.
    pub(super) open_until: Tick,
    pub(super) filters: Option<Box<Stack>>,
}

impl Rare {
    pub(super) fn new(now: Tick) -> Self {
        Self {
            config: StreamConfig::DEFAULT,
            read_since: now,
            write_since: now,
            linger_until: NEVER,
            open_until: NEVER,
            filters: None,
        }
    }

    /// Starts the clock of the handshake.
    pub(super) fn begin_handshake(&mut self, now: Tick) {
        self.open_until = due(now, self.config.handshake_timeout);
    }

    /// Starts every clock again.
    pub(super) fn restart(&mut self, now: Tick) {
        self.read_since = now;
        self.write_since = now;
    }

    pub(super) fn read_due(&self) -> Tick {
        due(self.read_since, self.config.read_timeout)
    }

    pub(super) fn write_due(&self) -> Tick {
        due(self.write_since, self.config.write_timeout)
    }

    /// The clock of connecting starts with the stream, and so does the
    /// writing one, which does not run before the connection stands.
    pub(super) fn connect_due(&self) -> Tick {
        due(self.write_since, self.config.connect_timeout)
    }
}

fn due(since: Tick, limit: Option<Duration>) -> Tick {
    limit.map_or(NEVER, |limit| since + limit)
}
