//! Rate limits below TLS, on every backend, loop and pool.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "common/certificates.rs"]
mod certificates;
mod common;
#[path = "common/tls.rs"]
mod secure;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use certificates::authority;
use common::{Recorder, Works, listen, on_every_backend, random_bytes, until};
use ferrevent::limit::{Direction, RateLimit, RateLimits, Share};
use ferrevent::tls::Session;
use ferrevent::{CloseReason, Handler, RateGroup, Stream};
use secure::{any, client, once, over, server};

const RATE: u64 = 2_000_000;
const BURST: u64 = 20_000;

/// Begins in plain text, goes on in TLS, and says how much went over the wire.
struct Turns {
    group: RateGroup,
    session: Option<Session>,
    recorder: Recorder,
    word: &'static [u8],
    secret: Vec<u8>,
    wire: Arc<Mutex<Vec<(u64, u64)>>>,
}

impl Handler for Turns {
    fn opened(&mut self, stream: &mut Stream<'_>) {
        stream.join(&self.group, Share::default()).unwrap();
        stream.write(self.word).unwrap();
    }

    fn readable(&mut self, stream: &mut Stream<'_>) {
        if self.session.is_none() {
            self.recorder.readable(stream);
        } else if stream.input().len() >= 4 {
            let _ = stream.input().drain(4);
            stream.start_tls(self.session.take().unwrap()).unwrap();
            stream.write(&self.secret).unwrap();
        }
    }

    fn upgraded(&mut self, stream: &mut Stream<'_>) {
        stream.finish_write();
    }

    fn closed(&mut self, stream: &mut Stream<'_>, reason: CloseReason) {
        let wire = (stream.wire_received_bytes(), stream.wire_sent_bytes());
        self.wire.lock().unwrap().push(wire);
        self.recorder.closed(stream, reason);
    }
}

/// Tor 3 and 6: limits and counts are those of the wire, TLS included, also
/// where it was added to a running stream.
#[test]
fn tor_6_what_counts_is_what_tls_puts_on_the_wire() {
    let authority = authority();
    on_every_backend(|events| {
        let limit = RateLimit::new(RATE).unwrap().with_burst(BURST).unwrap();
        let all = events
            .context()
            .rate_group(RateLimits::both(limit))
            .unwrap();
        let server = server(authority).build().unwrap().session();
        let client = client(authority).build().unwrap();
        let client = client.session("localhost").unwrap();
        let secret = random_bytes(100_000, 4);
        let wire = Arc::new(Mutex::new(Vec::new()));
        let turns = |session, word| {
            let (recorder, record) = Recorder::new();
            let turns = Turns {
                group: all.clone(),
                session: Some(session),
                recorder,
                word,
                secret: secret.clone(),
                wire: Arc::clone(&wire),
            };
            (turns, record)
        };
        let (one, first) = turns(server, &b"over"[..]);
        let (other, second) = turns(client, &b"here"[..]);
        let begun = Instant::now();
        let to = listen(events, &any(), once(one));
        events.connect(to, other).unwrap();
        until(events, "both closes", || over(&first) && over(&second));
        let took = begun.elapsed();
        for record in [first, second] {
            assert!(record.see().bytes == secret, "{:?}", record.see().reason);
        }
        let wire = wire.lock().unwrap();
        let received: u64 = wire.iter().map(|wire| wire.0).sum();
        let sent: u64 = wire.iter().map(|wire| wire.1).sum();
        assert!(sent > 2 * secret.len() as u64 + 500, "{sent} bytes sent");
        assert_eq!(all.moved_bytes(Direction::Read), received);
        assert_eq!(all.moved_bytes(Direction::Write), sent);
        let least = Duration::from_micros((sent - BURST) * 1_000_000 / RATE);
        assert!(took + Duration::from_micros(1) >= least, "{took:?}");
    });
}
