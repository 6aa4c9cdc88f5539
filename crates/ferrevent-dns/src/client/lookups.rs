//! What somebody wants to know, name after name of the search list.

use std::collections::VecDeque;
use std::net::SocketAddr;

use domain::base::Rtype;
use ferrevent_core::timer::Tick;

use super::ask::{Ask, AskId};
use super::{Action, Answer, Client, LookupId, Timer};
use crate::message::{Found, text_of};
use crate::question::{HostName, What};
use crate::{Failure, Question, ResolveError};

#[derive(Debug)]
pub(super) struct Lookup {
    text: String,
    types: [Option<Rtype>; 2],
    /// The names that come next.
    candidates: VecDeque<HostName>,
    /// Where its questions begin.
    pub(super) turn: usize,
    /// What was asked and is not answered.
    asks: Vec<AskId>,
    found: Answer,
    /// A name was there, and had nothing.
    no_data: bool,
    failure: Option<Failure>,
    server: Option<SocketAddr>,
    skew: Option<Tick>,
}

impl Client {
    /// Asks a question. It always ends with [`Action::Done`], which may come at
    /// once: for a name of the hosts file, say, or when too many wait.
    ///
    /// ```
    /// # use ferrevent_core::timer::Tick;
    /// # use ferrevent_dns::{Action, Client, Config, Families, Hosts, Question};
    /// # let mut client = Client::new(Config::default(), Hosts::default(), |_: &mut [u8]| ());
    /// let lookup = client.resolve(Tick(0), &Question::addresses("192.0.2.1", Families::BOTH));
    /// assert!(matches!(client.next_action(), Some(Action::Done(id, Ok(_))) if id == lookup));
    /// ```
    pub fn resolve(&mut self, now: Tick, question: &Question) -> LookupId {
        let id = LookupId(self.new_id());
        if let Some(answer) = self.known(question) {
            let outcome = match answer.is_empty() {
                false => Ok(answer),
                true => Err(ResolveError {
                    name: question.text.clone(),
                    failure: Failure::NoData,
                    server: None,
                }),
            };
            self.actions.push_back(Action::Done(id, outcome));
            return id;
        }
        let candidates: VecDeque<_> = question.candidates(&self.config).into();
        let types = question.types();
        let most = self
            .config
            .max_inflight
            .saturating_add(self.config.max_waiting);
        let refusal = if candidates.is_empty() {
            Some(Failure::BadName)
        } else if types == [None; 2] {
            Some(Failure::NoData)
        } else if self.servers.is_empty() {
            Some(Failure::NoServers)
        } else if self.lookups.len() >= most {
            Some(Failure::TooManyWaiting)
        } else {
            None
        };
        let turn = if self.config.rotate { self.turn } else { 0 };
        self.turn = self.turn.wrapping_add(1) % self.servers.len().max(1);
        let lookup = Lookup {
            text: question.text.clone(),
            types,
            candidates,
            turn,
            asks: Vec::new(),
            found: Answer::default(),
            no_data: false,
            failure: None,
            server: None,
            skew: None,
        };
        self.lookups.insert(id, Box::new(lookup));
        match refusal {
            Some(failure) => self.end(id, Err(failure)),
            None => {
                self.wake_probes(now);
                self.next_candidate(now, id);
                self.settle(now);
            }
        }
        id
    }

    /// Ends a lookup with [`Failure::Canceled`]. Returns whether it was not over
    /// yet.
    ///
    /// ```
    /// # use ferrevent_core::timer::Tick;
    /// # use ferrevent_dns::{Client, Config, Families, Hosts, Question};
    /// # let mut client = Client::new(Config::default(), Hosts::default(), |_: &mut [u8]| ());
    /// let lookup = client.resolve(Tick(0), &Question::addresses("www", Families::V4));
    /// assert!(client.cancel(Tick(1), lookup));
    /// assert!(!client.cancel(Tick(1), lookup));
    /// ```
    pub fn cancel(&mut self, now: Tick, lookup: LookupId) -> bool {
        let there = self.lookups.contains_key(&lookup);
        self.end(lookup, Err(Failure::Canceled));
        self.settle(now);
        there
    }

    /// What needs no server; empty when there is none of these families.
    fn known(&self, question: &Question) -> Option<Answer> {
        let mut answer = Answer::default();
        match question.what {
            What::Names(address) => answer.names = vec![self.hosts.name(address)?.to_owned()],
            What::Addresses(families) => {
                let in_file = self.hosts.addresses(&question.text).iter().copied();
                answer.addresses = in_file.filter(|it| families.has(it)).collect();
                if answer.is_empty() {
                    answer.addresses = question.by_itself()?;
                }
            }
        }
        Some(answer)
    }

    fn next_candidate(&mut self, now: Tick, id: LookupId) {
        let Some(lookup) = self.lookups.get_mut(&id) else {
            return;
        };
        let Some(name) = lookup.candidates.pop_front() else {
            let failure = if lookup.no_data {
                Failure::NoData
            } else {
                Failure::NoSuchName
            };
            return self.end(id, Err(failure));
        };
        let (types, turn) = (lookup.types, lookup.turn);
        let mut add = |kind| self.add_ask(Ask::new(id, name.clone(), kind, turn));
        let asks = types.map(|kind| kind.map(&mut add));
        if let Some(lookup) = self.lookups.get_mut(&id) {
            lookup.asks.extend(asks.iter().flatten());
        }
        for ask in asks.into_iter().flatten() {
            if self.inflight < self.config.max_inflight {
                self.launch(now, ask);
            } else {
                self.waiting.push_back(ask);
            }
        }
    }

    /// One of its questions has come to an end.
    pub(super) fn part_came(
        &mut self,
        now: Tick,
        id: LookupId,
        ask: AskId,
        server: usize,
        outcome: Result<Found, Failure>,
    ) {
        let server = self.servers.get(server).map(|server| server.address);
        let Some(lookup) = self.lookups.get_mut(&id) else {
            return;
        };
        lookup.asks.retain(|it| *it != ask);
        lookup.server = server;
        match outcome {
            Ok(found) => lookup.found.add(found),
            Err(Failure::NoSuchName) => {}
            Err(Failure::NoData) => lookup.no_data = true,
            Err(failure) => lookup.failure = Some(failure),
        }
        let has_some = !lookup.found.is_empty();
        if !lookup.asks.is_empty() {
            if has_some {
                let until = now + self.config.skew;
                lookup.skew = Some(until);
                self.timers.insert((until, Timer::Skew(id)));
            }
            return;
        }
        if has_some {
            self.end(id, Ok(()));
        } else if let Some(failure) = lookup.failure.take() {
            self.end(id, Err(failure));
        } else {
            self.next_candidate(now, id);
        }
    }

    /// One family has waited long enough for the other.
    pub(super) fn skewed(&mut self, id: LookupId) {
        self.end(id, Ok(()));
    }

    /// Tells what came of it.
    pub(super) fn end(&mut self, id: LookupId, outcome: Result<(), Failure>) {
        let Some(lookup) = self.lookups.remove(&id).map(|it| *it) else {
            return;
        };
        if let Some(until) = lookup.skew {
            self.timers.remove(&(until, Timer::Skew(id)));
        }
        for ask in lookup.asks {
            self.drop_ask(ask);
        }
        let outcome = match outcome {
            Ok(()) => Ok(lookup.found),
            Err(failure) => Err(ResolveError {
                name: lookup.text,
                failure,
                server: lookup.server,
            }),
        };
        self.actions.push_back(Action::Done(id, outcome));
    }
}

impl Answer {
    fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.names.is_empty()
    }

    /// Adds what another question found: the addresses of IPv6 go first.
    fn add(&mut self, found: Found) {
        let sixes = self.addresses.iter().take_while(|it| it.is_ipv6()).count();
        let at = match found.addresses.first() {
            Some(first) if first.is_ipv6() => sixes,
            _ => self.addresses.len(),
        };
        self.addresses.splice(at..at, found.addresses);
        self.names.extend(found.names);
        if let Some(name) = found.canonical {
            self.canonical = Some(text_of(&name));
        }
        self.ttl = match (self.ttl, found.ttl) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}
