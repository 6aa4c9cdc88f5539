//! Datagrams and connections: which are used, and what is believed.

use super::*;
use crate::testing::cut;

#[test]
fn an_answer_that_was_cut_is_had_by_tcp() {
    let mut world = World::new(config(1));
    world.ask_v4("www.x");
    world.answer(cut);
    let (exchange, to, message) = world.exchanges.remove(0);
    assert_eq!(to, server(1));
    assert_eq!(usize::from(message[1]), message.len() - 2);
    let bytes = answer(&message[2..], Rcode::NOERROR, &[("www.x", 60, ONE)]);
    world.client.exchanged(world.now, exchange, &bytes);
    world.collect();
    assert_eq!(world.only_done().unwrap().addresses, [one()]);
    assert_eq!(world.closed_exchanges, [exchange]);
    world.rests();
}

#[test]
fn without_tcp_it_is_cut_for_good() {
    let mut world = World::new(config(1));
    world.ask_v4("www.x");
    for _ in 0..1 {
        world.answer(cut);
        let (exchange, ..) = world.exchanges.remove(0);
        world.client.exchange_failed(world.now, exchange, "refused");
        world.collect();
    }
    assert_eq!(world.failure(), Failure::Truncated);
    world.rests();
    // Unless what came is enough.
    let mut config = config(1);
    config.ignore_truncation = true;
    let mut world = World::new(config);
    world.ask_v4("www.x");
    world.answer(|query| {
        let mut bytes = answer(
            query,
            Rcode::NOERROR,
            &[("www.x", 60, ONE), ("www.x", 60, ONE)],
        );
        bytes[2] |= 2;
        bytes.truncate(bytes.len() - 13);
        bytes
    });
    assert_eq!(world.only_done().unwrap().addresses, [one()]);
}

#[test]
fn all_may_go_by_tcp() {
    let mut config = config(2);
    config.use_tcp = true;
    let mut world = World::new(config);
    world.ask_v4("www.x");
    assert!(world.sent.is_empty());
    // Silence is silence by TCP too.
    world.pass(Duration::from_secs(5));
    assert_eq!(world.closed_exchanges, [world.exchanges[0].0]);
    assert_eq!(world.exchanges[1].1, server(2));
    let exchange = world.exchanges[1].0;
    world.client.exchange_failed(world.now, exchange, "refused");
    world.collect();
    let (exchange, to, message) = world.exchanges.remove(2);
    assert_eq!(to, server(1));
    // What is no answer to it is none.
    world.client.exchanged(world.now, exchange, b"nonsense");
    world.collect();
    let bytes = answer(&message[2..], Rcode::NOERROR, &[("www.x", 60, ONE)]);
    world.client.exchanged(world.now, exchange, &bytes);
    world.collect();
    assert!(world.done.is_empty());
    let (exchange, _, message) = world.exchanges.remove(2);
    let bytes = answer(&message[2..], Rcode::NOERROR, &[("www.x", 60, ONE)]);
    world.client.exchanged(world.now, exchange, &bytes);
    world.collect();
    assert!(world.only_done().is_ok());
    world.rests();
}

#[test]
fn what_is_not_from_there_is_not_believed() {
    let mut world = World::new(config(1));
    world.ask_v4("www.x");
    let sent = world.sent[0].clone();
    let good = answer(&sent.datagram, Rcode::NOERROR, &[("www.x", 60, ONE)]);
    let mut try_it = |lane, from, bytes: &[u8]| {
        world.client.received(Tick(2_000), lane, from, bytes);
        world.collect();
        world.done.len()
    };
    let other_port = SocketAddr::new(sent.server.ip(), 54);
    assert_eq!(try_it(sent.lane, server(9), &good), 0);
    assert_eq!(try_it(sent.lane, other_port, &good), 0);
    assert_eq!(try_it(LaneId(999), sent.server, &good), 0);
    let mut other_id = good.clone();
    other_id[1] ^= 1;
    assert_eq!(try_it(sent.lane, sent.server, &other_id), 0);
    assert_eq!(try_it(sent.lane, sent.server, &sent.datagram), 0);
    assert_eq!(try_it(sent.lane, sent.server, &good[..12]), 0);
    assert_eq!(try_it(sent.lane, sent.server, &good), 1);
}

#[test]
fn letters_are_in_random_case_and_must_come_back_so() {
    let mut world = World::new(config(1));
    world.ask_v4("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.x");
    let datagram = &world.sent[0].datagram;
    assert!(datagram.contains(&b'A') && datagram.contains(&b'a'));
    // A server, or a forger, that makes all small is asked by TCP.
    world.answer(|query| {
        let mut bytes = answer(query, Rcode::NOERROR, &[]);
        bytes[12..].make_ascii_lowercase();
        bytes
    });
    assert!(world.done.is_empty());
    let (exchange, _, message) = world.exchanges.remove(0);
    let mut query = message[2..].to_vec();
    query[12..].make_ascii_lowercase();
    let name = asked(&query).0;
    let bytes = answer(&query, Rcode::NOERROR, &[(&name, 60, ONE)]);
    world.client.exchanged(world.now, exchange, &bytes);
    world.collect();
    assert!(world.only_done().is_ok());
    // Or not asked for at all.
    let mut config = config(1);
    config.randomize_case = false;
    let mut world = World::new(config);
    world.ask_v4("WwW.x");
    assert!(world.sent[0].datagram.windows(3).any(|it| it == b"WwW"));
}

#[test]
fn many_forgeries_are_answered_by_tcp() {
    let mut world = World::new(config(1));
    world.ask_v4("www.x");
    let sent = world.sent[0].clone();
    let mut forged = answer(&sent.datagram, Rcode::NOERROR, &[]);
    forged[13] = b'v';
    for _ in 0..16 {
        assert!(world.exchanges.is_empty());
        world
            .client
            .received(world.now, sent.lane, sent.server, &forged);
        world.collect();
    }
    assert_eq!(world.exchanges.len(), 1);
}

#[test]
fn ports_are_changed_and_closed() {
    let mut config = config(1);
    config.max_inflight = 1_000;
    let mut world = World::new(config);
    for number in 0..100 {
        world.ask_v4(&format!("n{number}.x"));
    }
    let mut uses = BTreeMap::new();
    for sent in &world.sent {
        *uses.entry(sent.lane).or_insert(0) += 1;
    }
    assert_eq!(uses.values().copied().collect::<Vec<_>>(), [32, 32, 32, 4]);
    assert!(world.closed.is_empty());
    for _ in 0..100 {
        world.answer_one();
    }
    assert_eq!(world.closed.len(), 4);
    world.rests();
    // Whoever asks next has another.
    world.ask_v4("www.x");
    assert!(!world.closed.contains(&world.sent[0].lane));
}

#[test]
fn an_alias_is_followed_where_the_answer_ends() {
    let mut world = World::new(config(1));
    world.ask_v4("www.x");
    world.answer(|query| {
        answer(
            query,
            Rcode::NOERROR,
            &[("www.x", 60, Data::Alias("host.y"))],
        )
    });
    assert_eq!(world.names(), ["host.y"]);
    world.answer_one();
    let found = world.only_done().unwrap();
    assert_eq!(found.canonical.as_deref(), Some("host.y"));
    // Not without end, though each leads on to another.
    const NAMES: [&str; 3] = ["a.x", "b.x", "c.x"];
    world.ask_v4("www.x");
    let mut hops = 0;
    while world.done.is_empty() {
        hops += 1;
        assert!(hops < 20);
        world.answer(|query| {
            let (name, _) = asked(query);
            let alias = Data::Alias(NAMES[hops % 3]);
            answer(query, Rcode::NOERROR, &[(&name, 60, alias)])
        });
    }
    assert_eq!(hops, 17);
    assert_eq!(world.failure(), Failure::Malformed);
    world.rests();
}
