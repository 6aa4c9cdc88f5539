//! Anything may come, at any time: every lookup ends once, and nothing is left.

use proptest::prelude::*;

use super::*;
use crate::testing::cut;

#[derive(Clone, Debug)]
enum Step {
    Ask(u8, bool, bool),
    Cancel(usize),
    Pass(u64),
    /// Answers something that was sent, in some way.
    Answer(usize, u8),
    /// Sends an answer with some bytes changed, or cut short.
    Damage(usize, Vec<(usize, u8)>, usize),
    Nonsense(usize, Vec<u8>),
    Refuse(usize),
    Exchange(usize, u8),
    /// Has other servers, by their bits, and keeps sockets or not.
    Reconfigure(u8, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = 0..8_usize;
    let step = prop_oneof![
        (any::<u8>(), any::<bool>(), any::<bool>()).prop_map(|(a, b, c)| Step::Ask(a, b, c)),
        index.clone().prop_map(Step::Cancel),
        (0..8_000_u64).prop_map(Step::Pass),
        (index.clone(), 0..8_u8).prop_map(|(a, b)| Step::Answer(a, b)),
        (
            index.clone(),
            prop::collection::vec((0..100_usize, any::<u8>()), 0..4),
            0..120_usize
        )
            .prop_map(|(a, b, c)| Step::Damage(a, b, c)),
        (index.clone(), prop::collection::vec(any::<u8>(), 0..60))
            .prop_map(|(a, b)| Step::Nonsense(a, b)),
        index.clone().prop_map(Step::Refuse),
        (index, 0..4_u8).prop_map(|(a, b)| Step::Exchange(a, b)),
        (0..8_u8, any::<bool>()).prop_map(|(a, b)| Step::Reconfigure(a, b)),
    ];
    prop::collection::vec(step, 1..60)
}

fn reply(query: &[u8], how: u8) -> Vec<u8> {
    let (name, _) = asked(query);
    let six = Data::Address6([1; 8]);
    match how {
        0 => answer(query, Rcode::NXDOMAIN, &[]),
        1 => answer(query, Rcode::SERVFAIL, &[]),
        2 => answer(query, Rcode::FORMERR, &[]),
        3 => cut(query),
        4 => answer(query, Rcode::NOERROR, &[(&name, 1, Data::Alias("other.y"))]),
        5 => no_data(query, &[(&name, 1, Data::Alias("other.y"))]),
        _ => answer(query, Rcode::NOERROR, &[(&name, 9, ONE), (&name, 8, six)]),
    }
}

fn run(servers: u8, steps: Vec<Step>) {
    let mut config = config(servers);
    (config.max_inflight, config.max_waiting) = (4, 4);
    config.search = vec!["a.example".into()];
    let mut world = World::new(config.clone());
    let mut ids = Vec::new();
    for step in steps {
        let pick = |len: usize, index: usize| (len > 0).then(|| index % len);
        match step {
            Step::Ask(name, v4, v6) => {
                let families = Families { v4, v6: v6 || !v4 };
                let text = format!("n{}", name % 5);
                ids.push(world.ask(&Question::addresses(&text, families)));
            }
            Step::Cancel(index) => {
                if let Some(index) = pick(ids.len(), index) {
                    world.client.cancel(world.now, ids[index]);
                }
            }
            Step::Pass(millis) => world.pass(Duration::from_millis(millis)),
            Step::Answer(index, how) => {
                if let Some(index) = pick(world.sent.len(), index) {
                    world.sent.swap(0, index);
                    world.answer(|query| reply(query, how));
                }
            }
            Step::Damage(index, changes, len) => {
                if let Some(index) = pick(world.sent.len(), index) {
                    let sent = world.sent[index].clone();
                    let mut bytes = reply(&sent.datagram, 7);
                    for (at, value) in changes {
                        let at = at % bytes.len();
                        bytes[at] = value;
                    }
                    bytes.truncate(len);
                    world
                        .client
                        .received(world.now, sent.lane, sent.server, &bytes);
                }
            }
            Step::Nonsense(index, bytes) => {
                if let Some(index) = pick(world.sent.len(), index) {
                    let sent = &world.sent[index];
                    world
                        .client
                        .received(world.now, sent.lane, sent.server, &bytes);
                }
            }
            Step::Refuse(index) => {
                if let Some(index) = pick(world.sent.len(), index) {
                    let lane = world.sent[index].lane;
                    world.client.lane_failed(world.now, lane, "refused");
                }
            }
            Step::Reconfigure(bits, keep) => {
                let wanted = (0..3).filter(|bit| bits >> bit & 1 != 0);
                config.servers = wanted.map(|bit| server(1 + bit)).collect();
                config.keep_sockets = keep;
                world.client.reconfigure(world.now, config.clone());
            }
            Step::Exchange(index, how) => {
                if let Some(index) = pick(world.exchanges.len(), index) {
                    let (exchange, _, message) = world.exchanges.remove(index);
                    match how {
                        0 => world.client.exchange_failed(world.now, exchange, "refused"),
                        1 => world.client.exchanged(world.now, exchange, b"nonsense"),
                        how => {
                            let bytes = reply(&message[2..], how * 3);
                            world.client.exchanged(world.now, exchange, &bytes);
                        }
                    }
                }
            }
        }
        world.collect();
        let client = &world.client;
        assert!(client.lookups.len() <= 8);
        assert!(client.asks.len() <= 2 * 8 + 3);
        assert!(client.lanes.len() <= client.inflight + 3);
        assert!(client.timers.len() <= client.asks.len() + 8 + 2 * 3);
    }
    config.keep_sockets = false;
    world.client.reconfigure(world.now, config);
    world.collect();
    // Nobody answers any more.
    world.pass(Duration::from_secs(1_000));
    let mut ended: Vec<_> = world.done.iter().map(|(id, _)| *id).collect();
    ended.sort();
    assert_eq!(ended, ids);
    world.rests();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn every_lookup_ends_once(servers in 1..4_u8, steps in steps()) {
        run(servers, steps);
    }
}

fn cases() -> u32 {
    let given = std::env::var("FERREVENT_CASES").ok();
    given.and_then(|cases| cases.parse().ok()).unwrap_or(300)
}
