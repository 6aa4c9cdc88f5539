//! The datagram sockets.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use ferrevent_core::timer::Tick;

use super::ask::AskId;
use super::{Action, Client, LaneId};
use crate::Failure;

/// So many questions go out by a port before another is taken.
const USES: u32 = 32;

/// And no longer than this.
const MAX_AGE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) server: usize,
    opened: Tick,
    uses: u32,
    /// Whose answers may come, by their ids.
    asks: BTreeMap<u16, AskId>,
}

impl Client {
    /// A datagram came by a socket, from this address. What is no answer to
    /// anything that was asked by it is passed over.
    ///
    /// ```
    /// # use ferrevent_core::timer::Tick;
    /// use ferrevent_dns::{Action, Client};
    ///
    /// fn came(client: &mut Client, sent: &Action, datagram: &[u8]) {
    ///     if let Action::Send { lane, server, .. } = sent {
    ///         client.received(Tick(5), *lane, *server, datagram);
    ///     }
    /// }
    /// ```
    pub fn received(&mut self, now: Tick, lane: LaneId, from: SocketAddr, datagram: &[u8]) {
        let Some([high, low]) = datagram.first_chunk::<2>() else {
            return;
        };
        let Some(at) = self.lanes.get(&lane) else {
            return;
        };
        let server = self.servers[at.server].address;
        // An address may come back with a scope that nobody wrote.
        if (server.ip(), server.port()) != (from.ip(), from.port()) {
            return;
        }
        let id = u16::from_be_bytes([*high, *low]);
        if let Some(ask) = at.asks.get(&id).copied() {
            self.answered(now, ask, datagram);
            self.settle(now);
        }
    }

    /// A socket could not be opened, or is of no use any more: its server
    /// cannot be reached. It is closed.
    ///
    /// ```
    /// # use ferrevent_core::timer::Tick;
    /// use ferrevent_dns::{Client, LaneId};
    ///
    /// fn refused(client: &mut Client, lane: LaneId, error: &std::io::Error) {
    ///     client.lane_failed(Tick(5), lane, &error.to_string());
    /// }
    /// ```
    pub fn lane_failed(&mut self, now: Tick, lane: LaneId, why: &str) {
        let Some(at) = self.lanes.get_mut(&lane) else {
            return;
        };
        let (server, asks) = (at.server, std::mem::take(&mut at.asks));
        self.close_lane(lane);
        self.server_is_down(now, server);
        for ask in asks.into_values() {
            self.leave(ask);
            self.try_next(now, ask, Failure::Unreachable(why.to_owned()));
        }
        self.settle(now);
    }

    /// Whether an answer may still come by a socket.
    ///
    /// ```
    /// # use ferrevent_core::timer::Tick;
    /// # use ferrevent_dns::{Action, Client, Config, Families, Hosts, Question};
    /// # let mut client = Client::new(Config::default(), Hosts::default(), |_: &mut [u8]| ());
    /// client.resolve(Tick(0), &Question::addresses("www", Families::V4));
    /// if let Some(Action::Send { lane, .. }) = client.next_action() {
    ///     assert!(client.is_awaited(lane));
    /// }
    /// ```
    pub fn is_awaited(&self, lane: LaneId) -> bool {
        self.lanes.get(&lane).is_some_and(|it| !it.asks.is_empty())
    }

    /// A socket to a server, and an id that is free on it.
    pub(super) fn take_lane(&mut self, now: Tick, server: usize, ask: AskId) -> (LaneId, u16) {
        let is_good = |it: &Lane| it.uses < USES && now.since(it.opened) < MAX_AGE;
        let current = self.servers[server].lane;
        let current = current.filter(|lane| self.lanes.get(lane).is_some_and(is_good));
        let lane = current.unwrap_or_else(|| {
            let fresh = LaneId(self.new_id());
            if let Some(old) = self.servers[server].lane.replace(fresh) {
                self.close_if_idle(old);
            }
            fresh
        });
        let mut id = self.random.id();
        let at = self.lanes.entry(lane).or_insert(Lane {
            server,
            opened: now,
            uses: 0,
            asks: BTreeMap::new(),
        });
        at.uses += 1;
        // There are far fewer on it than there are ids.
        while at.asks.contains_key(&id) {
            id = id.wrapping_add(1);
        }
        at.asks.insert(id, ask);
        (lane, id)
    }

    /// An answer is not waited for any more.
    pub(super) fn leave_lane(&mut self, lane: LaneId, id: u16) {
        if let Some(at) = self.lanes.get_mut(&lane) {
            at.asks.remove(&id);
            self.close_if_idle(lane);
        }
    }

    /// Nothing is on its way: every socket is closed, and the next question goes
    /// by another port.
    pub(super) fn close_idle_lanes(&mut self) {
        let lanes: Vec<_> = self.lanes.keys().copied().collect();
        for lane in lanes {
            self.close_lane(lane);
        }
    }

    /// One that questions go by stays.
    pub(super) fn close_if_idle(&mut self, lane: LaneId) {
        let Some(at) = self.lanes.get(&lane) else {
            return;
        };
        let is_current = self.servers[at.server].lane == Some(lane) && at.uses < USES;
        if at.asks.is_empty() && !is_current {
            self.close_lane(lane);
        }
    }

    pub(super) fn close_lane(&mut self, lane: LaneId) {
        if let Some(at) = self.lanes.remove(&lane) {
            let current = &mut self.servers[at.server].lane;
            if *current == Some(lane) {
                *current = None;
            }
            self.actions.push_back(Action::CloseLane(lane));
        }
    }
}
