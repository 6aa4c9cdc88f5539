//! Settings that change while there is something to do.

use super::*;
use crate::testing::cut;

fn reconfigure(world: &mut World, config: Config) {
    world.client.reconfigure(world.now, config);
    world.collect();
}

#[test]
fn what_was_asked_of_a_server_that_is_gone_is_asked_of_another() {
    let mut settings = config(2);
    settings.attempts = 1;
    let mut world = World::new(settings);
    world.ask_v4("www.x");
    world.ask_v4("cut.x");
    let lane = world.sent[0].lane;
    world.sent.swap(0, 1);
    world.answer(cut);
    world.sent.clear();
    reconfigure(&mut world, Config::with_servers([server(3)]));
    assert_eq!(world.closed, [lane]);
    assert_eq!(world.closed_exchanges.len(), 1);
    let servers: Vec<_> = world.sent.iter().map(|it| it.server).collect();
    assert_eq!(servers, [server(3), server(3)]);
    world.answer_one();
    world.answer_one();
    assert!(world.done.iter().all(|(_, outcome)| outcome.is_ok()));
    world.rests();
}

#[test]
fn what_was_asked_of_a_server_that_stays_is_answered() {
    let mut world = World::new(config(2));
    world.ask_v4("www.x");
    // It is the last now, and another timeout is for what is asked next.
    let mut settings = Config::with_servers([server(3), server(1)]);
    settings.timeout = Duration::from_secs(1);
    reconfigure(&mut world, settings);
    world.pass(Duration::from_secs(4));
    assert_eq!(world.sent.len(), 1);
    assert_eq!(world.answer_one().server, server(1));
    assert!(world.only_done().is_ok());
    world.rests();
    world.ask_v4("www.x");
    assert_eq!(world.sent[0].server, server(3));
    world.pass(Duration::from_secs(1));
    assert_eq!(world.sent[1].server, server(1));
}

#[test]
fn a_server_that_is_down_stays_so() {
    let mut settings = config(2);
    settings.max_timeouts = 1;
    let mut world = World::new(settings.clone());
    world.ask_v4("www.x");
    world.pass(Duration::from_secs(5));
    (settings.servers, settings.timeout) = (vec![server(3), server(1)], Duration::from_secs(60));
    reconfigure(&mut world, settings.clone());
    assert_eq!(world.client.servers_down().collect::<Vec<_>>(), [server(1)]);
    world.sent.drain(..2);
    // It is probed when its time has come, until it is gone.
    world.pass(Duration::from_secs(10));
    let servers: Vec<_> = world.sent.iter().map(|it| it.server).collect();
    assert_eq!(servers, [server(3), server(1)]);
    settings.servers = vec![server(3)];
    reconfigure(&mut world, settings);
    assert_eq!(world.client.servers_down().count(), 0);
    world.answer_one();
    assert!(world.only_done().is_ok());
    world.rests();
}

#[test]
fn without_servers_everything_ends() {
    let mut settings = config(1);
    settings.max_inflight = 1;
    let mut world = World::new(settings);
    world.ask_v4("one.x");
    world.ask_v4("waits.x");
    reconfigure(&mut world, Config::with_servers([]));
    assert_eq!(world.done.len(), 2);
    for (_, outcome) in &world.done {
        assert_eq!(outcome.as_ref().unwrap_err().failure, Failure::NoServers);
    }
    world.rests();
}

#[test]
fn more_are_asked_at_once_when_that_is_allowed() {
    let mut settings = config(1);
    settings.max_inflight = 1;
    let mut world = World::new(settings.clone());
    for number in 0..3 {
        world.ask_v4(&format!("n{number}.x"));
    }
    assert_eq!(world.sent.len(), 1);
    settings.max_inflight = 2;
    reconfigure(&mut world, settings);
    assert_eq!(world.names(), ["n0.x", "n1.x"]);
}

#[test]
fn sockets_may_be_kept_for_what_comes_next() {
    let mut settings = config(1);
    settings.keep_sockets = true;
    let mut world = World::new(settings);
    let ask = |world: &mut World| {
        world.ask_v4("www.x");
        let lane = world.answer_one().lane;
        assert!(world.only_done().is_ok());
        lane
    };
    let first = ask(&mut world);
    assert_eq!(ask(&mut world), first);
    assert!(world.closed.is_empty() && !world.client.is_awaited(first));
    assert_eq!(world.client.deadline(), None);
    // Neither for long nor for many.
    world.pass(Duration::from_secs(30));
    let second = ask(&mut world);
    assert_ne!(second, first);
    assert_eq!(world.closed, [first]);
    for _ in 1..32 {
        assert_eq!(ask(&mut world), second);
    }
    let third = ask(&mut world);
    assert_ne!(third, second);
    world.client.renew_sockets();
    world.collect();
    assert_eq!(world.closed, [first, second, third]);
}
