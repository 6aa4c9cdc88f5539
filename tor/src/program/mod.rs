//! The program: what it is told, and what it does.

pub mod client;
pub mod config;
mod fetch;
mod link;
mod live;
mod proxy;
mod rate;
#[cfg(feature = "relay")]
mod respond;
mod socks;
mod state;
mod tap;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use ferrevent::BackendKind;
use ferrevent::limit::RateLimits;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::TorRuntime;
use rate::Bytes;

/// A Tor client: Arti on Ferrevent's streams, TLS and rate limits.
#[derive(Parser)]
#[command(name = "ferrevent-tor", version, after_long_help = EXIT_STATUS)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fetch a page through Tor, to a file or to standard output.
    Fetch(fetch::Options),
    /// Be a SOCKS proxy that leads into Tor.
    ///
    /// SOCKS4, 4a and 5, for CONNECT and for Tor's RESOLVE. Connections with
    /// different user names or passwords never share a circuit. On a terminal
    /// a live line counts. SIGINT or SIGTERM ends it.
    Proxy(proxy::Options),
    /// Make one link to one relay, and print how long each step took.
    ///
    /// TCP, TLS, the link handshake, a circuit by CREATE_FAST, and the relay's
    /// own descriptor over BEGIN_DIR.
    Link(link::Options),
    /// Accept links, as a relay does, and answer what comes on them.
    ///
    /// Identity and keys are made anew each time. Circuits are not extended,
    /// and a directory is only played. This stands on a part of Arti that is
    /// experimental.
    #[cfg(feature = "relay")]
    Respond(respond::Options),
}

const EXIT_STATUS: &str = "\
Exit status:
  0
      All well.
  1
      Something failed, and standard error says what.
  2
      Wrong usage.";

/// What every command is told.
#[derive(Args)]
struct Common {
    /// Read Arti's configuration from this TOML file, or this directory/ of them.
    ///
    /// It may be given several times; later ones count more. Without it
    /// Arti's own places are looked at, and its defaults hold.
    #[arg(long, value_name = "FILE")]
    config: Vec<std::path::PathBuf>,
    /// Let all links to Tor together receive, and send, no more than this:
    /// 500KB/s, 4Mbit.
    ///
    /// It counts on the wire, TLS included, and for each way by itself.
    #[arg(long, value_name = "RATE")]
    rate: Option<Bytes>,
    /// Let so much go at once after a silence. Default: a tenth of a second's
    /// worth.
    #[arg(long, value_name = "BYTES", requires = "rate")]
    burst: Option<Bytes>,
    /// Which interface of the kernel moves the bytes: epoll, uring or poll.
    #[arg(long, value_name = "BACKEND")]
    backend: Option<BackendKind>,
    /// So many threads. Default: one, which is enough for a client.
    #[arg(long, value_name = "THREADS")]
    workers: Option<std::num::NonZeroUsize>,
    /// What is logged to standard error: off, error, warn, info, debug or
    /// trace, for all or for some modules: warn,tor_proto=debug.
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    log: String,
}

impl Common {
    fn runtime(&self) -> anyhow::Result<TorRuntime> {
        let filter = self.log.parse::<Targets>();
        let filter = filter.with_context(|| format!("--log {}", self.log))?;
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(live::Log)
            .with_ansi(false);
        tracing_subscriber::registry()
            .with(lines)
            .with(filter)
            .init();
        let mut builder = TorRuntime::builder();
        if let Some(kind) = self.backend {
            builder = builder.backend(kind);
        }
        if let Some(workers) = self.workers {
            builder = builder.workers(workers.get());
        }
        let runtime = builder.build().context("the runtime cannot be made")?;
        if let Some(rate) = self.rate {
            let limit = rate::limit(rate, self.burst)?;
            runtime.bandwidth().reset(RateLimits::both(limit));
        }
        Ok(runtime)
    }
}

/// What the command does. It never returns before that is done.
pub fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Fetch(options) => fetch::run(&options),
        Command::Proxy(options) => proxy::run(&options),
        Command::Link(options) => link::run(&options),
        #[cfg(feature = "relay")]
        Command::Respond(options) => respond::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ferrevent-tor: {error:#}");
            ExitCode::FAILURE
        }
    }
}
