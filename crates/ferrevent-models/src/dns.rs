//! The DNS client, with servers that say anything: every lookup ends once,
//! and nothing is left.

use std::net::SocketAddr;
use std::time::Duration;

use ferrevent_core::timer::Tick;
use ferrevent_dns::{
    Action, Client, Config, ExchangeId, Families, Hosts, LaneId, LookupId, Question,
};

/// Reads bytes as what is asked, what servers answer and what else happens.
/// Whatever they are, limits are kept, and every lookup comes to one end.
///
/// ```
/// ferrevent_models::dns::run(b"\x00\x00\x10any answer at all");
/// ```
///
/// # Panics
/// If that is not so.
pub fn run(data: &[u8]) {
    Talk::new(data).run();
}

/// Asks for a name, with any settings, and nobody answers.
pub(crate) fn ask_in_vain(config: Config, hosts: Hosts, name: &str) {
    let mut talk = Talk::with(config, hosts, &[]);
    talk.ask(&Question::addresses(name, Families::BOTH));
    talk.end();
}

/// A client, and what came of it.
struct Talk<'a> {
    data: &'a [u8],
    client: Client,
    now: Tick,
    sent: Vec<(LaneId, SocketAddr, Vec<u8>)>,
    exchanges: Vec<(ExchangeId, Vec<u8>)>,
    asked: Vec<LookupId>,
    done: Vec<LookupId>,
}

impl<'a> Talk<'a> {
    fn new(mut data: &'a [u8]) -> Self {
        let flags = take(&mut data);
        let servers = (1..=1 + flags % 3).map(|last| ([192, 0, 2, last], 53).into());
        let mut config = Config::with_servers(servers);
        config.search = vec!["a.example".into()];
        config.max_inflight = 2;
        config.max_waiting = 2;
        config.ignore_truncation = flags & 4 != 0;
        config.randomize_case = flags & 8 != 0;
        config.use_tcp = flags & 16 != 0;
        Self::with(config, Hosts::default(), data)
    }

    fn with(config: Config, hosts: Hosts, data: &'a [u8]) -> Self {
        let mut seed = 1_u64;
        let client = Client::new(config, hosts, move |bytes: &mut [u8]| {
            for byte in bytes {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *byte = (seed >> 33) as u8;
            }
        });
        Self {
            data,
            client,
            now: Tick(1),
            sent: Vec::new(),
            exchanges: Vec::new(),
            asked: Vec::new(),
            done: Vec::new(),
        }
    }

    fn run(mut self) {
        while !self.data.is_empty() {
            let step = take(&mut self.data);
            match step % 8 {
                0 => {
                    let families = Families {
                        v4: step & 8 != 0,
                        v6: step & 8 == 0 || step & 16 != 0,
                    };
                    self.ask(&Question::addresses("www", families));
                }
                1 => self.ask(&Question::names([192, 0, 2, step].into())),
                2 => {
                    let millis = u64::from(take(&mut self.data)) * 50;
                    self.now += Duration::from_millis(millis);
                    self.client.timed_out(self.now);
                }
                3 if step & 128 != 0 => {
                    let wanted = (1..4).filter(|bit| step >> (3 + bit) & 1 != 0);
                    let servers = wanted.map(|last| ([192, 0, 2, last], 53).into());
                    let mut config = Config::with_servers(servers);
                    config.keep_sockets = step & 8 != 0;
                    self.client.reconfigure(self.now, config);
                }
                3 => {
                    if let Some((lane, ..)) = pick(&self.sent, step) {
                        self.client.lane_failed(self.now, *lane, "refused");
                    }
                }
                4 => {
                    if let Some(lookup) = pick(&self.asked, step) {
                        self.client.cancel(self.now, *lookup);
                    }
                }
                _ => self.answer(step),
            }
            self.collect();
        }
        self.end();
    }

    fn ask(&mut self, question: &Question) {
        let lookup = self.client.resolve(self.now, question);
        self.asked.push(lookup);
        self.collect();
    }

    /// Says something to what was asked: with its id and its question, unless
    /// the bytes have their own.
    fn answer(&mut self, step: u8) {
        let len = usize::from(take(&mut self.data)).min(self.data.len());
        let (body, rest) = self.data.split_at(len);
        self.data = rest;
        if step & 8 != 0
            && let Some((exchange, message)) = self.exchanges.pop()
        {
            let bytes = reply(&message[2..], body, step);
            self.client.exchanged(self.now, exchange, &bytes);
        } else if let Some((lane, server, query)) = pick(&self.sent, step) {
            let bytes = reply(query, body, step);
            self.client.received(self.now, *lane, *server, &bytes);
        }
    }

    fn collect(&mut self) {
        while let Some(action) = self.client.next_action() {
            match action {
                Action::Send {
                    lane,
                    server,
                    datagram,
                } => self.sent.push((lane, server, datagram)),
                Action::Exchange {
                    exchange, message, ..
                } => self.exchanges.push((exchange, message)),
                Action::Done(lookup, outcome) => {
                    if let Ok(answer) = outcome {
                        let found = answer.addresses.len() + answer.names.len();
                        assert!((1..=2048).contains(&found));
                    }
                    self.done.push(lookup);
                }
                _ => {}
            }
        }
        assert!(self.client.lookups() <= 5000);
    }

    /// Nobody answers any more.
    fn end(mut self) {
        let mut turns = 0;
        while let Some(deadline) = self.client.deadline() {
            self.now = deadline.max(self.now);
            self.client.timed_out(self.now);
            self.collect();
            turns += 1;
            assert!(turns < 1_000_000, "it does not end");
        }
        assert_eq!(self.client.lookups(), 0);
        self.done.sort();
        assert_eq!(self.done, self.asked);
    }
}

fn reply(query: &[u8], body: &[u8], step: u8) -> Vec<u8> {
    const HEADER: usize = 12;
    let question = query[HEADER..]
        .iter()
        .position(|byte| *byte == 0)
        .map_or(query.len(), |end| HEADER + end + 5);
    if step & 16 != 0 || body.len() < 8 {
        return body.to_vec();
    }
    let mut bytes = query[..2].to_vec();
    bytes.extend([
        0x80 | body[0],
        body[1],
        0,
        1,
        0,
        body[2],
        0,
        body[3],
        0,
        body[4],
    ]);
    bytes.extend(&query[HEADER..question.min(query.len())]);
    bytes.extend(&body[5..]);
    bytes
}

fn take(data: &mut &[u8]) -> u8 {
    match data.split_first() {
        Some((first, rest)) => {
            *data = rest;
            *first
        }
        None => 0,
    }
}

fn pick<T>(from: &[T], step: u8) -> Option<&T> {
    from.len()
        .checked_sub(1 + usize::from(step >> 5) % from.len().max(1))
        .and_then(|index| from.get(index))
}
