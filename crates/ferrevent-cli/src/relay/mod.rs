//! `ferrevent relay LISTEN CONNECT`.

mod check;
mod compress;
mod connection;
mod every;
#[cfg(unix)]
mod limits;
#[cfg(not(unix))]
#[path = "no_limits.rs"]
mod limits;
mod listen;
mod options;
mod rate;
mod reason;
#[cfg(target_os = "linux")]
mod service;
#[cfg(not(target_os = "linux"))]
#[path = "no_service.rs"]
mod service;
mod state;
mod tls;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use ferrevent::{Address, Context, Trouble};

use crate::live;
use crate::lock;
use crate::log::{Event, Log};
use connection::Front;
use every::every;
use listen::Listen;
use rate::Rates;
use service::Service;

pub(crate) use options::Options;
pub(crate) use state::Relay;

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;
/// The idle timeout is checked so many times in its length.
const IDLE_CHECKS: u32 = 8;

/// Runs a relay until it is told to end, or looks whether one would run.
pub(crate) fn run(options: &Options) -> ExitCode {
    if options.check {
        return check::run(options);
    }
    let log = match Log::open(&options.log) {
        Ok(log) => log,
        Err(message) => return crate::failed(&message),
    };
    let (service, unreachable) = match Service::find() {
        Ok(service) => (service, None),
        Err(reason) => (Service::none(), Some(reason)),
    };
    let relay = Relay::with(options, log, service);
    if let Some(reason) = unreachable {
        relay.log(&Event::Trouble { reason: &reason });
    }
    let outcome = serve(options, &relay);
    live::Line::clear();
    if let Err(message) = outcome {
        relay.log_unless_text_on_stderr(&Event::Failed { reason: &message });
        if options.log.owns_stderr() {
            return ExitCode::FAILURE;
        }
        return crate::failed(&message);
    }
    relay.stopped();
    ExitCode::SUCCESS
}

/// Runs until it is told to end. The connections that stand then are over,
/// and logged, when this returns.
fn serve(options: &Options, relay: &Relay) -> Result<(), String> {
    options.agree()?;
    relay.load_tls()?;
    let failed = |error: io::Error| format!("the event loop failed: {error}");
    let builder = options.builder();
    let hook = relay.clone();
    let trouble = move |trouble: &Trouble| hook.trouble(trouble);
    let outcome = if options.capacity.workers == 0 {
        let mut events = builder.build().map_err(|error| error.to_string())?;
        events.on_trouble(trouble);
        relay.begin(&mut events.context())?;
        events.run().map_err(failed)
    } else {
        let pool = builder
            .build_pool(options.capacity.workers.into())
            .map_err(|error| error.to_string())?;
        pool.on_trouble(trouble);
        relay.begin(&mut pool.context())?;
        pool.run().map_err(failed)
    };
    if let Listen::Address(Address::Unix(path)) = &options.listen {
        // Left behind it would only be taken over by the next one.
        let _ = std::fs::remove_file(path);
    }
    outcome
}

impl Relay {
    /// A relay that no service manager watches.
    pub(crate) fn new(options: &Options, log: Log) -> Self {
        Self::with(options, log, Service::none())
    }

    /// Starts to relay; answers where it listens, the port included that the
    /// system chose.
    pub(crate) fn listen(&self, context: &mut Context<'_>) -> Result<Vec<String>, String> {
        let shared = &self.0;
        let rates = Rates::new(&shared.options.rate, context)?;
        *lock(&shared.rates) = Arc::new(rates);
        let own = self.clone();
        let listening = shared.options.listen.open(
            context,
            &shared.options.listen_options(),
            shared.config,
            move || Front::new(own.clone()),
        )?;
        if let Some(allowance) = &shared.allowance {
            for (listener, _) in &listening {
                context.limit(*listener, allowance);
            }
        }
        let (listeners, addresses) = listening.into_iter().unzip();
        lock(&shared.state).listeners = listeners;
        Ok(addresses)
    }

    /// Listens, says so, and does what a command does: signals, a live line,
    /// word to the service manager.
    fn begin(&self, context: &mut Context<'_>) -> Result<(), String> {
        if let Some(cap) = self.0.options.capacity.max_connections
            && let Err(reason) = limits::provide(cap)
        {
            self.log(&Event::CapTooHigh { reason: &reason });
        }
        let addresses = self.listen(context)?;
        // Who reads that it relays may send it signals.
        self.watch_signals(context)
            .map_err(|error| format!("cannot catch signals: {error}"))?;
        self.announce(&addresses);
        self.report(context)
            .map_err(|error| format!("cannot set timers: {error}"))
    }

    fn announce(&self, addresses: &[String]) {
        let options = &self.0.options;
        let event = Event::Started {
            listen: addresses,
            upstream: &self.0.upstream,
            workers: options.capacity.workers,
            max_connections: options.capacity.max_connections,
            listen_compression: options.compression.clients().map(|it| it.to_string()),
            upstream_compression: options.compression.upstream().map(|it| it.to_string()),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION"),
        };
        if !options.log.owns_stderr() {
            eprintln!("{event}");
        }
        self.log_unless_text_on_stderr(&event);
    }

    /// For what standard error is told in any case: twice would be once too
    /// often.
    fn log_unless_text_on_stderr(&self, event: &Event<'_>) {
        let options = &self.0.options.log;
        if options.owns_stderr() || options.file().is_some() {
            self.log(event);
        }
    }

    fn trouble(&self, trouble: &Trouble) {
        let text;
        self.log(&match trouble {
            Trouble::Resting(_, error) => {
                text = error.to_string();
                Event::AcceptFailed {
                    reason: &text,
                    remedy: reason::remedy_of_exhaustion(error),
                }
            }
            Trouble::ListenerFailed(_, error) => {
                text = error.to_string();
                Event::ListenerFailed { reason: &text }
            }
            Trouble::Panicked(message) => {
                text = format!("a mistake in ferrevent, please report it: {message}");
                Event::Trouble { reason: &text }
            }
            Trouble::FellBack(kind, error) => {
                text = format!(
                    "io_uring cannot be had here: {error}; {kind} is used instead \
                     (--backend {kind} asks for it and says nothing)"
                );
                Event::Trouble { reason: &text }
            }
            other => {
                text = format!("{other:?}");
                Event::Trouble { reason: &text }
            }
        });
    }

    fn watch_signals(&self, context: &mut Context<'_>) -> io::Result<()> {
        for signal in [SIGINT, SIGTERM] {
            let relay = self.clone();
            context.signal(signal, move |context, times| {
                relay.drain(context, times > 1);
            })?;
        }
        let options = &self.0.options;
        let has_files = options.tls.listens() || options.tls.connects();
        if cfg!(unix) && (has_files || options.log.file().is_some()) {
            let relay = self.clone();
            context.signal(SIGHUP, move |_, _| {
                lock(&relay.0.log).reopen();
                if has_files {
                    relay.reload_tls();
                }
            })?;
        }
        Ok(())
    }

    /// Tells how it goes, now and every so often: on the terminal, and to the
    /// service manager.
    fn report(&self, context: &mut Context<'_>) -> io::Result<()> {
        if live::is_wanted() && !self.0.options.log.owns_stderr() {
            let (relay, mut line) = (self.clone(), live::Line::new());
            every(context, live::PERIOD, move |context| {
                let totals = relay.totals(context);
                let levels = relay.rates().levels();
                line.draw(totals.live, totals.bytes.0, totals.bytes.1, levels);
            })?;
        }
        let service = &self.0.service;
        if service.is_there() {
            let relay = self.clone();
            every(context, service::STATUS_PERIOD, move |context| {
                let totals = relay.totals(context);
                relay.0.service.status(relay.status(&totals));
            })?;
            let totals = self.totals(context);
            service.ready(&self.status(&totals));
        }
        if let Some(period) = service.watchdog() {
            let relay = self.clone();
            every(context, period, move |_| relay.0.service.alive())?;
        }
        Ok(())
    }
}
