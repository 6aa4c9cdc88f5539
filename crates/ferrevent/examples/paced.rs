//! Streams under a rate limit: `paced pump|sink ADDR CONNS RATE BURST SECONDS [BACKEND]`. So many
//! connections share a rate, one alone has it to itself. Once all stand and the burst is gone,
//! what moved and the CPU time it took are printed after so many seconds, from the beginning of
//! one movement to that of another.

use std::cell::RefCell;
use std::error::Error;
use std::fs;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ferrevent::limit::{RateLimit, RateLimits, Share};
use ferrevent::{Buffer, Builder, Handler, RateGroup, Stream};

const USAGE: &str = "usage: paced pump|sink ADDR CONNS RATE BURST SECONDS [BACKEND]";
const CHUNK: usize = 64 * 1024;
const WARM_UP: Duration = Duration::from_secs(2);
/// A boundary lies where nothing has moved for so long; with no such gap,
/// anywhere after the patience.
const GAP: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_millis(300);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (what, address, numbers, backend) = match arguments.as_slice() {
        [what, address, numbers @ ..] if (4..=5).contains(&numbers.len()) => {
            (what.as_str(), address, &numbers[..4], numbers.get(4))
        }
        _ => return Err(USAGE.into()),
    };
    let mut values = [0_u64; 4];
    for (value, text) in values.iter_mut().zip(numbers) {
        *value = text.parse()?;
    }
    let [wanted, rate, burst, seconds] = values;
    let mut builder = Builder::new();
    if let Some(kind) = backend {
        builder = builder.backend(kind.parse()?);
    }
    let mut events = builder.build()?;
    let limits = RateLimits::both(RateLimit::new(rate)?.with_burst(burst)?);
    let group = events.context().rate_group(limits)?;
    let count = Rc::new(RefCell::new(Count {
        wanted,
        connections: 0,
        due: None,
        window: Duration::from_secs(seconds),
        before: Instant::now(),
        total: 0,
        opened: None,
    }));
    let chunk = bytes::Bytes::from(vec![b'p'; CHUNK]);
    let pumps = match what {
        "pump" => true,
        "sink" => false,
        _ => return Err(USAGE.into()),
    };
    events.listen(address.parse()?, move || Paced {
        pumps,
        chunk: chunk.clone(),
        place: if wanted == 1 {
            Place::Alone(limits)
        } else {
            Place::Among(group.clone())
        },
        seen: 0,
        count: Rc::clone(&count),
    })?;
    println!("listening");
    Ok(events.run()?)
}

struct Paced {
    pumps: bool,
    chunk: bytes::Bytes,
    place: Place,
    /// Bytes of this stream that were counted.
    seen: u64,
    count: Rc<RefCell<Count>>,
}

enum Place {
    Alone(RateLimits),
    Among(RateGroup),
}

impl Paced {
    fn send(&self, stream: &mut Stream<'_>) {
        // Refused only once the stream is over.
        let _ = stream.write_buffer(&mut Buffer::from(self.chunk.clone()));
    }

    fn count(&mut self, stream: &mut Stream<'_>, total: u64) {
        let bytes = total - self.seen;
        self.seen = total;
        if self.count.borrow_mut().moved(bytes) {
            stream.context().stop(true);
        }
    }
}

impl Handler for Paced {
    fn opened(&mut self, stream: &mut Stream<'_>) {
        let limited = match &self.place {
            Place::Alone(limits) => stream.limit(*limits),
            Place::Among(group) => stream.join(group, Share::default()),
        };
        if let Err(error) = limited {
            eprintln!("{error}");
        }
        if self.pumps {
            stream.tell_sent(true);
            self.send(stream);
        }
        self.count.borrow_mut().connected();
    }

    fn readable(&mut self, stream: &mut Stream<'_>) {
        let _ = stream.input().clear();
        if !self.pumps {
            self.count(stream, stream.received_bytes());
        }
    }

    fn sent(&mut self, stream: &mut Stream<'_>) {
        self.count(stream, stream.sent_bytes());
    }

    fn writable(&mut self, stream: &mut Stream<'_>) {
        if self.pumps {
            self.send(stream);
        }
    }
}

struct Count {
    wanted: u64,
    connections: u64,
    /// When the next boundary is due.
    due: Option<Instant>,
    window: Duration,
    before: Instant,
    total: u64,
    /// When it began, and the bytes and the CPU time until then.
    opened: Option<(Instant, u64, u64)>,
}

impl Count {
    fn connected(&mut self) {
        self.connections += 1;
        if self.connections == self.wanted {
            self.due = Some(Instant::now() + WARM_UP);
        }
    }

    /// Whether it is over.
    fn moved(&mut self, bytes: u64) -> bool {
        let now = Instant::now();
        let gap = now - self.before > GAP;
        if let Some(due) = self.due.filter(|due| now >= *due)
            && (gap || now >= due + PATIENCE)
        {
            let cpu = cpu_time();
            if let Some((begun, bytes, used)) = self.opened {
                let (bytes, took) = (self.total - bytes, (now - begun).as_nanos());
                println!("bytes={bytes} ns={took} cpu_ns={}", cpu - used);
                return true;
            }
            self.opened = Some((now, self.total, cpu));
            self.due = Some(now + self.window);
        }
        self.total += bytes;
        self.before = now;
        false
    }
}

/// The CPU time of this thread in nanoseconds, as the scheduler counts it.
fn cpu_time() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|word| word.parse().ok()).unwrap_or(0)
}
