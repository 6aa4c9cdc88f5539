//! Servers that fail, and what is done about it.

use super::*;

#[test]
fn a_server_that_is_silent_is_asked_again_and_then_the_next() {
    let mut world = World::new(config(2));
    world.ask_v4("www.x");
    world.pass(Duration::from_secs(5));
    world.pass(Duration::from_secs(5));
    let servers: Vec<_> = world.sent.iter().map(|it| it.server).collect();
    assert_eq!(servers, [server(1), server(2), server(1)]);
    // Every attempt has an id of its own, and the late answer to another is none.
    let ids: std::collections::HashSet<_> = world
        .sent
        .iter()
        .map(|it| it.datagram[..2].to_vec())
        .collect();
    assert_eq!(ids.len(), 3);
    world.answer_one();
    assert!(world.done.is_empty());
    world.pass(Duration::from_secs(10));
    let error = world.only_done().unwrap_err();
    assert_eq!(
        (error.failure, error.server),
        (Failure::TimedOut, Some(server(2)))
    );
    world.rests();
}

#[test]
fn one_that_is_down_is_left_alone_and_probed_ever_less_often() {
    let mut config = config(2);
    config.max_timeouts = 1;
    let mut world = World::new(config);
    world.ask_v4("www.x");
    world.pass(Duration::from_secs(5));
    assert_eq!(world.client.servers_down().collect::<Vec<_>>(), [server(1)]);
    world.sent.remove(0);
    world.answer_one();
    world.only_done().unwrap();
    world.rests();
    // Nobody asks, nothing is sent.
    world.pass(Duration::from_secs(9));
    world.ask_v4("www.x");
    assert_eq!(world.sent.len(), 1);
    assert_eq!(world.answer_one().server, server(2));
    world.only_done().unwrap();
    world.pass(Duration::from_secs(1));
    // Whoever asks next has it probed too.
    world.ask_v4("www.x");
    world.pass(Duration::ZERO);
    let servers: Vec<_> = world.sent.iter().map(|it| it.server).collect();
    assert_eq!(servers, [server(2), server(1)]);
    assert_eq!(asked(&world.sent[1].datagram), (String::new(), Rtype::NS));
    world.answer_one();
    world.only_done().unwrap();
    world.sent.clear();
    world.pass(Duration::from_secs(5));
    world.rests();
    // The next probe is due 30 s after the last has failed.
    world.pass(Duration::from_secs(29));
    world.ask_v4("www.x");
    world.pass(Duration::ZERO);
    world.answer_one();
    world.only_done().unwrap();
    assert!(world.sent.is_empty());
    world.pass(Duration::from_secs(1));
    world.ask_v4("www.x");
    world.pass(Duration::ZERO);
    world.answer_one();
    world.only_done().unwrap();
    // Any answer shows that it works again.
    world.fail(Rcode::REFUSED);
    assert_eq!(world.client.servers_down().count(), 0);
    world.rests();
    world.ask_v4("www.x");
    assert_eq!(world.sent[0].server, server(1));
}

#[test]
fn if_none_works_they_are_asked_all_the_same() {
    let mut config = config(2);
    config.max_timeouts = 1;
    let mut world = World::new(config);
    world.ask_v4("www.x");
    world.pass(Duration::from_secs(10));
    assert_eq!(world.client.servers_down().count(), 2);
    assert_eq!(world.sent.len(), 3);
    world.sent.drain(..2);
    world.answer_one();
    assert!(world.only_done().is_ok());
    assert_eq!(world.client.servers_down().count(), 1);
}

/// Where one question may be under way, two servers that are down were probed in
/// turns, and what waited never had its place.
#[test]
fn probes_take_no_place_of_what_waits() {
    let mut config = config(2);
    config.max_timeouts = 1;
    config.max_inflight = 1;
    config.probe_after = Duration::from_secs(1);
    config.max_probe_after = Duration::from_secs(1);
    let mut world = World::new(config);
    world.ask(&Question::addresses("www.x", Families::BOTH));
    for _ in 0..100 {
        world.pass(Duration::from_secs(1));
    }
    let error = world.only_done().unwrap_err();
    assert_eq!(error.failure, Failure::TimedOut);
    assert_eq!(world.client.lookups(), 0);
}

#[test]
fn one_that_says_it_failed_is_not_asked_first_again() {
    for (code, failure) in [
        (Rcode::SERVFAIL, Failure::ServerFailed),
        (Rcode::REFUSED, Failure::Refused),
        (Rcode::NOTIMP, Failure::NotImplemented),
        (Rcode::YXDOMAIN, Failure::Code(6)),
    ] {
        let mut world = World::new(config(2));
        world.ask_v4("www.x");
        assert_eq!(world.fail(code).server, server(1));
        assert_eq!(world.fail(code).server, server(2));
        assert_eq!(world.fail(code).server, server(1));
        world.fail(code);
        let error = world.only_done().unwrap_err();
        assert_eq!((error.failure, error.server), (failure, Some(server(2))));
        world.rests();
    }
}

#[test]
fn what_was_said_tells_more_than_silence() {
    let mut world = World::new(config(2));
    world.ask_v4("www.x");
    world.fail(Rcode::REFUSED);
    world.pass(Duration::from_secs(60));
    assert_eq!(world.failure(), Failure::Refused);
}

#[test]
fn they_are_asked_in_turn_if_so_wanted() {
    let mut config = config(3);
    config.rotate = true;
    let mut world = World::new(config);
    let servers: Vec<_> = (0..4)
        .map(|_| {
            world.ask_v4("www.x");
            world.answer_one().server
        })
        .collect();
    assert_eq!(servers, [server(1), server(2), server(3), server(1)]);
}

#[test]
fn one_that_does_not_know_edns_is_asked_without() {
    let mut world = World::new(config(1));
    world.ask_v4("www.x");
    let with = world.fail(Rcode::FORMERR).datagram.len();
    let without = world.sent[0].datagram.len();
    assert_eq!(with - without, 11);
    // It may answer with no more than a header. Without EDNS it is no excuse.
    world.answer(|query| {
        let mut bytes = answer(query, Rcode::FORMERR, &[]);
        bytes.truncate(12);
        bytes[5] = 0;
        bytes
    });
    assert_eq!(world.failure(), Failure::NotUnderstood);
    world.ask_v4("www.x");
    assert_eq!(world.sent[0].datagram.len(), without);
}

#[test]
fn one_that_cannot_be_reached_is_given_up_at_once() {
    let mut world = World::new(config(2));
    world.ask_v4("www.x");
    let lane = world.sent.remove(0).lane;
    world.client.lane_failed(world.now, lane, "refused");
    world.collect();
    assert_eq!(world.sent[0].server, server(2));
    while let Some(sent) = world.sent.pop() {
        world.client.lane_failed(world.now, sent.lane, "refused");
        world.collect();
    }
    assert_eq!(world.failure(), Failure::Unreachable("refused".into()));
    world.rests();
}
