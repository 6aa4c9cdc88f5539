//! What a handler that blocks does to everybody else's streams: `blocked
//! [--workers N] [--seconds N]`. One stream's handler sleeps for 50 ms at
//! every message, over and over; twenty others echo. Printed is how long the
//! echoes took.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ferrevent::{Context, Handler, Pool, Stream};

const BLOCK: Duration = Duration::from_millis(50);
const OTHERS: usize = 20;

struct Echo {
    blocks: bool,
}

impl Handler for Echo {
    fn readable(&mut self, stream: &mut Stream<'_>) {
        if self.blocks {
            thread::sleep(BLOCK);
        }
        stream.echo();
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (workers, seconds) = arguments()?;
    let pool = Pool::new(workers)?;
    let blocking = listen(&mut pool.context(), true)?;
    let free = listen(&mut pool.context(), false)?;
    let remote = pool.context().remote();
    let over = AtomicBool::new(false);
    let outcome = thread::scope(|scope| {
        let pool = scope.spawn(|| pool.run());
        let blocker = scope.spawn(|| exchange(blocking, &over));
        let others: Vec<_> = (0..OTHERS)
            .map(|_| scope.spawn(|| exchange(free, &over)))
            .collect();
        thread::sleep(Duration::from_secs(seconds));
        over.store(true, Ordering::Relaxed);
        let mut times = Vec::new();
        for other in others {
            times.extend(other.join().map_err(|_| "an echo failed")??);
        }
        let blocked = blocker.join().map_err(|_| "the blocking echo failed")??;
        remote.stop();
        pool.join().map_err(|_| "the pool panicked")??;
        Ok::<_, Box<dyn Error>>((times, blocked.len()))
    });
    let (mut times, blocked) = outcome?;
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 1000].as_secs_f64() * 1e3;
    println!(
        "{workers} workers, {blocked} times {BLOCK:?} in one handler, {} echoes of {OTHERS} others: \
         median {:.3} ms, 99th percentile {:.3} ms, 99.9th {:.3} ms, longest {:.3} ms",
        times.len(),
        at(500),
        at(990),
        at(999),
        at(1000)
    );
    Ok(())
}

fn listen(context: &mut Context<'_>, blocks: bool) -> Result<SocketAddr, Box<dyn Error>> {
    let listener = context.listen(&"127.0.0.1:0".parse()?, move || Echo { blocks })?;
    context
        .listener_addr(listener)
        .ok_or_else(|| "the listener has no address".into())
}

/// Echoes one message after another, a little apart, and times each.
fn exchange(to: SocketAddr, over: &AtomicBool) -> std::io::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    let mut times = Vec::new();
    let mut message = [7; 64];
    while !over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        stream.write_all(&message)?;
        stream.read_exact(&mut message)?;
        times.push(begun.elapsed());
        thread::sleep(Duration::from_micros(500));
    }
    Ok(times)
}

fn arguments() -> Result<(usize, u64), Box<dyn Error>> {
    const USAGE: &str = "usage: blocked [--workers N] [--seconds N]";
    let (mut workers, mut seconds) = (2, 5);
    let mut given = std::env::args().skip(1);
    while let Some(option) = given.next() {
        let value = given.next().ok_or(USAGE)?;
        match option.as_str() {
            "--workers" => workers = value.parse()?,
            "--seconds" => seconds = value.parse()?,
            _ => return Err(USAGE.into()),
        }
    }
    Ok((workers, seconds))
}
