//! `ferrevent demo`: an upstream, a relay and clients in one process, and
//! every byte checked.

use std::cell::RefCell;
use std::fs;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use ferrevent::{Address, CloseReason, EventLoop, Handler, Remote, Stream};

use crate::live::{self, amount};
use crate::log::Log;
use crate::relay::{self, Relay};

/// Idle streams that memory is measured with.
const IDLE: usize = 1000;
/// Bytes a client writes at once.
const PIECE: usize = 64 * 1024;

/// What a demonstration is told.
#[derive(Args)]
pub(crate) struct Options {
    /// How long to push data through.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Connections through the relay.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    connections: u16,
}

/// Runs the demonstration; an error when any byte was wrong.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let idle = measure_idle_memory()?;
    let any: Address = "127.0.0.1:0".parse().map_err(|error| format!("{error}"))?;
    let upstream = spawn("upstream", {
        let any = any.clone();
        move |events| {
            let listener = events
                .listen(any, || |stream: &mut Stream<'_>| stream.echo())
                .map_err(|error| error.to_string())?;
            bound(events, listener)
        }
    })?;
    let to = upstream.address.clone();
    let middle = spawn("relay", move |events| {
        let relay = Relay::new(&relay::Options::plain(any, to), Log::nowhere());
        let bound = relay.listen(&mut events.context())?;
        let first = bound.first().ok_or("the relay has no address")?;
        first.parse().map_err(|error| format!("{error}"))
    })?;
    println!(
        "upstream {}  <-  relay {}  <-  {} clients, for {} s",
        upstream.address, middle.address, options.connections, options.seconds
    );
    let before = cpu_time();
    let started = Instant::now();
    let tally = clients(options, &middle.address)?;
    let seconds = started.elapsed().as_secs_f64();
    let cpu = cpu_time().zip(before).map(|(after, before)| after - before);
    middle.end();
    upstream.end();
    let tally = tally.borrow();
    let wrong = tally.wrong + (tally.sent - tally.checked - tally.wrong);
    let gigabytes = tally.checked as f64 / 1e9;
    println!(
        "bytes        {} there and back",
        amount(tally.checked as f64)
    );
    println!(
        "rate         {}/s each way",
        amount(tally.checked as f64 / seconds)
    );
    println!(
        "connections  {} of {} finished",
        tally.finished, options.connections
    );
    println!(
        "CPU per GB   {}",
        cpu.map_or("not measured here".into(), |cpu| format!(
            "{:.2} s, of client, relay and upstream together",
            cpu.as_secs_f64() / gigabytes.max(1e-9)
        ))
    );
    println!(
        "memory       {}",
        idle.map_or("not measured here".into(), |bytes| format!(
            "{bytes} bytes for each idle connection, handler and handle included"
        ))
    );
    println!("bytes wrong: {wrong}");
    if wrong > 0 || tally.finished != u64::from(options.connections) {
        return Err(format!(
            "{wrong} bytes wrong, {} connections ended badly: {}",
            u64::from(options.connections) - tally.finished,
            tally.complaint
        ));
    }
    Ok(())
}

/// A loop on a thread of its own.
struct Worker {
    address: Address,
    remote: Remote,
    thread: thread::JoinHandle<()>,
}

impl Worker {
    fn end(self) {
        self.remote.stop();
        // It has nothing more to say.
        let _ = self.thread.join();
    }
}

fn spawn(
    name: &str,
    prepare: impl FnOnce(&mut EventLoop) -> Result<Address, String> + Send + 'static,
) -> Result<Worker, String> {
    let (ready, prepared) = mpsc::channel();
    let thread = thread::Builder::new()
        .name(name.into())
        .spawn(move || {
            let mut events = match EventLoop::new() {
                Ok(events) => events,
                Err(error) => return drop(ready.send(Err(error.to_string()))),
            };
            let outcome = prepare(&mut events);
            let failed = outcome.is_err();
            let remote = events.context().remote();
            if ready.send(outcome.map(|address| (address, remote))).is_ok() && !failed {
                // It ends when it is told to.
                let _ = events.run();
            }
        })
        .map_err(|error| format!("cannot start a thread: {error}"))?;
    let (address, remote) = prepared
        .recv()
        .map_err(|_| format!("the {name} ended before it began"))??;
    Ok(Worker {
        address,
        remote,
        thread,
    })
}

fn bound(events: &mut EventLoop, listener: ferrevent::ListenerId) -> Result<Address, String> {
    events
        .context()
        .listener_addr(listener)
        .map(Address::Socket)
        .ok_or_else(|| "the listener has no address".into())
}

/// What the clients found.
#[derive(Default)]
struct Tally {
    sent: u64,
    checked: u64,
    wrong: u64,
    finished: u64,
    over: u64,
    live: usize,
    stopping: bool,
    complaint: String,
}

fn clients(options: &Options, to: &Address) -> Result<Rc<RefCell<Tally>>, String> {
    let mut events = EventLoop::new().map_err(|error| error.to_string())?;
    let tally: Rc<RefCell<Tally>> = Rc::default();
    for seed in 1..=u64::from(options.connections) {
        let client = Client {
            tally: Rc::clone(&tally),
            sending: Noise(seed),
            expected: Noise(seed),
            piece: vec![0; PIECE],
        };
        events
            .connect(to.clone(), client)
            .map_err(|error| error.to_string())?;
    }
    let mut line = live::Line::new();
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let patience = Duration::from_secs(30);
    while tally.borrow().over < u64::from(options.connections) {
        let now = Instant::now();
        if now > end {
            tally.borrow_mut().stopping = true;
        }
        if now > end + patience {
            tally.borrow_mut().complaint = "they did not end in time".into();
            break;
        }
        events
            .run_for(Duration::from_millis(100))
            .map_err(|error| error.to_string())?;
        if live::is_wanted() {
            let tally = tally.borrow();
            line.draw(tally.live, tally.checked, tally.sent, None);
        }
    }
    live::Line::clear();
    Ok(tally)
}

/// Sends noise and checks that the same noise comes back.
struct Client {
    tally: Rc<RefCell<Tally>>,
    sending: Noise,
    expected: Noise,
    piece: Vec<u8>,
}

/// A generator of bytes that look random (xorshift64).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 24) as u8
    }
}

impl Client {
    fn send(&mut self, stream: &mut Stream<'_>) {
        let mut tally = self.tally.borrow_mut();
        if tally.stopping {
            stream.finish_write();
            return;
        }
        self.piece.fill_with(|| self.sending.next());
        if stream.write(&self.piece).is_ok() {
            tally.sent += self.piece.len() as u64;
        }
    }
}

impl Handler for Client {
    fn opened(&mut self, stream: &mut Stream<'_>) {
        self.tally.borrow_mut().live += 1;
        self.send(stream);
    }

    fn writable(&mut self, stream: &mut Stream<'_>) {
        self.send(stream);
    }

    fn readable(&mut self, stream: &mut Stream<'_>) {
        let mut tally = self.tally.borrow_mut();
        while !stream.input().is_empty() {
            let chunk = stream.input().chunk();
            let len = chunk.len();
            let wrong = chunk
                .iter()
                .filter(|byte| **byte != self.expected.next())
                .count();
            tally.wrong += wrong as u64;
            tally.checked += (len - wrong) as u64;
            if stream.input().drain(len).is_err() {
                break;
            }
        }
    }

    fn closed(&mut self, _: &mut Stream<'_>, reason: CloseReason) {
        let mut tally = self.tally.borrow_mut();
        tally.over += 1;
        tally.live = tally.live.saturating_sub(1);
        if matches!(reason, CloseReason::Finished) {
            tally.finished += 1;
        } else {
            tally.complaint = reason.to_string();
        }
    }
}

/// The memory that one idle connected stream holds, after it has echoed some
/// bytes: measured with many, on this thread.
fn measure_idle_memory() -> Result<Option<u64>, String> {
    if anonymous_memory().is_none() {
        return Ok(None);
    }
    let mut events = EventLoop::new().map_err(|error| error.to_string())?;
    // The first ones pay for what all share.
    let mut handles = Vec::with_capacity(2 * IDLE + 200);
    exchange(&mut events, &mut handles, 100)?;
    let before = anonymous_memory();
    exchange(&mut events, &mut handles, IDLE)?;
    let after = anonymous_memory();
    let grown = after
        .zip(before)
        .map(|(after, before)| after.saturating_sub(before));
    // Each pair is two streams, and each handle kept here is part of the bill.
    Ok(grown.map(|bytes| bytes / (2 * IDLE as u64)))
}

fn exchange(
    events: &mut EventLoop,
    handles: &mut Vec<ferrevent::Handle>,
    pairs: usize,
) -> Result<(), String> {
    for pair in 0..pairs {
        let (one, other) = events
            .context()
            .pair(
                |stream: &mut Stream<'_>| {
                    let _ = stream.input().clear();
                },
                |stream: &mut Stream<'_>| stream.echo(),
            )
            .map_err(|error| {
                format!("cannot open {IDLE} pairs of sockets: {error}; raise ulimit -n")
            })?;
        one.write(&[7; 64][..]).map_err(|error| error.to_string())?;
        handles.extend([one, other]);
        // A few at a time: their messages in flight are not what is measured.
        if pair % 10 == 9 {
            events
                .run_for(Duration::from_millis(1))
                .map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// Anonymous memory of this process, in bytes (Linux: proc(5)).
fn anonymous_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// CPU time of every thread that lives now (Linux: proc(5), schedstat).
fn cpu_time() -> Option<Duration> {
    let mut total = 0;
    for task in fs::read_dir("/proc/self/task").ok()?.flatten() {
        if let Ok(text) = fs::read_to_string(task.path().join("schedstat")) {
            total += text.split_whitespace().next()?.parse::<u64>().ok()?;
        }
    }
    Some(Duration::from_nanos(total))
}
