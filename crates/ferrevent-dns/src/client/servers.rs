//! The servers: which of them work, and what becomes of those that do not.

use std::net::SocketAddr;
use std::time::Duration;

use domain::base::Rtype;
use ferrevent_core::timer::Tick;

use super::ask::Ask;
use super::{Client, LaneId, Timer};
use crate::question::HostName;

#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    /// So often in a row it did not answer.
    timeouts: u32,
    down: Option<Down>,
    /// It does not understand EDNS.
    pub(super) plain: bool,
    /// The socket that questions go by now.
    pub(super) lane: Option<LaneId>,
}

#[derive(Debug)]
struct Down {
    /// Not before this it is probed.
    probe_at: Tick,
    backoff: Duration,
    probing: bool,
}

impl Server {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            timeouts: 0,
            down: None,
            plain: false,
            lane: None,
        }
    }
}

const BACKOFF: u32 = 3;

impl Client {
    /// The servers that are down, as far as is known.
    ///
    /// ```
    /// # use ferrevent_dns::{Client, Config, Hosts};
    /// # let client = Client::new(Config::default(), Hosts::default(), |_: &mut [u8]| ());
    /// assert_eq!(client.servers_down().count(), 0);
    /// ```
    pub fn servers_down(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        let down = self.servers.iter().filter(|server| server.down.is_some());
        down.map(|server| server.address)
    }

    /// Whom to ask, counted from this one: the next that works. If none does,
    /// it is asked all the same.
    pub(super) fn pick_server(&self, from: usize) -> Option<usize> {
        let count = self.servers.len();
        let mut order = (0..count).map(|step| (from + step) % count);
        order
            .find(|server| self.servers[*server].down.is_none())
            .or_else(|| from.checked_rem(count))
    }

    /// It has answered something.
    pub(super) fn server_works(&mut self, server: usize) {
        let server = &mut self.servers[server];
        server.timeouts = 0;
        server.down = None;
    }

    pub(super) fn server_was_silent(&mut self, now: Tick, server: usize) {
        let it = &mut self.servers[server];
        it.timeouts = it.timeouts.saturating_add(1);
        if it.timeouts >= self.config.max_timeouts {
            self.server_is_down(now, server);
        }
    }

    pub(super) fn server_is_down(&mut self, now: Tick, server: usize) {
        let backoff = self.config.probe_after;
        let it = &mut self.servers[server];
        if it.down.is_none() {
            it.down = Some(Down {
                probe_at: now + backoff,
                backoff,
                probing: false,
            });
            self.timers.insert((now + backoff, Timer::Probe(server)));
        }
    }

    /// Probes are sent while somebody asks. What was due before is due now.
    pub(super) fn wake_probes(&mut self, now: Tick) {
        for (number, server) in self.servers.iter().enumerate() {
            if let Some(down) = &server.down
                && !down.probing
            {
                let at = down.probe_at.max(now);
                self.timers.insert((at, Timer::Probe(number)));
            }
        }
    }

    /// Asks a server that is down for the root's servers: it knows them, or
    /// says that it does not.
    pub(super) fn probe(&mut self, now: Tick, server: usize) {
        let Some(down) = &mut self.servers[server].down else {
            return;
        };
        if down.probing || down.probe_at > now {
            return;
        }
        down.probing = true;
        let id = self.add_ask(Ask::probe(HostName::root_vec(), Rtype::NS, server));
        self.launch(now, id);
    }

    /// A probe has come to its end; one that had an answer has found the server
    /// to work.
    pub(super) fn probed(&mut self, now: Tick, server: usize) {
        let longest = self.config.max_probe_after;
        let Some(down) = &mut self.servers[server].down else {
            return;
        };
        down.probing = false;
        down.backoff = down.backoff.saturating_mul(BACKOFF).min(longest);
        down.probe_at = now + down.backoff;
        let at = down.probe_at;
        self.timers.insert((at, Timer::Probe(server)));
    }
}
