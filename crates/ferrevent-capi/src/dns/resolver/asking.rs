//! Asking: what a client wants done is done here.

use std::collections::BTreeMap;

use ferrevent_dns::{Action, Client, ExchangeId, Failure, LaneId};

use super::channel::{Channel, Way};
use super::waiter::Waiter;
use super::{Inner, Resolver, now};
use crate::time;
use crate::util::random;

/// A client, and the sockets that it asks by.
pub(super) struct Asking {
    pub(super) client: Client,
    pub(super) lanes: BTreeMap<LaneId, Channel>,
    pub(super) exchanges: BTreeMap<ExchangeId, Channel>,
}

impl Resolver {
    /// Asks for a waiter what it wants to know, or keeps it until that can be.
    pub(super) fn ask(self, waiter: Waiter) {
        let number = self.with(|it| {
            if it.suspended {
                it.held.push(waiter);
                return None;
            }
            if it.changed {
                it.renew();
            }
            let mut asking = it.clients.last_entry()?;
            let number = *asking.key();
            let lookup = asking.get_mut().client.resolve(now(), &waiter.question());
            it.waiters.insert((number, lookup), waiter);
            waiter.set_lookup(Some((number, lookup)));
            Some(number)
        });
        if let Some(number) = number {
            self.act(number);
        }
    }

    /// Asks again for those that could not be asked for.
    pub(super) fn ask_held(self) {
        for waiter in self.with(|it| std::mem::take(&mut it.held)) {
            self.ask(waiter);
        }
    }

    /// Forgets a waiter. False when it does not wait any more.
    pub(super) fn forget(self, waiter: Waiter) -> bool {
        let Some((number, lookup)) = waiter.lookup() else {
            return self.with(|it| {
                let before = it.held.len();
                it.held.retain(|other| *other != waiter);
                it.held.len() != before
            });
        };
        waiter.set_lookup(None);
        let waited = self.with(|it| {
            if let Some(asking) = it.clients.get_mut(&number) {
                asking.client.cancel(now(), lookup);
            }
            it.waiters.remove(&(number, lookup)).is_some()
        });
        self.act(number);
        waited
    }

    /// Does what a client wants done, and waits for what comes next.
    pub(super) fn act(self, number: u64) {
        while let Some(action) = self.with(|it| it.clients.get_mut(&number)?.client.next_action()) {
            match action {
                Action::Send {
                    lane,
                    server,
                    datagram,
                } => {
                    let open = self.with(|it| it.clients.get(&number)?.lanes.get(&lane).copied());
                    let sent = match open {
                        Some(channel) => channel.send(&datagram),
                        None => {
                            Channel::open(self, number, Way::Datagrams(lane), server, Vec::new())
                                .and_then(|channel| {
                                    self.with(|it| {
                                        it.clients
                                            .get_mut(&number)
                                            .map(|it| it.lanes.insert(lane, channel))
                                    });
                                    channel.send(&datagram)
                                })
                        }
                    };
                    if let Err(error) = sent {
                        self.lose(number, Way::Datagrams(lane), &error.to_string());
                    }
                }
                Action::Exchange {
                    exchange,
                    server,
                    message,
                } => {
                    let way = Way::Stream(exchange);
                    match Channel::open(self, number, way, server, message) {
                        Ok(channel) => {
                            self.with(|it| {
                                it.clients
                                    .get_mut(&number)
                                    .map(|it| it.exchanges.insert(exchange, channel))
                            });
                        }
                        Err(error) => self.lose(number, way, &error.to_string()),
                    }
                }
                Action::CloseLane(lane) => self.close(number, Way::Datagrams(lane)),
                Action::CloseExchange(exchange) => self.close(number, Way::Stream(exchange)),
                Action::Done(lookup, outcome) => {
                    let Some(waiter) = self.with(|it| it.waiters.remove(&(number, lookup))) else {
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
        self.drop_old();
        self.wait();
    }

    /// A way to a server has failed.
    pub(super) fn lose(self, number: u64, way: Way, why: &str) {
        self.close(number, way);
        self.with(|it| {
            let Some(asking) = it.clients.get_mut(&number) else {
                return;
            };
            match way {
                Way::Datagrams(lane) => asking.client.lane_failed(now(), lane, why),
                Way::Stream(exchange) => asking.client.exchange_failed(now(), exchange, why),
            }
        });
    }

    pub(super) fn close(self, number: u64, way: Way) {
        let channel = self.with(|it| {
            let asking = it.clients.get_mut(&number)?;
            match way {
                Way::Datagrams(lane) => asking.lanes.remove(&lane),
                Way::Stream(exchange) => asking.exchanges.remove(&exchange),
            }
        });
        if let Some(channel) = channel {
            channel.close();
        }
    }

    /// Drops clients that are asked nothing any more, except the last.
    fn drop_old(self) {
        let old = self.with(|it| {
            let last = it.clients.last_key_value().map(|(number, _)| *number);
            let over = |(number, asking): (&u64, &Asking)| {
                (Some(*number) != last && asking.client.lookups() == 0).then_some(*number)
            };
            let numbers: Vec<_> = it.clients.iter().filter_map(over).collect();
            numbers
                .into_iter()
                .filter_map(|number| it.clients.remove(&number))
                .collect::<Vec<_>>()
        });
        for asking in old {
            asking.close();
        }
    }

    /// Waits for the first of the deadlines, and keeps the loop going if asked to.
    pub(super) fn wait(self) {
        let (deadline, has_servers) = self.with(|it| {
            let deadlines = it.clients.values().filter_map(|it| it.client.deadline());
            (
                deadlines.min(),
                it.alive_fd >= 0 && !it.settings.config.servers.is_empty(),
            )
        });
        match deadline {
            Some(deadline) => {
                // No time at all would be none.
                let left = deadline.0.saturating_sub(now().0).max(1);
                self.timer().start(time::timeval_of(left));
            }
            None => self.timer().stop(),
        }
        if has_servers {
            self.alive().start(time::timeval_of(0));
        } else {
            self.alive().stop();
        }
    }
}

impl Inner {
    /// Makes the client that is asked from now on.
    fn renew(&mut self) {
        let number = self
            .clients
            .last_key_value()
            .map_or(0, |(number, _)| number + 1);
        let config = self.settings.config.clone();
        let hosts = self.settings.hosts.clone();
        let asking = Asking {
            client: Client::new(config, hosts, random::fill),
            lanes: BTreeMap::new(),
            exchanges: BTreeMap::new(),
        };
        self.clients.insert(number, asking);
        self.changed = false;
    }
}

impl Asking {
    pub(super) fn close(self) {
        for channel in self.lanes.into_values().chain(self.exchanges.into_values()) {
            channel.close();
        }
    }
}
