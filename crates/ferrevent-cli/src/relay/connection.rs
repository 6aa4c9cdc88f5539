//! One connection: the client's side and the upstream's, joined by a pipe.

use std::sync::{Arc, Mutex};

use ferrevent::{Activity, CloseReason, Handle, Handler, Stream, Timeout};

use super::IDLE_CHECKS;
use super::reason::End;
use super::state::Relay;
use crate::lock;
use crate::log::Side;

/// The side of a connection that was accepted.
pub(super) struct Front {
    relay: Relay,
    id: u64,
    peer: String,
    back: Option<Handle>,
    upstream: Reason,
    idle: Idle,
}

/// The side towards the upstream.
struct Back {
    front: Handle,
    reason: Reason,
    idle: Idle,
}

/// Why the side towards the upstream ended.
type Reason = Arc<Mutex<Option<CloseReason>>>;

impl Front {
    pub(super) fn new(relay: Relay) -> Self {
        Self {
            relay,
            id: 0,
            peer: String::new(),
            back: None,
            upstream: Reason::default(),
            idle: Idle::default(),
        }
    }

    /// The upstream's trouble comes first: it is why the client was let go.
    fn end(&self, own: &CloseReason) -> End {
        match &*lock(&self.upstream) {
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
        let front = stream.handle();
        self.id = self.relay.opened(front.clone());
        let back = Back {
            front,
            reason: Arc::clone(&self.upstream),
            idle: Idle::default(),
        };
        let shared = Arc::clone(&self.relay.0);
        let connected =
            stream
                .context()
                .connect_with(&shared.options.connect, None, shared.config, back);
        match connected {
            Ok(back) => {
                stream.pipe(&back);
                self.back = Some(back);
            }
            Err(error) => {
                *lock(&self.upstream) = Some(CloseReason::Failed {
                    during: Activity::Connect,
                    error,
                });
                stream.close();
            }
        }
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
        self.relay.closed(self.id, &self.peer, stream, end);
    }
}

impl Handler for Back {
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
                during: Activity::Connect,
                ..
            } | CloseReason::TimedOut(_)
        );
        lock(&self.reason).get_or_insert(reason);
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
