//! Asking: what a client wants done is done here.

use std::collections::BTreeMap;

use ferrevent_dns::{Action, Client, ExchangeId, Failure, Hosts, LaneId};

use super::channel::{Channel, Way};
use super::settings::Settings;
use super::waiter::Waiter;
use super::{Resolver, now};
use crate::time;
use crate::util::random;

/// A client, and the sockets that it asks by.
pub(super) struct Asking {
    pub(super) client: Client,
    pub(super) lanes: BTreeMap<LaneId, Channel>,
    pub(super) exchanges: BTreeMap<ExchangeId, Channel>,
}

impl Asking {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            client: Client::new(settings.config.clone(), Hosts::default(), random::fill),
            lanes: BTreeMap::new(),
            exchanges: BTreeMap::new(),
        }
    }

    pub(super) fn close(self) {
        for channel in self.lanes.into_values().chain(self.exchanges.into_values()) {
            channel.close();
        }
    }
}

impl Resolver {
    /// Asks for a waiter what it wants to know, or keeps it until that can be.
    pub(super) fn ask(self, waiter: Waiter) {
        self.with(|it| {
            if it.suspended {
                it.held.push(waiter);
                return;
            }
            let lookup = it.asking.client.resolve(now(), waiter.question());
            it.waiters.insert(lookup, waiter);
            waiter.set_lookup(Some(lookup));
        });
        self.act();
    }

    /// Asks again for those that could not be asked for.
    pub(super) fn ask_held(self) {
        for waiter in self.with(|it| std::mem::take(&mut it.held)) {
            self.ask(waiter);
        }
    }

    /// Forgets a waiter. False when it does not wait any more.
    pub(super) fn forget(self, waiter: Waiter) -> bool {
        let Some(lookup) = waiter.lookup() else {
            return self.with(|it| {
                let before = it.held.len();
                it.held.retain(|other| *other != waiter);
                it.held.len() != before
            });
        };
        waiter.set_lookup(None);
        let waited = self.with(|it| {
            it.asking.client.cancel(now(), lookup);
            it.waiters.remove(&lookup).is_some()
        });
        self.act();
        waited
    }

    /// Does what the client wants done, and waits for what comes next.
    pub(super) fn act(self) {
        while let Some(action) = self.with(|it| it.asking.client.next_action()) {
            match action {
                Action::Send {
                    lane,
                    server,
                    datagram,
                } => {
                    let open = self.with(|it| it.asking.lanes.get(&lane).copied());
                    let way = Way::Datagrams(lane);
                    let sent = open
                        .map_or_else(|| Channel::open(self, way, server, Vec::new()), Ok)
                        .and_then(|channel| {
                            if open.is_none() {
                                self.with(|it| it.asking.lanes.insert(lane, channel));
                            }
                            channel.send(&datagram)
                        });
                    if let Err(error) = sent {
                        self.lose(way, &error.to_string());
                    }
                }
                Action::Exchange {
                    exchange,
                    server,
                    message,
                } => {
                    let way = Way::Stream(exchange);
                    match Channel::open(self, way, server, message) {
                        Ok(channel) => {
                            self.with(|it| it.asking.exchanges.insert(exchange, channel));
                        }
                        Err(error) => self.lose(way, &error.to_string()),
                    }
                }
                Action::CloseLane(lane) => self.close(Way::Datagrams(lane)),
                Action::CloseExchange(exchange) => self.close(Way::Stream(exchange)),
                Action::Done(lookup, outcome) => {
                    let Some(waiter) = self.with(|it| it.waiters.remove(&lookup)) else {
                        continue;
                    };
                    waiter.set_lookup(None);
                    match outcome {
                        // There may be one yet.
                        Err(error) if error.failure == Failure::NoServers => {
                            self.with(|it| it.held.push(waiter));
                        }
                        outcome => waiter.take(outcome),
                    }
                }
                // None that this does not know is needed.
                _ => {}
            }
        }
        self.wait();
    }

    /// A way to a server has failed.
    pub(super) fn lose(self, way: Way, why: &str) {
        self.close(way);
        self.with(|it| {
            let client = &mut it.asking.client;
            match way {
                Way::Datagrams(lane) => client.lane_failed(now(), lane, why),
                Way::Stream(exchange) => client.exchange_failed(now(), exchange, why),
            }
        });
    }

    pub(super) fn close(self, way: Way) {
        let channel = self.with(|it| match way {
            Way::Datagrams(lane) => it.asking.lanes.remove(&lane),
            Way::Stream(exchange) => it.asking.exchanges.remove(&exchange),
        });
        if let Some(channel) = channel {
            channel.close();
        }
    }

    /// Waits for the deadline, and keeps the loop going if asked to.
    pub(super) fn wait(self) {
        let (deadline, alarm) = self.with(|it| (it.asking.client.deadline(), it.alarm));
        match (deadline, alarm) {
            (None, None) => {}
            // What comes too early sets the next one.
            (Some(deadline), Some(alarm)) if alarm <= deadline => {}
            (Some(deadline), _) => {
                // No time at all would be none.
                let left = deadline.0.saturating_sub(now().0).max(1);
                self.timer().start(time::timeval_of(left));
                self.with(|it| it.alarm = Some(deadline));
            }
            (None, Some(_)) => {
                self.timer().stop();
                self.with(|it| it.alarm = None);
            }
        }
        let (wanted, is_alive) = self.with(|it| {
            let wanted = it.alive_fd >= 0 && !it.settings.config.servers.is_empty();
            (wanted, std::mem::replace(&mut it.is_alive, wanted))
        });
        match (wanted, is_alive) {
            (true, false) => {
                self.alive().start(time::timeval_of(0));
            }
            (false, true) => self.alive().stop(),
            _ => {}
        }
    }
}
