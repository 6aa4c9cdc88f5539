//! What all connections of a relay share: those that stand, the sums, the cap.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use ferrevent::{Allowance, Context, Handle, ListenerId, Stream, StreamConfig};

use super::options::Options;
use super::rate::{self, Rates};
use super::reason::End;
use super::service::Service;
use super::tls::Tls;
use crate::live::amount;
use crate::lock;
use crate::log::{Between, Connection, Event, Log};

/// A relay: what all its connections share.
#[derive(Clone)]
pub(crate) struct Relay(pub(super) Arc<Shared>);

/// Locks are taken one at a time, and none is held while the loop is asked
/// for anything.
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) config: StreamConfig,
    pub(super) upstream: String,
    pub(super) service: Service,
    pub(super) log: Mutex<Log>,
    tls: Mutex<Arc<Tls>>,
    pub(super) rates: rate::Kept,
    pub(super) started: Instant,
    pub(super) allowance: Option<Allowance>,
    pub(super) state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) listeners: Vec<ListenerId>,
    live: HashMap<u64, Live>,
    /// Connections since the start.
    taken: u64,
    /// Bytes of connections that are over, inward and outward.
    done: (u64, u64),
    draining: bool,
    /// The cap was reached, and that was told.
    full: bool,
}

/// A connection that stands.
struct Live {
    front: Handle,
    since: Instant,
    /// Bytes inward and outward when they were looked at last.
    moved: (u64, u64),
}

/// Connections and bytes, inward and outward.
pub(super) struct Totals {
    pub(super) live: usize,
    pub(super) taken: u64,
    pub(super) bytes: (u64, u64),
    draining: bool,
}

impl Relay {
    pub(super) fn with(options: &Options, log: Log, service: Service) -> Self {
        Self(Arc::new(Shared {
            config: options.stream_config(),
            upstream: options.connect.to_string(),
            service,
            log: Mutex::new(log),
            tls: Mutex::default(),
            rates: rate::Kept::default(),
            started: Instant::now(),
            allowance: options.capacity.max_connections.map(Allowance::new),
            state: Mutex::default(),
            options: options.clone(),
        }))
    }

    pub(super) fn log(&self, event: &Event<'_>) {
        lock(&self.0.log).write(event);
    }

    /// Reads the certificates and keys that new connections will use.
    pub(super) fn load_tls(&self) -> Result<(), String> {
        let tls = Tls::load(&self.0.options)?;
        for reason in tls.warnings() {
            self.log(&Event::Trouble { reason });
        }
        *lock(&self.0.tls) = Arc::new(tls);
        Ok(())
    }

    /// Reads them anew. Connections that stand go on with what they have, and
    /// new ones too if the files cannot be used.
    pub(super) fn reload_tls(&self) {
        match self.load_tls() {
            Ok(()) => self.log(&Event::CertificatesReloaded),
            Err(reason) => self.log(&Event::CertificatesKept { reason: &reason }),
        }
    }

    pub(super) fn tls(&self) -> Arc<Tls> {
        Arc::clone(&lock(&self.0.tls))
    }

    /// The limits of its connections.
    pub(super) fn rates(&self) -> Arc<Rates> {
        Arc::clone(&lock(&self.0.rates))
    }

    /// A connection begins: its number.
    pub(super) fn opened(&self, front: Handle) -> u64 {
        let mut state = lock(&self.0.state);
        state.taken += 1;
        let id = state.taken;
        let live = Live {
            front,
            since: Instant::now(),
            moved: (0, 0),
        };
        state.live.insert(id, live);
        let cap = self.0.options.capacity.max_connections;
        let reached = cap.filter(|cap| !state.full && state.live.len() >= *cap as usize);
        state.full |= reached.is_some();
        drop(state);
        if let Some(max_connections) = reached {
            self.log(&Event::CapReached { max_connections });
        }
        id
    }

    /// A connection is over: it is logged, and the next one may come.
    pub(super) fn closed(
        &self,
        id: u64,
        peer: &str,
        stream: &mut Stream<'_>,
        end: End,
        [client, upstream]: [&Between; 2],
    ) {
        let moved = (stream.received_bytes(), stream.sent_bytes());
        let mut state = lock(&self.0.state);
        let since = state.live.remove(&id).map(|live| live.since);
        state.done.0 += moved.0;
        state.done.1 += moved.1;
        if let Some(cap) = self.0.options.capacity.max_connections {
            // It counts as left when a tenth has ended: then reaching it again
            // is worth a line.
            let left = cap - (cap / 10).max(1);
            state.full &= state.live.len() > left as usize;
        }
        let over = state.draining && state.live.is_empty();
        drop(state);
        self.log(&Event::Connection(Connection {
            id,
            peer,
            upstream: &self.0.upstream,
            bytes_in: moved.0,
            bytes_out: moved.1,
            seconds: since.map_or(0.0, |at| at.elapsed().as_secs_f64()),
            side: end.side,
            reason: end.code,
            detail: end.detail,
            client_tls: client.tls.as_ref(),
            upstream_tls: upstream.tls.as_ref(),
            client_compression: client.compression.as_ref(),
            upstream_compression: upstream.compression.as_ref(),
        }));
        let context = stream.context();
        if let Some(allowance) = &self.0.allowance {
            context.give_back(allowance, 1);
        }
        if over {
            context.stop(true);
        }
    }

    /// Takes no connections any more; the loop ends with the last of those
    /// that stand. Asked a second time it ends at once.
    pub(super) fn drain(&self, context: &mut Context<'_>, at_once: bool) {
        let mut state = lock(&self.0.state);
        let again = state.draining;
        state.draining = true;
        let connections = state.live.len();
        let listeners = std::mem::take(&mut state.listeners);
        drop(state);
        if !again {
            self.0
                .service
                .stopping(&format!("draining {connections} connections"));
        }
        if again || at_once || connections == 0 {
            context.stop(true);
            return;
        }
        for listener in listeners {
            context.close_listener(listener);
        }
        self.log(&Event::Draining { connections });
        // The last one may have ended meanwhile, before it was to tell.
        if lock(&self.0.state).live.is_empty() {
            context.stop(true);
        }
    }

    pub(super) fn totals(&self, context: &mut Context<'_>) -> Totals {
        let fronts: Vec<(u64, Handle)> = lock(&self.0.state)
            .live
            .iter()
            .map(|(id, live)| (*id, live.front.clone()))
            .collect();
        let moved: Vec<(u64, Option<(u64, u64)>)> = fronts
            .iter()
            .map(|(id, front)| (*id, context.transferred(front)))
            .collect();
        let mut state = lock(&self.0.state);
        for (id, moved) in moved {
            // Nothing is told of one that runs just now.
            if let (Some(live), Some(moved)) = (state.live.get_mut(&id), moved) {
                live.moved = moved;
            }
        }
        state.totals()
    }

    /// The sums when nothing is live any more.
    pub(super) fn stopped(&self) {
        let totals = lock(&self.0.state).totals();
        self.log(&Event::Stopped {
            connections: totals.taken,
            bytes_in: totals.bytes.0,
            bytes_out: totals.bytes.1,
            seconds: self.0.started.elapsed().as_secs_f64(),
        });
    }

    /// The live counts in one line.
    pub(super) fn status(&self, totals: &Totals) -> String {
        let live = totals.live;
        let connections = match self.0.options.capacity.max_connections {
            Some(cap) => format!("{live} of {cap} connections"),
            None => format!("{live} connections"),
        };
        format!(
            "{}{connections}, {} since the start, {} in, {} out",
            if totals.draining { "draining: " } else { "" },
            totals.taken,
            amount(totals.bytes.0 as f64),
            amount(totals.bytes.1 as f64),
        )
    }
}

impl State {
    fn totals(&self) -> Totals {
        let (mut inward, mut outward) = self.done;
        for live in self.live.values() {
            inward += live.moved.0;
            outward += live.moved.1;
        }
        Totals {
            live: self.live.len(),
            taken: self.taken,
            bytes: (inward, outward),
            draining: self.draining,
        }
    }
}
