//! One thread raises a user event as fast as it can; what counts is the
//! callbacks that ran. Prints `wakes`, the callbacks, the CPU time of the
//! loop's thread in nanoseconds and the seconds, separated by tabs.

use std::cell::Cell;
use std::error::Error;
use std::fs;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, mpsc::Sender};
use std::thread;
use std::time::{Duration, Instant};

use ferrevent::{EventLoop, Trigger};

const WARM_UP: Duration = Duration::from_millis(300);
const WINDOW: Duration = Duration::from_secs(1);

fn main() -> Result<(), Box<dyn Error>> {
    let (send, receive) = mpsc::channel();
    let looping = thread::Builder::new()
        .name("loop".into())
        .spawn(move || measure(&send).map_err(|error| error.to_string()))?;
    let trigger = receive.recv()?;
    let ended = Arc::new(AtomicBool::new(false));
    let own = Arc::clone(&ended);
    let waking = thread::Builder::new().name("waker".into()).spawn(move || {
        while !own.load(Ordering::Relaxed) {
            trigger.raise();
        }
    })?;
    let line = looping.join().map_err(|_| "the loop panicked")?;
    ended.store(true, Ordering::Relaxed);
    waking.join().map_err(|_| "the waker panicked")?;
    println!("{}", line?);
    Ok(())
}

/// The loop's thread: warms up, then counts for a second.
fn measure(trigger: &Sender<Trigger>) -> Result<String, Box<dyn Error>> {
    let mut events = EventLoop::new()?;
    let callbacks = Rc::new(Cell::new(0u64));
    let own = Rc::clone(&callbacks);
    let mut ends = Instant::now() + WARM_UP;
    let mut warm = false;
    let begun = Rc::new(Cell::new((0, Instant::now())));
    let shared = Rc::clone(&begun);
    trigger.send(events.local().trigger(move |context| {
        own.set(own.get() + 1);
        // The clock is read once in 64 callbacks: it is no part of what is measured.
        if !own.get().is_multiple_of(64) || Instant::now() < ends {
            return;
        }
        if warm {
            context.stop(true);
        } else {
            warm = true;
            own.set(0);
            shared.set((cpu_time(), Instant::now()));
            ends = Instant::now() + WINDOW;
        }
    })?)?;
    events.run()?;
    let (cpu, start) = begun.get();
    Ok(format!(
        "wakes\t{}\t{}\t{:.6}",
        callbacks.get(),
        cpu_time().saturating_sub(cpu),
        start.elapsed().as_secs_f64()
    ))
}

/// Nanoseconds that this thread has been on a CPU (the first figure of Linux's
/// schedstat); 0 where the system does not tell.
fn cpu_time() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|text| text.parse().ok()).unwrap_or(0)
}
