//! The server of `cargo xtask soak`: does what each connection's order says,
//! checks every byte and how each connection ends.
//!
//! `soak-server backends` names the backends that work here.
//! `soak-server TCP UNIX --backend NAME --workers N` serves until SIGTERM, then
//! says what it saw. SIGUSR1 has it say what it holds.
#![forbid(unsafe_code)]

mod session;
mod tally;

use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use ferrevent::{Address, BackendKind, Builder, Context};

use session::Session;
use tally::Tally;

const SIGUSR1: i32 = 10;
const SIGTERM: i32 = 15;
const USAGE: &str = "usage: soak-server backends | TCP UNIX --backend NAME --workers N";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soak-server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["backends"] => {
            name_backends();
            Ok(())
        }
        [tcp, unix, "--backend", backend, "--workers", workers] => {
            let served = [tcp.parse()?, unix.parse()?];
            let builder = Builder::new().backend(backend.parse()?);
            let tally = Arc::new(Tally::default());
            match workers.parse()? {
                0 => on_loop(builder, &served, &tally)?,
                workers => on_pool(builder, workers, &served, &tally)?,
            }
            println!("{tally}");
            Ok(())
        }
        _ => Err(USAGE.into()),
    }
}

/// Those of this system that can be opened; the simulated one is no kernel's.
fn name_backends() {
    for kind in BackendKind::ALL {
        if matches!(kind, BackendKind::Simulated(_)) {
            continue;
        }
        match Builder::new().backend(*kind).build() {
            Ok(_) => println!("{kind}"),
            Err(error) => eprintln!("soak-server: {kind} is left out: {error}"),
        }
    }
}

fn on_loop(builder: Builder, served: &[Address], tally: &Arc<Tally>) -> io::Result<()> {
    let mut events = builder.build()?;
    let (dump, stop) = (Flag::default(), Flag::default());
    let (ask, end) = (dump.clone(), stop.clone());
    begin(
        &mut events.context(),
        served,
        tally,
        move || ask.raise(),
        move || end.raise(),
    )?;
    while !stop.is_up() {
        events.run_once()?;
        if dump.take() {
            eprintln!("{}", events.dump());
        }
    }
    Ok(())
}

fn on_pool(
    builder: Builder,
    workers: usize,
    served: &[Address],
    tally: &Arc<Tally>,
) -> io::Result<()> {
    let pool = builder.build_pool(workers)?;
    let (ask, asked) = mpsc::channel();
    let end = ask.clone();
    let dump = ask.clone();
    begin(
        &mut pool.context(),
        served,
        tally,
        move || drop(dump.send(Asked::Dump)),
        move || drop(end.send(Asked::End)),
    )?;
    thread::scope(|scope| {
        let pool = &pool;
        scope.spawn(move || {
            while let Ok(Asked::Dump) = asked.recv() {
                eprintln!("{}", pool.dump());
            }
        });
        let outcome = pool.run();
        let _ = ask.send(Asked::End);
        outcome
    })
}

enum Asked {
    Dump,
    End,
}

/// Listens, says where, and waits for signals.
fn begin(
    context: &mut Context<'_>,
    served: &[Address],
    tally: &Arc<Tally>,
    mut dump: impl FnMut() + Send + 'static,
    mut end: impl FnMut() + Send + 'static,
) -> io::Result<()> {
    for address in served {
        let tally = Arc::clone(tally);
        let listener = context.listen(address, move || Session::new(Arc::clone(&tally)))?;
        match context.listener_addr(listener) {
            Some(bound) => println!("serving {bound}"),
            None => println!("serving {address}"),
        }
    }
    context.signal(SIGUSR1, move |_, _| dump())?;
    context.signal(SIGTERM, move |context, _| {
        end();
        context.stop(true);
    })?;
    Ok(())
}

/// Raised by a callback, seen by whoever turns the loop.
#[derive(Clone, Default)]
struct Flag(Arc<AtomicBool>);

impl Flag {
    fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_up(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }
}
