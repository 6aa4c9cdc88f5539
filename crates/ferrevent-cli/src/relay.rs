//! `ferrevent relay LISTEN CONNECT`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Args;
use ferrevent::{
    Address, BackendKind, Builder, CloseReason, Context, EventLoop, Handle, Handler, ListenOptions,
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
    let mut events = builder.build().map_err(|error| error.to_string())?;
    let log = Log::open(options.log.as_deref())?;
    let relay = start(&mut events, options, log)?;
    let bound = relay.address(&mut events);
    eprintln!("relaying {bound} to {}", options.connect);
    watch_signals(&mut events, &relay).map_err(|error| format!("cannot catch signals: {error}"))?;
    if live::is_wanted() {
        draw(&mut events.context(), relay.shared(), live::Line::new())
            .map_err(|error| error.to_string())?;
    }
    let outcome = events.run();
    live::Line::clear();
    if let Address::Unix(path) = &options.listen {
        // Left behind it would only be taken over by the next one.
        let _ = std::fs::remove_file(path);
    }
    outcome.map_err(|error| format!("the event loop failed: {error}"))
}

/// A relay that was started.
pub(crate) struct Relay {
    state: Rc<RefCell<State>>,
    listener: ListenerId,
    listen: Address,
}

/// What all connections of a relay share.
struct State {
    options: Options,
    log: Log,
    live: HashMap<u64, (Handle, Instant)>,
    next: u64,
    /// Bytes of connections that are over, inward and outward.
    done: (u64, u64),
    draining: bool,
}

/// Starts to relay on a loop.
pub(crate) fn start(events: &mut EventLoop, options: &Options, log: Log) -> Result<Relay, String> {
    let state = Rc::new(RefCell::new(State {
        options: options.clone(),
        log,
        live: HashMap::new(),
        next: 0,
        done: (0, 0),
        draining: false,
    }));
    let trouble_state = Rc::clone(&state);
    events.on_trouble(move |trouble| {
        let text = match trouble {
            Trouble::Resting(_, error) => format!(
                "cannot accept connections: {error}; trying again by itself, \
                 raise the limit of open files (ulimit -n) if this comes often"
            ),
            Trouble::ListenerFailed(_, error) => format!("the listener failed: {error}"),
            other => format!("{other:?}"),
        };
        trouble_state.borrow_mut().log.line(&text);
    });
    let config = options.stream_config();
    let own = Rc::clone(&state);
    let listener = events
        .context()
        .listen_with(
            &options.listen,
            &ListenOptions::default(),
            Some(config),
            move || Box::new(Front::new(Rc::clone(&own))),
        )
        .map_err(|error| cannot_listen(&options.listen, &error))?;
    Ok(Relay {
        state,
        listener,
        listen: options.listen.clone(),
    })
}

impl Relay {
    /// Where it listens, the port included that the system chose.
    pub(crate) fn address(&self, events: &mut EventLoop) -> Address {
        match events.context().listener_addr(self.listener) {
            Some(bound) => Address::Socket(bound),
            None => self.listen.clone(),
        }
    }

    fn shared(&self) -> Rc<RefCell<State>> {
        Rc::clone(&self.state)
    }
}

impl State {
    /// Connections now, and bytes inward and outward since the start.
    fn totals(&self, context: &mut Context<'_>) -> (usize, u64, u64) {
        let (mut inward, mut outward) = self.done;
        for (front, _) in self.live.values() {
            let (received, sent) = context.transferred(front).unwrap_or_default();
            inward += received;
            outward += sent;
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

fn watch_signals(events: &mut EventLoop, relay: &Relay) -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        let state = relay.shared();
        let listener = relay.listener;
        events.context().signal(signal, move |context, times| {
            let mut state = state.borrow_mut();
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
fn draw(
    context: &mut Context<'_>,
    state: Rc<RefCell<State>>,
    mut line: live::Line,
) -> io::Result<()> {
    let id = Rc::new(std::cell::Cell::new(None));
    let own = Rc::clone(&id);
    let timer = context.timer(live::PERIOD, move |context| {
        let (connections, inward, outward) = state.borrow().totals(context);
        line.draw(connections, inward, outward);
        if let Some(id) = own.get() {
            context.arm_timer(id, live::PERIOD);
        }
    })?;
    id.set(Some(timer));
    Ok(())
}

/// The side of a connection that was accepted.
struct Front {
    state: Rc<RefCell<State>>,
    id: u64,
    peer: String,
    back: Option<Handle>,
    upstream: Rc<RefCell<Option<CloseReason>>>,
    idle: Idle,
}

/// The side towards the upstream.
struct Back {
    front: Handle,
    reason: Rc<RefCell<Option<CloseReason>>>,
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
    fn new(state: Rc<RefCell<State>>) -> Self {
        Self {
            state,
            id: 0,
            peer: String::new(),
            back: None,
            upstream: Rc::default(),
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
            let mut state = self.state.borrow_mut();
            state.next += 1;
            self.id = state.next;
            state.live.insert(self.id, (front.clone(), Instant::now()));
            (state.options.connect.clone(), state.options.stream_config())
        };
        let back = Back {
            front: front.clone(),
            reason: Rc::clone(&self.upstream),
            idle: Idle::default(),
        };
        match stream.context().connect_with(&connect, None, config, back) {
            Ok(back) => {
                front.pipe(&back);
                self.back = Some(back);
            }
            Err(error) => {
                *self.upstream.borrow_mut() = Some(CloseReason::Failed {
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
        let mut state = self.state.borrow_mut();
        let started = state.live.remove(&self.id).map(|(_, at)| at);
        let seconds = started.map_or(0.0, |at| at.elapsed().as_secs_f64());
        state.done.0 += stream.received_bytes();
        state.done.1 += stream.sent_bytes();
        let why = match &*self.upstream.borrow() {
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
        if self.reason.borrow().is_none() {
            *self.reason.borrow_mut() = Some(reason);
        }
        if failed {
            // There is nobody to talk to: the client need not wait.
            self.front.close();
        }
    }
}
