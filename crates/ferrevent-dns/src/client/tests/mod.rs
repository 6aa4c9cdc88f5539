//! The client in simulated time, with servers that do as each test says.

mod random;
mod reported;
mod servers;
mod settings;
mod ways;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use domain::base::Rtype;
use domain::base::iana::Rcode;
use ferrevent_core::timer::Tick;

use super::*;
use crate::testing::{Data, answer, asked, no_data};
use crate::{Families, Question};

/// What a client sent, and nobody has answered.
#[derive(Clone, Debug)]
struct Sent {
    lane: LaneId,
    server: SocketAddr,
    datagram: Vec<u8>,
}

/// A client, the time, and what it gave out.
struct World {
    client: Client,
    now: Tick,
    sent: Vec<Sent>,
    exchanges: Vec<(ExchangeId, SocketAddr, Vec<u8>)>,
    closed: Vec<LaneId>,
    closed_exchanges: Vec<ExchangeId>,
    done: Vec<(LookupId, Result<Answer, ResolveError>)>,
}

impl World {
    fn new(config: Config) -> Self {
        Self::with_hosts(config, Hosts::default())
    }

    fn with_hosts(config: Config, hosts: Hosts) -> Self {
        let mut seed = 1_u64;
        let client = Client::new(config, hosts, move |bytes: &mut [u8]| {
            for byte in bytes {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                *byte = (seed >> 32) as u8;
            }
        });
        Self {
            client,
            now: Tick(1_000),
            sent: Vec::new(),
            exchanges: Vec::new(),
            closed: Vec::new(),
            closed_exchanges: Vec::new(),
            done: Vec::new(),
        }
    }

    fn collect(&mut self) {
        while let Some(action) = self.client.next_action() {
            match action {
                Action::Send {
                    lane,
                    server,
                    datagram,
                } => self.sent.push(Sent {
                    lane,
                    server,
                    datagram,
                }),
                Action::CloseLane(lane) => self.closed.push(lane),
                Action::Exchange {
                    exchange,
                    server,
                    message,
                } => self.exchanges.push((exchange, server, message)),
                Action::CloseExchange(exchange) => self.closed_exchanges.push(exchange),
                Action::Done(lookup, outcome) => self.done.push((lookup, outcome)),
            }
        }
    }

    fn ask(&mut self, question: &Question) -> LookupId {
        let id = self.client.resolve(self.now, question);
        self.collect();
        id
    }

    fn ask_v4(&mut self, name: &str) -> LookupId {
        self.ask(&Question::addresses(name, Families::V4))
    }

    /// Answers what was sent first and not answered yet.
    fn answer(&mut self, work: impl FnOnce(&[u8]) -> Vec<u8>) -> Sent {
        let sent = self.sent.remove(0);
        let bytes = work(&sent.datagram);
        self.client
            .received(self.now, sent.lane, sent.server, &bytes);
        self.collect();
        sent
    }

    /// As [`answer`](Self::answer), with an address for any name.
    fn answer_one(&mut self) -> Sent {
        self.answer(|query| {
            let (name, _) = asked(query);
            answer(query, Rcode::NOERROR, &[(&name, 60, ONE)])
        })
    }

    fn fail(&mut self, code: Rcode) -> Sent {
        self.answer(|query| answer(query, code, &[]))
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.client.deadline()
            && deadline <= end
        {
            self.now = deadline.max(self.now);
            self.client.timed_out(self.now);
            self.collect();
        }
        self.now = end;
    }

    /// What was asked for and not answered yet.
    fn names(&self) -> Vec<String> {
        self.sent.iter().map(|it| asked(&it.datagram).0).collect()
    }

    fn only_done(&mut self) -> Result<Answer, ResolveError> {
        assert_eq!(self.done.len(), 1, "{:?}", self.done);
        self.done.remove(0).1
    }

    fn failure(&mut self) -> Failure {
        self.only_done().unwrap_err().failure
    }

    /// Nothing is held, and nothing is waited for.
    fn rests(&self) {
        assert_eq!(self.client.deadline(), None);
        let client = &self.client;
        let held = (client.lookups.len(), client.asks.len(), client.lanes.len());
        assert_eq!(held, (0, 0, 0));
        let queued = (
            client.inflight,
            client.waiting.len(),
            client.exchanges.len(),
        );
        assert_eq!(queued, (0, 0, 0));
    }
}

const ONE: Data = Data::Address([192, 0, 2, 1]);

fn one() -> IpAddr {
    [192, 0, 2, 1].into()
}

fn server(last: u8) -> SocketAddr {
    ([192, 0, 2, last], 53).into()
}

fn config(servers: u8) -> Config {
    Config::with_servers((1..=servers).map(server))
}

#[test]
fn names_are_tried_with_the_search_list() {
    let searching = |ndots: &str, name: &str| {
        let mut config = config(1);
        config.search = vec!["a.example".into(), "b.example".into()];
        config.add_option(ndots);
        let mut world = World::new(config);
        world.ask_v4(name);
        let mut names = Vec::new();
        while !world.sent.is_empty() {
            names.extend(world.names());
            world.fail(Rcode::NXDOMAIN);
        }
        assert_eq!(world.failure(), Failure::NoSuchName);
        world.rests();
        names
    };
    assert_eq!(
        searching("ndots:1", "www"),
        ["www.a.example", "www.b.example", "www"]
    );
    assert_eq!(
        searching("ndots:1", "www.x"),
        ["www.x", "www.x.a.example", "www.x.b.example"]
    );
    assert_eq!(
        searching("ndots:2", "www.x"),
        ["www.x.a.example", "www.x.b.example", "www.x"]
    );
    assert_eq!(searching("ndots:3", "www.x."), ["www.x"]);
}

#[test]
fn the_search_ends_where_something_is_found() {
    let mut config = config(1);
    config.search = vec!["a.example".into(), "b.example".into()];
    let mut world = World::new(config);
    world.ask_v4("www");
    world.answer(|query| no_data(query, &[]));
    world.answer_one();
    let answer = world.only_done().unwrap();
    assert_eq!(answer.addresses, [one()]);
    // One that is there and has nothing is better than none.
    world.ask_v4("www");
    world.fail(Rcode::NXDOMAIN);
    world.answer(|query| no_data(query, &[]));
    world.fail(Rcode::NXDOMAIN);
    assert_eq!(world.failure(), Failure::NoData);
    world.rests();
}

#[test]
fn some_names_need_no_server() {
    let hosts = Hosts::parse(b"192.0.2.1 a\n2001:db8::1 a\n192.0.2.2 A b # and more\n");
    let mut world = World::with_hosts(config(1), hosts);
    let mut addresses = |name: &str, families| {
        world.ask(&Question::addresses(name, families));
        assert!(world.sent.is_empty(), "{name}");
        world.only_done().unwrap().addresses.len()
    };
    assert_eq!(addresses("a", Families::BOTH), 3);
    assert_eq!(addresses("A.", Families::V4), 2);
    assert_eq!(addresses("a", Families::V6), 1);
    assert_eq!(addresses("localhost", Families::BOTH), 2);
    assert_eq!(addresses("x.localhost.", Families::V4), 1);
    assert_eq!(addresses("192.0.2.9", Families::V4), 1);
    assert_eq!(addresses("2001:db8::9", Families::BOTH), 1);
    world.ask(&Question::names([192, 0, 2, 2].into()));
    assert_eq!(world.only_done().unwrap().names, ["A"]);
    // What the file does not have is asked for.
    world.ask(&Question::addresses("b", Families::V6));
    assert_eq!(world.names(), ["b"]);
}

#[test]
fn what_is_no_name_is_refused() {
    let long = "a".repeat(64);
    let longer = "abcdefghi.".repeat(26);
    for text in ["", "a..b", ".a", &long, &longer, "bücher.example"] {
        let mut world = World::new(config(1));
        world.ask_v4(text);
        assert_eq!(world.failure(), Failure::BadName, "{text}");
        world.rests();
    }
}

#[test]
fn nothing_asked_for_is_nothing_found() {
    let (v4, v6) = (false, false);
    for name in ["www.x", "localhost"] {
        let mut world = World::new(config(1));
        world.ask(&Question::addresses(name, Families { v4, v6 }));
        assert_eq!(world.failure(), Failure::NoData);
        world.rests();
    }
    let mut world = World::new(config(1));
    world.ask(&Question::addresses("192.0.2.1", Families::V6));
    assert_eq!(world.failure(), Failure::NoData);
    let mut settings = config(1);
    (settings.max_inflight, settings.max_waiting) = (usize::MAX, usize::MAX);
    World::new(settings).ask_v4("www.x");
}

#[test]
fn both_families_come_together() {
    let mut world = World::new(config(1));
    world.ask(&Question::addresses("www.x", Families::BOTH));
    let (six, four) = (&world.sent[0].datagram, &world.sent[1].datagram);
    assert_eq!((asked(six).1, asked(four).1), (Rtype::AAAA, Rtype::A));
    world.sent.swap(0, 1);
    world.answer_one();
    assert!(world.done.is_empty());
    world.answer(|query| {
        let six = Data::Address6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]);
        answer(query, Rcode::NOERROR, &[("www.x", 7, six)])
    });
    let answer = world.only_done().unwrap();
    let families: Vec<_> = answer.addresses.iter().map(IpAddr::is_ipv6).collect();
    assert_eq!((families, answer.ttl), (vec![true, false], Some(7)));
    // One alone is enough, when the other does not come.
    world.ask(&Question::addresses("www.x", Families::BOTH));
    world.sent.swap(0, 1);
    world.answer_one();
    world.pass(Duration::from_millis(2_999));
    assert!(world.done.is_empty());
    world.pass(Duration::from_millis(1));
    assert_eq!(world.only_done().unwrap().addresses, [one()]);
    world.rests();
}

#[test]
fn addresses_have_names() {
    let mut world = World::new(config(1));
    world.ask(&Question::names([192, 0, 2, 1].into()));
    assert_eq!(world.names(), ["1.2.0.192.in-addr.arpa"]);
    world.answer(|query| {
        let name = ("1.2.0.192.in-addr.arpa", 5, Data::Name("www.example.org"));
        answer(query, Rcode::NOERROR, &[name])
    });
    assert_eq!(world.only_done().unwrap().names, ["www.example.org"]);
    world.ask(&Question::names("2001:db8::42".parse().unwrap()));
    let name = world.names().remove(0);
    assert!(name.starts_with("2.4.0.0.") && name.ends_with(".8.b.d.0.1.0.0.2.ip6.arpa"));
}

#[test]
fn one_is_canceled_and_the_others_go_on() {
    let mut world = World::new(config(1));
    let (one, other) = (world.ask_v4("one.x"), world.ask_v4("other.x"));
    assert!(world.client.cancel(world.now, one));
    assert!(!world.client.cancel(world.now, one));
    world.collect();
    assert_eq!(world.failure(), Failure::Canceled);
    // Its answer is late.
    world.answer_one();
    assert!(world.done.is_empty());
    world.answer_one();
    assert_eq!(world.done.len(), 1);
    assert_eq!(world.done[0].0, other);
    world.rests();
}

#[test]
fn so_many_are_asked_at_once_and_so_many_wait() {
    let mut config = config(1);
    (config.max_inflight, config.max_waiting) = (2, 2);
    let mut world = World::new(config);
    let ids: Vec<_> = (0..5).map(|n| world.ask_v4(&format!("n{n}.x"))).collect();
    assert_eq!(world.failure(), Failure::TooManyWaiting);
    assert_eq!(world.names(), ["n0.x", "n1.x"]);
    world.answer_one();
    assert_eq!(world.names(), ["n1.x", "n2.x"]);
    // One that waits is canceled: it is never asked.
    world.client.cancel(world.now, ids[3]);
    world.answer_one();
    world.answer_one();
    assert_eq!(world.done.len(), 4);
    world.rests();
}

#[test]
fn a_shut_down_ends_everything() {
    let mut world = World::new(config(1));
    world.ask_v4("one.x");
    world.ask_v4("other.x");
    world.client.shut_down();
    world.collect();
    assert_eq!(world.done.len(), 2);
    for (_, outcome) in &world.done {
        assert_eq!(outcome.as_ref().unwrap_err().failure, Failure::ShutDown);
    }
    world.rests();
}

#[test]
fn without_a_server_there_is_no_answer() {
    let mut world = World::new(Config::with_servers([]));
    world.ask_v4("www.x");
    assert_eq!(world.failure(), Failure::NoServers);
    world.rests();
}
