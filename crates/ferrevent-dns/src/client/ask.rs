//! One question for one type of record, on its way from server to server.

use domain::base::Rtype;
use ferrevent_core::timer::Tick;

use super::{Action, Client, ExchangeId, LaneId, LookupId, Timer};
use crate::Failure;
use crate::message::{Asked, Found, MAX_ALIASES, Reply, Terms};
use crate::question::HostName;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AskId(u64);

/// So many answers to something else are passed over before TCP, which nobody
/// can forge from afar, is asked to tell.
const MAX_STRAYS: u32 = 16;

#[derive(Debug)]
pub(super) struct Ask {
    /// Who wants to know; nobody for a probe.
    lookup: Option<LookupId>,
    name: HostName,
    kind: Rtype,
    /// The server that it was last sent to.
    pub(super) server: usize,
    /// The server that comes next, if it works.
    pub(super) next: usize,
    tries: u32,
    aliases: usize,
    /// An answer was cut, or in doubt: it is asked for by TCP.
    by_stream: bool,
    strays: u32,
    way: Way,
    last: Failure,
}

/// How its answer comes.
#[derive(Debug)]
enum Way {
    /// It waits for a place.
    None,
    Lane {
        lane: LaneId,
        asked: Asked,
        deadline: Tick,
    },
    Stream {
        exchange: ExchangeId,
        asked: Asked,
        deadline: Tick,
    },
}

impl Ask {
    pub(super) fn new(lookup: LookupId, name: HostName, kind: Rtype, next: usize) -> Self {
        Self {
            lookup: Some(lookup),
            ..Self::probe(name, kind, next)
        }
    }

    pub(super) fn probe(name: HostName, kind: Rtype, server: usize) -> Self {
        Self {
            lookup: None,
            name,
            kind,
            server,
            next: server,
            tries: 0,
            aliases: 0,
            by_stream: false,
            strays: 0,
            way: Way::None,
            last: Failure::TimedOut,
        }
    }

    pub(super) fn is_probe(&self) -> bool {
        self.lookup.is_none()
    }

    /// How many places it takes of those that there are.
    fn places(&self) -> usize {
        usize::from(!self.is_probe())
    }

    /// Other servers have not been asked yet.
    pub(super) fn begin_anew(&mut self) {
        (self.tries, self.strays, self.by_stream) = (0, 0, false);
    }

    /// Whether an answer is waited for.
    pub(super) fn is_sent(&self) -> bool {
        !matches!(self.way, Way::None)
    }
}

impl Client {
    /// A connection brought an answer; without its length. The connection is
    /// done with.
    ///
    /// ```
    /// # use ferrevent_core::timer::Tick;
    /// use ferrevent_dns::{Client, ExchangeId};
    ///
    /// fn came(client: &mut Client, exchange: ExchangeId, message: &[u8]) {
    ///     client.exchanged(Tick(5), exchange, message);
    /// }
    /// ```
    pub fn exchanged(&mut self, now: Tick, exchange: ExchangeId, message: &[u8]) {
        if let Some(ask) = self.exchanges.get(&exchange).copied() {
            self.answered(now, ask, message);
            self.settle(now);
        }
    }

    /// A connection brought no answer. It is done with.
    ///
    /// ```
    /// # use ferrevent_core::timer::Tick;
    /// use ferrevent_dns::{Client, ExchangeId};
    ///
    /// fn refused(client: &mut Client, exchange: ExchangeId, error: &std::io::Error) {
    ///     client.exchange_failed(Tick(5), exchange, &error.to_string());
    /// }
    /// ```
    pub fn exchange_failed(&mut self, now: Tick, exchange: ExchangeId, why: &str) {
        // The driver has closed it.
        let Some(ask) = self.exchanges.remove(&exchange) else {
            return;
        };
        let cut = self.asks.get(&ask).is_some_and(|ask| ask.by_stream);
        let failure = if cut {
            Failure::Truncated
        } else {
            Failure::Unreachable(why.to_owned())
        };
        self.leave(ask);
        self.try_next(now, ask, failure);
        self.settle(now);
    }

    pub(super) fn add_ask(&mut self, ask: Ask) -> AskId {
        let id = AskId(self.new_id());
        self.asks.insert(id, Box::new(ask));
        id
    }

    /// Sends it for the first time.
    pub(super) fn launch(&mut self, now: Tick, id: AskId) {
        if let Some(ask) = self.asks.get(&id) {
            self.inflight += ask.places();
            self.send(now, id);
        }
    }

    /// Something came by the way that it waits at.
    pub(super) fn answered(&mut self, now: Tick, id: AskId, bytes: &[u8]) {
        let Some(ask) = self.asks.get_mut(&id) else {
            return;
        };
        let (asked, by_stream) = match &ask.way {
            Way::None => return,
            Way::Lane { asked, .. } => (asked, false),
            Way::Stream { asked, .. } => (asked, true),
        };
        let terms = Terms {
            exact: self.config.randomize_case && !by_stream,
            cut_too: self.config.ignore_truncation || by_stream,
        };
        let (server, is_probe) = (ask.server, ask.is_probe());
        let reply = asked.read(bytes, terms);
        if reply == Reply::Stray && !by_stream {
            ask.strays += 1;
            if ask.strays >= MAX_STRAYS {
                self.leave(id);
                self.go_by_stream(now, id);
            }
            return;
        }
        self.leave(id);
        self.server_works(server);
        match reply {
            _ if is_probe => self.finish(now, id, Err(Failure::NoData)),
            Reply::Stray => self.try_next(now, id, Failure::Malformed),
            Reply::OtherCase | Reply::Cut => self.go_by_stream(now, id),
            Reply::Found(found) => self.finish(now, id, Ok(found)),
            Reply::Elsewhere(name) => self.follow(now, id, name),
            Reply::Failed(Failure::NotUnderstood) if !self.servers[server].plain => {
                // Perhaps it is EDNS that it does not know (RFC 6891, section 7).
                self.servers[server].plain = true;
                self.send_to(now, id, server);
            }
            Reply::Failed(failure) if failure.is_final() => self.finish(now, id, Err(failure)),
            Reply::Failed(failure) => self.try_next(now, id, failure),
        }
    }

    pub(super) fn attempt_timed_out(&mut self, now: Tick, id: AskId) {
        let Some(ask) = self.asks.get(&id) else {
            return;
        };
        let server = ask.server;
        self.leave(id);
        self.server_was_silent(now, server);
        self.try_next(now, id, Failure::TimedOut);
    }

    /// Goes to the next server, unless it has been everywhere.
    pub(super) fn try_next(&mut self, now: Tick, id: AskId, failure: Failure) {
        let Some(ask) = self.asks.get_mut(&id) else {
            return;
        };
        // What a server has said tells more than another's silence.
        if failure != Failure::TimedOut {
            ask.last = failure;
        }
        ask.by_stream = false;
        ask.next = ask.server.wrapping_add(1) % self.servers.len().max(1);
        self.send(now, id);
    }

    /// It is given up, and nobody is told.
    pub(super) fn drop_ask(&mut self, id: AskId) {
        match self.asks.get(&id) {
            Some(ask) if ask.tries == 0 => self.waiting.retain(|it| *it != id),
            Some(ask) => self.inflight -= ask.places(),
            None => {}
        }
        self.leave(id);
        self.asks.remove(&id);
    }

    /// It waits for an answer no more: its way is free for others.
    pub(super) fn leave(&mut self, id: AskId) {
        let Some(ask) = self.asks.get_mut(&id) else {
            return;
        };
        match std::mem::replace(&mut ask.way, Way::None) {
            Way::None => {}
            Way::Lane {
                lane,
                asked,
                deadline,
            } => {
                self.timers.remove(&(deadline, Timer::Attempt(id)));
                self.leave_lane(lane, asked.id);
            }
            Way::Stream {
                exchange, deadline, ..
            } => {
                self.timers.remove(&(deadline, Timer::Attempt(id)));
                if self.exchanges.remove(&exchange).is_some() {
                    self.actions.push_back(Action::CloseExchange(exchange));
                }
            }
        }
    }

    fn go_by_stream(&mut self, now: Tick, id: AskId) {
        if let Some(ask) = self.asks.get_mut(&id) {
            ask.by_stream = true;
            let server = ask.server;
            self.send_to(now, id, server);
        }
    }

    /// Asks for the name that an alias leads to.
    fn follow(&mut self, now: Tick, id: AskId, name: HostName) {
        let Some(ask) = self.asks.get_mut(&id) else {
            return;
        };
        ask.aliases += 1;
        if ask.aliases > MAX_ALIASES {
            return self.finish(now, id, Err(Failure::Malformed));
        }
        ask.name = name;
        ask.by_stream = false;
        let server = ask.server;
        self.send_to(now, id, server);
    }

    pub(super) fn send(&mut self, now: Tick, id: AskId) {
        let Some(ask) = self.asks.get(&id) else {
            return;
        };
        // A probe is for one server, once.
        let tries = match ask.lookup {
            None => 1,
            Some(_) => self.servers.len() as u64 * u64::from(self.config.attempts),
        };
        if u64::from(ask.tries) >= tries {
            let failure = match self.servers.len() {
                0 => Failure::NoServers,
                _ => ask.last.clone(),
            };
            return self.finish(now, id, Err(failure));
        }
        let server = match ask.lookup {
            None => Some(ask.next),
            Some(_) => self.pick_server(ask.next),
        };
        match server {
            Some(server) => self.send_to(now, id, server),
            None => self.finish(now, id, Err(Failure::NoServers)),
        }
    }

    fn send_to(&mut self, now: Tick, id: AskId, server: usize) {
        let edns = self.config.edns_size;
        let edns = (edns > 512 && !self.servers[server].plain).then_some(edns);
        let Some(ask) = self.asks.get_mut(&id) else {
            return;
        };
        ask.server = server;
        ask.tries += 1;
        let (by_stream, kind) = (ask.by_stream || self.config.use_tcp, ask.kind);
        let mut name = ask.name.clone();
        if self.config.randomize_case {
            let mut bytes = name.into_octets();
            self.random.vary_case(&mut bytes);
            // The length of a label is no letter.
            name = HostName::from_octets(bytes).unwrap_or_else(|_| HostName::root_vec());
        }
        let (lane, message_id) = if by_stream {
            (None, self.random.id())
        } else {
            let (lane, message_id) = self.take_lane(now, server, id);
            (Some(lane), message_id)
        };
        let asked = Asked {
            id: message_id,
            name,
            kind,
        };
        // A name and a few bytes always have room.
        let bytes = asked.encode(edns).unwrap_or_default();
        let deadline = now + self.config.timeout;
        let address = self.servers[server].address;
        let way = match lane {
            Some(lane) => {
                self.actions.push_back(Action::Send {
                    lane,
                    server: address,
                    datagram: bytes,
                });
                Way::Lane {
                    lane,
                    asked,
                    deadline,
                }
            }
            None => {
                let exchange = ExchangeId(self.new_id());
                let mut message = (bytes.len() as u16).to_be_bytes().to_vec();
                message.extend(bytes);
                self.exchanges.insert(exchange, id);
                self.actions.push_back(Action::Exchange {
                    exchange,
                    server: address,
                    message,
                });
                Way::Stream {
                    exchange,
                    asked,
                    deadline,
                }
            }
        };
        self.timers.insert((deadline, Timer::Attempt(id)));
        if let Some(ask) = self.asks.get_mut(&id) {
            ask.way = way;
        }
    }

    /// It is over.
    fn finish(&mut self, now: Tick, id: AskId, outcome: Result<Found, Failure>) {
        let Some(ask) = self.asks.remove(&id).map(|it| *it) else {
            return;
        };
        self.inflight -= ask.places();
        let alias = (ask.aliases > 0).then_some(ask.name);
        let outcome = outcome.map(|mut found| {
            found.canonical = found.canonical.or(alias);
            found
        });
        match ask.lookup {
            None => self.probed(now, ask.server),
            Some(lookup) => self.part_came(now, lookup, id, ask.server, outcome),
        }
    }
}
