//! One connection: the client's side and the upstream's, joined by a pipe.

use std::io;
use std::sync::{Arc, Mutex};

use ferrevent::compress::Tally;
use ferrevent::{Activity, CloseReason, Filter, Handle, Handler, Stream, Timeout};

use super::IDLE_CHECKS;
use super::compress;
use super::reason::End;
use super::state::Relay;
use super::tls::{Tls, summary};
use crate::lock;
use crate::log::{Between, Side, Tls as Agreed};

/// The side of a connection that was accepted.
pub(super) struct Front {
    relay: Relay,
    /// As it was when the connection began.
    tls: Arc<Tls>,
    id: u64,
    peer: String,
    back: Option<Handle>,
    upstream: Shared,
    idle: Idle,
}

/// The side towards the upstream.
struct Back {
    front: Handle,
    /// What its certificate holds for, if it speaks TLS.
    name: Option<String>,
    shared: Shared,
    idle: Idle,
}

/// What the side towards the upstream leaves for the log.
#[derive(Default)]
struct Upstream {
    /// Why it ended.
    reason: Option<CloseReason>,
    agreed: Option<Agreed>,
    tally: Option<Tally>,
}

type Shared = Arc<Mutex<Upstream>>;

impl Front {
    pub(super) fn new(relay: Relay) -> Self {
        Self {
            tls: relay.tls(),
            relay,
            id: 0,
            peer: String::new(),
            back: None,
            upstream: Shared::default(),
            idle: Idle::default(),
        }
    }

    /// The client is heard: connects to the upstream, and joins the two.
    fn join(&mut self, stream: &mut Stream<'_>) {
        if let Some(how) = self.relay.0.options.compression.clients()
            && stream.start_compression(&how).is_err()
        {
            // It is broken already.
            stream.close();
            return;
        }
        match self.connect(stream) {
            Ok(back) => {
                stream.pipe(&back);
                self.back = Some(back);
            }
            Err(error) => {
                lock(&self.upstream).reason = Some(CloseReason::Failed {
                    during: Activity::Connect,
                    error,
                });
                stream.close();
            }
        }
    }

    fn connect(&self, stream: &mut Stream<'_>) -> io::Result<Handle> {
        let by = self.tls.connect(stream.tls());
        let back = Back {
            front: stream.handle(),
            name: by.map(|(_, name)| name.to_owned()),
            shared: Arc::clone(&self.upstream),
            idle: Idle::default(),
        };
        let shared = &self.relay.0;
        let (to, config) = (&shared.options.connect, shared.config);
        let mut filters: Vec<Box<dyn Filter>> = Vec::new();
        if let Some((client, name)) = by {
            filters.push(Box::new(client.session(name)?));
        }
        let compression = shared.options.compression.upstream();
        filters.extend(compression.map(|how| how.filter()));
        let context = stream.context();
        context.connect_filtered(to, None, config, filters, back)
    }

    /// The upstream's trouble comes first: it is why the client was let go.
    fn end(&self, own: &CloseReason) -> End {
        match &lock(&self.upstream).reason {
            Some(upstream) if !upstream.is_clean() => End::new(Some(Side::Upstream), upstream),
            _ if own.is_clean() => End::new(None, own),
            _ => End::new(Some(Side::Client), own),
        }
    }
}

impl Handler for Front {
    fn opened(&mut self, stream: &mut Stream<'_>) {
        self.peer = stream
            .peer_addr()
            .map_or_else(|| "unix".into(), |peer| peer.to_string());
        self.id = self.relay.opened(stream.handle());
        if self.relay.rates().limit(stream).is_err() {
            // Four billion are limited already: none may do without.
            stream.close();
            return;
        }
        let Some(session) = self.tls.accept() else {
            self.join(stream);
            return;
        };
        if stream.start_tls(session).is_err() {
            // It is broken already.
            stream.close();
        }
    }

    fn upgraded(&mut self, stream: &mut Stream<'_>) {
        self.join(stream);
    }

    fn readable(&mut self, _: &mut Stream<'_>) {
        // Before the pipe stands, at most: the bytes stay where they are.
    }

    fn ended(&mut self, _: &mut Stream<'_>) {
        // Likewise: the pipe passes the end on.
    }

    fn timed_out(&mut self, stream: &mut Stream<'_>, which: Timeout) {
        if self.idle.is_over(stream) {
            stream.close_because(CloseReason::TimedOut(which));
        }
    }

    fn closed(&mut self, stream: &mut Stream<'_>, reason: CloseReason) {
        if let Some(back) = &self.back
            && !reason.is_clean()
        {
            back.close();
        }
        let end = self.end(&reason);
        let options = &self.relay.0.options.compression;
        let of = |how, tally: Option<Tally>| Some(compress::summary(how, &tally?));
        let own = stream.compression().map(|it| it.tally());
        let client = Between {
            tls: stream.tls().and_then(|session| summary(session, None)),
            compression: options.clients().and_then(|how| of(how, own)),
        };
        let mut shared = lock(&self.upstream);
        let upstream = Between {
            tls: shared.agreed.take(),
            compression: options
                .upstream()
                .and_then(|how| of(how, shared.tally.take())),
        };
        drop(shared);
        self.relay
            .closed(self.id, &self.peer, stream, end, [&client, &upstream]);
    }
}

impl Handler for Back {
    fn opened(&mut self, stream: &mut Stream<'_>) {
        let session = stream.tls();
        let mut shared = lock(&self.shared);
        shared.agreed = session.and_then(|session| summary(session, self.name.as_deref()));
        shared.tally = stream.compression().map(|it| it.tally());
    }

    fn readable(&mut self, _: &mut Stream<'_>) {}

    fn ended(&mut self, _: &mut Stream<'_>) {}

    fn timed_out(&mut self, stream: &mut Stream<'_>, which: Timeout) {
        if self.idle.is_over(stream) {
            stream.close_because(CloseReason::TimedOut(which));
        }
    }

    fn closed(&mut self, _: &mut Stream<'_>, reason: CloseReason) {
        let failed = matches!(
            reason,
            CloseReason::Failed {
                during: Activity::Connect | Activity::Handshake,
                ..
            } | CloseReason::TimedOut(_)
        );
        lock(&self.shared).reason.get_or_insert(reason);
        if failed {
            // There is nobody to talk to: the client need not wait.
            self.front.close();
        }
    }
}

/// Whether anything has moved over a stream lately.
#[derive(Default)]
struct Idle {
    moved: u64,
    checks: u32,
}

impl Idle {
    /// Called at each check; true when nothing has moved for all of them.
    fn is_over(&mut self, stream: &Stream<'_>) -> bool {
        let moved = stream.received_bytes() + stream.sent_bytes();
        if moved == self.moved {
            self.checks += 1;
        } else {
            self.moved = moved;
            self.checks = 0;
        }
        self.checks >= IDLE_CHECKS
    }
}
