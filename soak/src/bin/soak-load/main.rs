//! The load of `cargo xtask soak`: many blocking connections, each with a plan
//! that follows from the seed, its slot and its number. Nothing of the engine
//! is in it.
//!
//! It works in waves. Between two of them nothing is open: it says `lull N`,
//! and goes on once it reads a line. At the end it says what it saw.
#![forbid(unsafe_code)]

mod connection;
mod link;
mod options;
mod plan;
mod throttle;
mod totals;

use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use options::Options;
use plan::Plan;
use throttle::Throttle;
use totals::Totals;

/// What all connections share.
struct World {
    options: Options,
    throttle: Throttle,
    totals: Totals,
    /// Held by whoever speaks and waits for the answer.
    talk: Mutex<()>,
}

fn main() -> ExitCode {
    let world = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => World {
            throttle: Throttle::new(options.rate),
            options,
            totals: Totals::default(),
            talk: Mutex::default(),
        },
        Err(message) => {
            eprintln!("soak-load: {message}");
            return ExitCode::FAILURE;
        }
    };
    match world.options.only {
        Some((slot, number)) => world.one(slot, number),
        None => world.waves(),
    }
    println!("{}", world.totals);
    if world.totals.all_well() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

impl World {
    fn waves(&self) {
        let end = Instant::now() + self.options.time;
        let mut numbers = vec![0; self.options.connections];
        let mut wave = 0;
        loop {
            let until = end.min(Instant::now() + self.options.wave);
            thread::scope(|scope| {
                for (slot, number) in numbers.iter_mut().enumerate() {
                    let run = move || self.slot(slot as u32, number, until);
                    let thread = thread::Builder::new().stack_size(STACK);
                    if let Err(error) = thread.spawn_scoped(scope, run) {
                        self.totals.fail(&format!("cannot start a thread: {error}"));
                        return;
                    }
                }
            });
            let now = Instant::now();
            if now >= end || self.totals.is_hopeless() {
                return;
            }
            wave += 1;
            self.say_and_wait(&format!("lull {wave}"));
        }
    }

    /// One connection after the other.
    fn slot(&self, slot: u32, number: &mut u32, until: Instant) {
        while Instant::now() < until && !self.totals.is_hopeless() {
            *number += 1;
            self.one(slot, *number);
        }
    }

    fn one(&self, slot: u32, number: u32) {
        let plan = Plan::new(self.options.seed, slot, number);
        self.totals.begins();
        let begin = Instant::now();
        let outcome = connection::run(&plan, self);
        self.totals.ends(&plan, outcome, begin.elapsed());
    }

    /// Somebody watches from outside, and looks before this goes on.
    fn say_and_wait(&self, what: &str) {
        let Ok(_talking) = self.talk.lock() else {
            return;
        };
        let mut stdout = std::io::stdout();
        if writeln!(stdout, "{what}")
            .and_then(|()| stdout.flush())
            .is_ok()
        {
            // An end is an answer too.
            let _ = std::io::stdin().lock().read_line(&mut String::new());
        }
    }
}

/// There are two threads for each connection, and they call nothing deep.
const STACK: usize = 128 * 1024;

/// How often a thread that waits for its peer looks at what else there is.
const TICK: Duration = Duration::from_millis(250);
