//! What has harmed other resolvers: inputs of their reports.

use super::*;
use crate::testing::cut;

/// The answer to a query, with bytes of a test's own behind the question.
fn raw(query: &[u8], count: u16, tail: &[u8]) -> Vec<u8> {
    let mut bytes = answer(query, Rcode::NOERROR, &[]);
    bytes[6..8].copy_from_slice(&count.to_be_bytes());
    bytes.extend(tail);
    bytes
}

#[test]
fn names_that_end_nowhere_are_malformed() {
    // CVE-2016-10195: a label that is longer than what is left of the message.
    let tails: [&[u8]; 10] = [
        b"\x3fabc",
        b"\x3f",
        b"\x03abc",
        b"\xc0",
        b"\xc0\xff",
        b"\x80\x40",
        b"\x01a\xc0\x17",
        b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\xff\xff\xc0",
        b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x03\x01\x02\x03",
        b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x04\x3fabc",
    ];
    for tail in tails {
        let mut world = World::new(config(2));
        world.ask_v4("www.x");
        world.answer(|query| raw(query, 1, tail));
        // The next server is asked instead.
        assert_eq!(world.answer_one().server, server(2), "{tail:?}");
        assert_eq!(world.only_done().unwrap().addresses, [one()]);
        world.rests();
    }
    let mut world = World::new(config(1));
    world.ask_v4("www.x");
    world.answer(|query| raw(query, u16::MAX, b""));
    world.answer(|query| raw(query, u16::MAX, b""));
    assert_eq!(world.failure(), Failure::Malformed);
    world.rests();
}

#[test]
fn a_name_of_no_bytes_has_no_search_list() {
    // CVE-2016-10197.
    let mut config = config(1);
    config.search = vec![String::new(), "a.example".into()];
    config.ndots = 2;
    let mut world = World::new(config);
    world.ask_v4("");
    assert_eq!(world.failure(), Failure::BadName);
    world.ask_v4(".");
    assert_eq!(world.names(), [""]);
    world.fail(Rcode::NXDOMAIN);
    assert_eq!(world.failure(), Failure::NoSuchName);
    world.rests();
}

#[test]
fn only_the_first_answer_of_a_connection_counts() {
    // libevent's issue 1401: an error by TCP closes the connection, and more lay behind it.
    for code in [
        Rcode::REFUSED,
        Rcode::NOTIMP,
        Rcode::SERVFAIL,
        Rcode::NOERROR,
    ] {
        let mut world = World::new(config(1));
        world.ask_v4("www.x");
        world.answer(cut);
        let (exchange, _, message) = world.exchanges.remove(0);
        let bytes = answer(&message[2..], code, &[("www.x", 60, ONE)]);
        for _ in 0..3 {
            world.client.exchanged(world.now, exchange, &bytes);
            world.collect();
        }
        world.client.exchange_failed(world.now, exchange, "closed");
        world.collect();
        assert_eq!(world.closed_exchanges, [exchange]);
        if code == Rcode::NOERROR {
            assert!(world.only_done().is_ok());
        } else {
            assert!(world.only_done().is_err());
        }
        world.rests();
    }
}

#[test]
fn what_ends_may_be_canceled_when_that_is_told() {
    // c-ares' CVE-2026-33630: its end was told while it was still listed.
    for by_tcp in [false, true] {
        let mut config = config(1);
        (config.attempts, config.max_inflight) = (1, 3);
        let mut world = World::new(config);
        let mut ids: Vec<_> = (0..6).map(|n| world.ask_v4(&format!("n{n}.x"))).collect();
        if by_tcp {
            world.answer(cut);
        }
        let mut told = Vec::new();
        while told.len() < ids.len() {
            let deadline = world.client.deadline().unwrap();
            world.client.timed_out(deadline);
            while let Some(action) = world.client.next_action() {
                let Action::Done(id, _) = action else {
                    continue;
                };
                told.push(id);
                // Whoever is told cancels itself and all others, and asks once more.
                assert!(!world.client.cancel(deadline, id));
                for other in &ids {
                    world.client.cancel(deadline, *other);
                }
                if ids.len() < 20 {
                    let again = Question::addresses("again.x", Families::V4);
                    ids.push(world.client.resolve(deadline, &again));
                }
            }
        }
        told.sort();
        assert_eq!(told, ids);
        world.rests();
    }
}
