//! `ferrevent relay LISTEN CONNECT`.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use ferrevent::{
    Address, BackendKind, Builder, CloseReason, Context, Handle, Handler, ListenOptions,
    ListenerId, Stream, StreamConfig, Timeout, Trouble,
};

use crate::live;
use crate::log::Log;

const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;
/// The idle timeout is checked so many times in its length.
const IDLE_CHECKS: u32 = 8;

/// What a relay is told.
#[derive(Args, Clone)]
pub(crate) struct Options {
    /// Where to listen: `127.0.0.1:80`, `[::1]:80`, `:80`, `host:port` or `unix:/path`.
    listen: Address,
    /// Where to connect to, written the same way.
    connect: Address,
    /// Give up connecting after this long.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    connect_timeout: Duration,
    /// Close a connection over which nothing has moved for this long.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    idle_timeout: Option<Duration>,
    /// Once one peer has closed, wait this long for the other one to.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    linger: Duration,
    /// Write the access log to the end of this file, not to standard error.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Kernel interface: epoll or poll. Also FERREVENT_BACKEND.
    #[arg(long, value_name = "NAME")]
    backend: Option<BackendKind>,
    /// Run on this many threads; 0 is a single loop, which is cheapest.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    workers: u16,
}

impl Options {
    /// A relay with every default and no log.
    pub(crate) fn plain(listen: Address, connect: Address) -> Self {
        Self {
            listen,
            connect,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: None,
            linger: Duration::from_secs(10),
            log: None,
            backend: None,
            workers: 0,
        }
    }

    fn stream_config(&self) -> StreamConfig {
        let check = self.idle_timeout.map(|time| time / IDLE_CHECKS);
        StreamConfig {
            read_timeout: check,
            write_timeout: check,
            connect_timeout: Some(self.connect_timeout),
            linger: self.linger,
            ..StreamConfig::DEFAULT
        }
    }
}

/// Runs a relay until it is told to end.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let mut builder = Builder::new();
    if let Some(kind) = options.backend {
        builder = builder.backend(kind);
    }
    let log = Log::open(options.log.as_deref())?;
    let relay = Relay::new(options, log);
    let failed = |error: io::Error| format!("the event loop failed: {error}");
    let outcome = if options.workers == 0 {
        let mut events = builder.build().map_err(|error| error.to_string())?;
        let hook = relay.clone();
        events.on_trouble(move |trouble| hook.trouble(trouble));
        relay.begin(&mut events.context())?;
        events.run().map_err(failed)
    } else {
        let pool = builder
            .build_pool(options.workers.into())
            .map_err(|error| error.to_string())?;
        let hook = relay.clone();
        pool.on_trouble(move |trouble| hook.trouble(trouble));
        relay.begin(&mut pool.context())?;
        pool.run().map_err(failed)
    };
    live::Line::clear();
    if let Address::Unix(path) = &options.listen {
        // Left behind it would only be taken over by the next one.
        let _ = std::fs::remove_file(path);
    }
    outcome
}

/// A relay: what all its connections share.
#[derive(Clone)]
pub(crate) struct Relay(Arc<Mutex<State>>);

struct State {
    options: Options,
    log: Log,
    live: HashMap<u64, Live>,
    next: u64,
    /// Bytes of connections that are over, inward and outward.
    done: (u64, u64),
    draining: bool,
}

/// A connection that stands.
struct Live {
    front: Handle,
    since: Instant,
    /// Bytes inward and outward when they were looked at last.
    moved: (u64, u64),
}

impl Relay {
    pub(crate) fn new(options: &Options, log: Log) -> Self {
        Self(Arc::new(Mutex::new(State {
            options: options.clone(),
            log,
            live: HashMap::new(),
            next: 0,
            done: (0, 0),
            draining: false,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens, says so, and does what a command does: signals, a live line.
    fn begin(&self, context: &mut Context<'_>) -> Result<(), String> {
        let listener = self.listen(context)?;
        eprintln!(
            "relaying {} to {}",
            self.address(context, listener),
            self.lock().options.connect
        );
        self.watch_signals(context, listener)
            .map_err(|error| format!("cannot catch signals: {error}"))?;
        if live::is_wanted() {
            self.draw(context, live::Line::new())
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Starts to relay.
    pub(crate) fn listen(&self, context: &mut Context<'_>) -> Result<ListenerId, String> {
        let (address, config) = {
            let state = self.lock();
            (state.options.listen.clone(), state.options.stream_config())
        };
        let own = self.clone();
        context
            .listen_with(
                &address,
                &ListenOptions::default(),
                Some(config),
                move || Box::new(Front::new(own.clone())),
            )
            .map_err(|error| cannot_listen(&address, &error))
    }

    /// Where it listens, the port included that the system chose.
    pub(crate) fn address(&self, context: &mut Context<'_>, listener: ListenerId) -> Address {
        match context.listener_addr(listener) {
            Some(bound) => Address::Socket(bound),
            None => self.lock().options.listen.clone(),
        }
    }

    fn trouble(&self, trouble: &Trouble) {
        let text = match trouble {
            Trouble::Resting(_, error) => format!(
                "cannot accept connections: {error}; trying again by itself, \
                 raise the limit of open files (ulimit -n) if this comes often"
            ),
            Trouble::ListenerFailed(_, error) => format!("the listener failed: {error}"),
            other => format!("{other:?}"),
        };
        self.lock().log.line(&text);
    }

    fn watch_signals(&self, context: &mut Context<'_>, listener: ListenerId) -> io::Result<()> {
        for signal in [SIGINT, SIGTERM] {
            let relay = self.clone();
            context.signal(signal, move |context, times| {
                let mut state = relay.lock();
                if state.draining || times > 1 || state.live.is_empty() {
                    context.stop(true);
                    return;
                }
                state.draining = true;
                context.close_listener(listener);
                let left = state.live.len();
                state.log.line(&format!(
                    "draining {left} connections; a second signal ends at once"
                ));
            })?;
        }
        Ok(())
    }

    /// Draws the live line, now and every so often.
    fn draw(&self, context: &mut Context<'_>, mut line: live::Line) -> io::Result<()> {
        let id = Arc::new(Mutex::new(None));
        let own = Arc::clone(&id);
        let relay = self.clone();
        let timer = context.timer(live::PERIOD, move |context| {
            let (connections, inward, outward) = relay.lock().totals(context);
            line.draw(connections, inward, outward);
            if let Some(id) = *own.lock().unwrap_or_else(PoisonError::into_inner) {
                context.arm_timer(id, live::PERIOD);
            }
        })?;
        *id.lock().unwrap_or_else(PoisonError::into_inner) = Some(timer);
        Ok(())
    }
}

impl State {
    /// Connections now, and bytes inward and outward since the start.
    fn totals(&mut self, context: &mut Context<'_>) -> (usize, u64, u64) {
        let (mut inward, mut outward) = self.done;
        for live in self.live.values_mut() {
            // Nothing is told of one that runs just now.
            live.moved = context.transferred(&live.front).unwrap_or(live.moved);
            inward += live.moved.0;
            outward += live.moved.1;
        }
        (self.live.len(), inward, outward)
    }
}

fn cannot_listen(address: &Address, error: &io::Error) -> String {
    use io::ErrorKind as Kind;
    let remedy = match error.kind() {
        Kind::AddrInUse => "somebody listens there already: end that, or choose another address",
        Kind::PermissionDenied => {
            "ports below 1024 and foreign directories need more rights: choose another address"
        }
        Kind::AddrNotAvailable => "this machine does not have that address",
        Kind::NotFound => "the directory or the name does not exist",
        _ => "choose another address",
    };
    format!("cannot listen on {address}: {error}; {remedy}")
}

/// The side of a connection that was accepted.
struct Front {
    relay: Relay,
    id: u64,
    peer: String,
    back: Option<Handle>,
    upstream: Reason,
    idle: Idle,
}

/// Why the side towards the upstream ended.
type Reason = Arc<Mutex<Option<CloseReason>>>;

/// The side towards the upstream.
struct Back {
    front: Handle,
    reason: Reason,
    idle: Idle,
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

impl Front {
    fn new(relay: Relay) -> Self {
        Self {
            relay,
            id: 0,
            peer: String::new(),
            back: None,
            upstream: Reason::default(),
            idle: Idle::default(),
        }
    }
}

impl Handler for Front {
    fn opened(&mut self, stream: &mut Stream<'_>) {
        self.peer = stream
            .peer_addr()
            .map_or_else(|| "unix".into(), |peer| peer.to_string());
        let front = stream.handle();
        let (connect, config) = {
            let mut state = self.relay.lock();
            state.next += 1;
            self.id = state.next;
            let live = Live {
                front: front.clone(),
                since: Instant::now(),
                moved: (0, 0),
            };
            state.live.insert(self.id, live);
            (state.options.connect.clone(), state.options.stream_config())
        };
        let back = Back {
            front,
            reason: Arc::clone(&self.upstream),
            idle: Idle::default(),
        };
        match stream.context().connect_with(&connect, None, config, back) {
            Ok(back) => {
                stream.pipe(&back);
                self.back = Some(back);
            }
            Err(error) => {
                *see(&self.upstream) = Some(CloseReason::Failed {
                    during: ferrevent::Activity::Connect,
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
        let mut state = self.relay.lock();
        let started = state.live.remove(&self.id).map(|live| live.since);
        let seconds = started.map_or(0.0, |at| at.elapsed().as_secs_f64());
        state.done.0 += stream.received_bytes();
        state.done.1 += stream.sent_bytes();
        let why = match &*see(&self.upstream) {
            Some(upstream) if !upstream.is_clean() => format!("upstream: {upstream}"),
            _ if reason.is_clean() => reason.to_string(),
            _ => format!("client: {reason}"),
        };
        let line = format!(
            "{} -> {} in={} out={} time={seconds:.3}s {why}",
            self.peer,
            state.options.connect,
            stream.received_bytes(),
            stream.sent_bytes(),
        );
        live::Line::clear();
        state.log.line(&line);
        if state.draining && state.live.is_empty() {
            stream.context().stop(true);
        }
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
                during: ferrevent::Activity::Connect,
                ..
            } | CloseReason::TimedOut(_)
        );
        see(&self.reason).get_or_insert(reason);
        if failed {
            // There is nobody to talk to: the client need not wait.
            self.front.close();
        }
    }
}

fn see(reason: &Reason) -> MutexGuard<'_, Option<CloseReason>> {
    reason.lock().unwrap_or_else(PoisonError::into_inner)
}
