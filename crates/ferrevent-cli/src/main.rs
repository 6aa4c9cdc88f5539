//! The ferrevent command: a relay for every day, and a demonstration.
#![forbid(unsafe_code)]

mod demo;
#[cfg(unix)]
mod exec;
mod live;
mod log;
mod manual;
mod relay;

use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};

use clap::{Parser, Subcommand};

/// Streams that just move bytes.
///
/// A relay for every day, on an event-driven networking engine.
#[derive(Parser)]
#[command(
    name = "ferrevent",
    version,
    propagate_version = true,
    subcommand_value_name = "COMMAND",
    subcommand_help_heading = "Commands",
    after_long_help = EXIT_STATUS
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Relay every connection to LISTEN to CONNECT.
    ///
    /// Bytes go both ways as they come, a half-closed connection stays half
    /// open, and a slow reader slows its sender instead of filling memory. One
    /// log line is written when a connection ends; on a terminal a live line
    /// counts.
    ///
    /// SIGTERM or SIGINT drains: no new connections, the others end in their
    /// own time. A second one ends at once.
    Relay(Box<relay::Options>),
    /// Run an upstream, a relay and clients here, and check every byte.
    Demo(demo::Options),
    /// Run an installed program that uses libevent on this engine.
    ///
    /// The program is not changed: it finds this project's libevent-2.1.so.7
    /// before the system's. What that has is listed in the README; a program
    /// that needs more is told the function's name, and ends.
    #[cfg(unix)]
    Exec(exec::Options),
    /// Print what a shell needs to complete this command.
    ///
    /// bash: ferrevent completions bash > /etc/bash_completion.d/ferrevent
    ///
    /// zsh: ferrevent completions zsh > a directory of $fpath, as _ferrevent
    ///
    /// fish: ferrevent completions fish > ~/.config/fish/completions/ferrevent.fish
    Completions(manual::Completions),
    /// Print the manual page, for man(1).
    ///
    /// To read it: ferrevent man relay | man -l -
    ///
    /// To install it: ferrevent man > /usr/local/share/man/man1/ferrevent.1, and
    /// likewise for each COMMAND as ferrevent-COMMAND.1.
    Man(manual::Page),
}

const EXIT_STATUS: &str = "\
Exit status:
  0
      All well.
  1
      Something failed, and standard error says what.
  2
      Wrong usage.";

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Relay(options) => return relay::run(&options),
        Command::Demo(options) => demo::run(&options),
        #[cfg(unix)]
        Command::Exec(options) => exec::run(&options),
        Command::Completions(options) => manual::completions(&options),
        Command::Man(page) => manual::page(&page),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => failed(&message),
    }
}

/// Says why it ends.
fn failed(message: &str) -> ExitCode {
    eprintln!("ferrevent: {message}");
    ExitCode::FAILURE
}

/// What a thread that panicked left is as good as ever here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
