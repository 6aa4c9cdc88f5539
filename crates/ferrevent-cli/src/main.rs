//! The ferrevent command: a relay for every day, and a demonstration.
#![forbid(unsafe_code)]

mod demo;
mod live;
mod log;
mod relay;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Streams that just move bytes.
///
/// Exit codes: 0 all well, 1 something failed, 2 wrong usage.
#[derive(Parser)]
#[command(name = "ferrevent", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Relay every connection to LISTEN to CONNECT.
    ///
    /// SIGTERM or SIGINT drains: no new connections, the others end in their
    /// own time. A second one ends at once.
    Relay(relay::Options),
    /// Run an upstream, a relay and clients here, and check every byte.
    Demo(demo::Options),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Relay(options) => relay::run(&options),
        Command::Demo(options) => demo::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("ferrevent: {message}");
            ExitCode::FAILURE
        }
    }
}
