//! One thread notifies as fast as it can; the loop's thread counts the wake-ups that its task saw.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::Builder;
use tokio::sync::Notify;

const WARM_UP: Duration = Duration::from_millis(300);
const WINDOW: Duration = Duration::from_secs(1);

pub(crate) fn run() -> io::Result<()> {
    let notify = Arc::new(Notify::new());
    let done = Arc::new(AtomicBool::new(false));
    let looping = {
        let notify = notify.clone();
        thread::Builder::new()
            .name("loop".into())
            .spawn(move || measure(&notify))?
    };
    let waking = {
        let done = done.clone();
        thread::Builder::new().name("waker".into()).spawn(move || {
            while !done.load(Ordering::Relaxed) {
                notify.notify_one();
            }
        })?
    };
    let outcome = looping
        .join()
        .map_err(|_| io::Error::other("the loop's thread panicked"))?;
    done.store(true, Ordering::Relaxed);
    let _ = waking.join();
    let line = outcome?;
    println!("{line}");
    Ok(())
}

fn measure(notify: &Notify) -> io::Result<String> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        count_until(notify, Instant::now() + WARM_UP).await;
        let begin = Instant::now();
        let cpu = own_cpu()?;
        let callbacks = count_until(notify, begin + WINDOW).await;
        let seconds = begin.elapsed().as_secs_f64();
        let cpu = own_cpu()? - cpu;
        Ok(format!("wakes\t{callbacks}\t{cpu}\t{seconds:.6}"))
    })
}

/// The clock is read once in 64 wake-ups: it is no part of what is measured.
async fn count_until(notify: &Notify, end: Instant) -> u64 {
    let mut count = 0;
    loop {
        notify.notified().await;
        count += 1;
        if count % 64 == 0 && Instant::now() >= end {
            return count;
        }
    }
}

fn own_cpu() -> io::Result<u64> {
    std::fs::read_to_string("/proc/thread-self/schedstat")?
        .split_whitespace()
        .next()
        .and_then(|field| field.parse().ok())
        .ok_or_else(|| io::Error::other("schedstat has no figures"))
}
