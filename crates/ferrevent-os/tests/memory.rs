//! What a backend holds: nothing but a little for an idle connection, and
//! nothing at all once what it held was taken back. The tests live beside the
//! backends because a counting allocator is unsafe.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ferrevent::buffer::trim_pool;
use ferrevent::{
    BackendKind, Builder, CloseReason, Context, EventLoop, Handle, Handler, Pool, Stream,
};

/// No test takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(120);

static LIVE: AtomicI64 = AtomicI64::new(0);
/// Blocks of buffers: nothing else is aligned as they are.
static BLOCKS: AtomicI64 = AtomicI64::new(0);
/// One test at a time counts.
static ALONE: Mutex<()> = Mutex::new(());

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout, 1);
        // SAFETY: the caller's own promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        count(layout, -1);
        // SAFETY: as above.
        unsafe { System.dealloc(start, layout) }
    }
}

fn count(layout: Layout, times: i64) {
    LIVE.fetch_add(layout.size() as i64 * times, Ordering::Relaxed);
    if layout.align() >= 64 {
        BLOCKS.fetch_add(times, Ordering::Relaxed);
    }
}

fn kernels() -> impl Iterator<Item = BackendKind> {
    let all = BackendKind::ALL.iter().copied();
    all.filter(|kind| !matches!(kind, BackendKind::Simulated(_)))
}

#[test]
fn idle_connections_hold_no_buffer_and_little_else() {
    let _alone = ALONE.lock();
    // Each costs two sockets here; 5,000 in a full run.
    let many = if full_cases().is_some() { 5000 } else { 1000 };
    for kind in kernels().take(1) {
        let mut events = Builder::new().backend(kind).build().unwrap();
        let echo = || |stream: &mut Stream<'_>| stream.echo();
        let listener = events.listen("127.0.0.1:0".parse().unwrap(), echo).unwrap();
        let to = events.context().listener_addr(listener).unwrap();
        let mut peers = Vec::with_capacity(many);
        events.run_for(Duration::from_millis(10)).unwrap();
        trim_pool();
        let (live, blocks) = (LIVE.load(Ordering::Relaxed), BLOCKS.load(Ordering::Relaxed));
        while peers.len() < many {
            peers.push(TcpStream::connect(to).unwrap());
            until(&mut events, |events| events.len() > peers.len());
        }
        // Every one was used once, and is idle now.
        for peer in &peers {
            use std::io::{Read, Write};
            (&*peer).write_all(b"ping").unwrap();
            peer.set_nonblocking(true).unwrap();
            let mut answer = [0; 4];
            until(&mut events, |_| (&*peer).read(&mut answer).is_ok());
            assert_eq!(&answer, b"ping");
        }
        // A receive that was begun with a buffer is taken back after a while.
        until(&mut events, |_| {
            trim_pool();
            BLOCKS.load(Ordering::Relaxed) <= blocks
        });
        let blocks = BLOCKS.load(Ordering::Relaxed) - blocks;
        let each = (LIVE.load(Ordering::Relaxed) - live) / many as i64;
        eprintln!("{many} idle connections on {kind}: {blocks} buffers, {each} bytes each");
        assert_eq!(blocks, 0, "an idle connection holds a buffer");
        assert!(each <= 512, "{each} bytes for an idle connection");
    }
}

/// A ring is lent more buffers while many streams receive at once.
#[cfg(target_os = "linux")]
#[test]
fn what_a_burst_took_is_given_back() {
    use std::io::Write;

    const PEERS: usize = 200;
    let _alone = ALONE.lock();
    for kind in kernels() {
        let mut events = Builder::new().backend(kind).build().unwrap();
        let sink = || {
            |stream: &mut Stream<'_>| {
                let _ = stream.input().clear();
            }
        };
        let listener = events.listen("127.0.0.1:0".parse().unwrap(), sink).unwrap();
        let to = events.context().listener_addr(listener).unwrap();
        events.run_for(Duration::from_millis(10)).unwrap();
        trim_pool();
        let before = BLOCKS.load(Ordering::Relaxed);
        let peers: Vec<TcpStream> = (0..PEERS)
            .map(|_| TcpStream::connect(to).unwrap())
            .collect();
        until(&mut events, |events| events.len() > PEERS);
        for _ in 0..3 {
            for mut peer in &peers {
                peer.write_all(&[1; 60_000]).unwrap();
            }
            events.run_for(Duration::from_millis(10)).unwrap();
        }
        trim_pool();
        let most = BLOCKS.load(Ordering::Relaxed) - before;
        let quiet = |_: &mut EventLoop| BLOCKS.load(Ordering::Relaxed) <= before;
        let end = Instant::now() + PATIENCE;
        while !quiet(&mut events) && Instant::now() < end {
            events.run_for(Duration::from_millis(1500)).unwrap();
        }
        assert!(quiet(&mut events), "{kind} keeps {most} buffers");
        eprintln!("{kind}: {most} buffers given back");
        // It goes on as before.
        let goes_on = events
            .context()
            .connect(&to.into(), |_: &mut Stream<'_>| ());
        goes_on.unwrap().write(vec![1; 500_000]).unwrap();
        drop(peers);
        until(&mut events, |events| events.len() <= 3);
    }
}

/// Cases of the random tests in a full run.
fn full_cases() -> Option<u64> {
    std::env::var("FERREVENT_CASES").ok()?.parse().ok()
}

fn until(events: &mut EventLoop, mut done: impl FnMut(&mut EventLoop) -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done(events) {
        assert!(
            Instant::now() < end,
            "it does not come about\n{}",
            events.dump()
        );
        events.run_for(Duration::from_micros(200)).unwrap();
    }
}

#[test]
fn a_storm_of_cancels_leaves_nothing_behind() {
    let _alone = ALONE.lock();
    // 100,000 in a full run.
    let operations = full_cases().map_or(4000, |cases| cases * 5);
    for kind in kernels() {
        for workers in [None, Some(3)] {
            // What is made once, for good, is made in the first.
            storm(kind, workers, operations / 4);
            let before = at_rest();
            let made = storm(kind, workers, operations);
            let left = at_rest() - before;
            eprintln!("{made} operations on {kind}, workers {workers:?}: {left} bytes left");
            assert!(left < 16 * 1024, "{left} bytes left");
        }
    }
}

/// What is in use once threads that have ended have let go of their blocks,
/// which they do a little after they were joined.
fn at_rest() -> i64 {
    trim_pool();
    let mut least = i64::MAX;
    let mut since = Instant::now();
    while since.elapsed() < Duration::from_millis(200) {
        let now = LIVE.load(Ordering::Relaxed);
        if now < least {
            least = now;
            since = Instant::now();
        }
        thread::yield_now();
    }
    least
}

/// Connects, writes and reads that are closed at random moments, among
/// streams that live on and must lose nothing.
fn storm(kind: BackendKind, workers: Option<usize>, operations: u64) -> u64 {
    let builder = Builder::new().backend(kind);
    let rig = match workers {
        None => Rig::Loop(Box::new(builder.build().unwrap())),
        Some(workers) => Rig::pool(builder.build_pool(workers).unwrap()),
    };
    rig.run(operations)
}

enum Rig {
    Loop(Box<EventLoop>),
    Pool(Arc<Pool>, thread::JoinHandle<()>),
}

impl Rig {
    fn pool(pool: Pool) -> Self {
        let pool = Arc::new(pool);
        pool.context().trigger(|_| ()).unwrap();
        let own = Arc::clone(&pool);
        let thread = thread::spawn(move || own.run().unwrap());
        Self::Pool(pool, thread)
    }

    fn context(&mut self) -> Context<'_> {
        match self {
            Rig::Loop(events) => events.context(),
            Rig::Pool(pool, _) => pool.context(),
        }
    }

    fn turn(&mut self, time: Duration) {
        match self {
            Rig::Loop(events) => events.run_for(time).unwrap(),
            Rig::Pool(..) => thread::sleep(time),
        }
    }

    fn dump(&mut self) -> String {
        match self {
            Rig::Loop(events) => events.dump(),
            Rig::Pool(pool, _) => pool.dump(),
        }
    }

    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(
                Instant::now() < end,
                "{what} does not come about\n{}",
                self.dump()
            );
            self.turn(Duration::from_micros(300));
        }
    }

    fn run(mut self, operations: u64) -> u64 {
        let any = "127.0.0.1:0".parse().unwrap();
        let echo = || |stream: &mut Stream<'_>| stream.echo();
        let listener = self.context().listen(&any, echo).unwrap();
        let to = self.context().listener_addr(listener).unwrap();
        let refused = free_address();
        let state: Arc<Counts> = Arc::default();
        let living: Vec<Handle> = (0..4)
            .map(|_| {
                let living = Living::new(&state);
                self.context().connect(&to.into(), living).unwrap()
            })
            .collect();
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut roll = move |sides: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 20) % sides
        };
        let mut victims: Vec<Handle> = Vec::new();
        let mut made = 0;
        while made + state.reads.load(Ordering::Relaxed) < operations {
            if victims.len() < 32 {
                let address = if roll(8) == 0 { refused } else { to };
                let victim = Victim(Arc::clone(&state));
                victims.push(self.context().connect(&address.into(), victim).unwrap());
                made += 1;
            }
            for _ in 0..roll(4) {
                let which = roll(victims.len() as u64) as usize;
                let _ = victims[which].write(vec![7; 1 + roll(60_000) as usize]);
                made += 1;
            }
            if roll(2) == 0 {
                let time = roll(300);
                self.turn(Duration::from_micros(time));
            }
            if roll(3) > 0 && !victims.is_empty() {
                let which = roll(victims.len() as u64) as usize;
                victims.swap_remove(which).close();
            }
        }
        let so_far = state.checked.load(Ordering::Relaxed);
        self.until("the living go on", |_| {
            state.checked.load(Ordering::Relaxed) > so_far
        });
        for victim in victims {
            victim.close();
        }
        state.last.store(true, Ordering::Relaxed);
        self.until("the end of the living", |_| {
            living.iter().all(Handle::is_closed)
        });
        assert!(
            !state.lost.load(Ordering::Relaxed),
            "a living stream lost bytes"
        );
        assert!(self.context().close_listener(listener));
        self.until("every operation home", |rig| {
            let dump = rig.dump();
            dump.contains("; 0 operations with the kernel") && !dump.contains("stream, ")
        });
        if let Rig::Pool(pool, thread) = self {
            assert!(pool.context().remote().stop());
            thread.join().unwrap();
        }
        made + state.reads.load(Ordering::Relaxed)
    }
}

/// Where nobody listens.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

#[derive(Default)]
struct Counts {
    reads: AtomicU64,
    checked: AtomicU64,
    /// The living are to end.
    last: AtomicBool,
    lost: AtomicBool,
}

struct Victim(Arc<Counts>);

impl Handler for Victim {
    fn readable(&mut self, stream: &mut Stream<'_>) {
        self.0.reads.fetch_add(1, Ordering::Relaxed);
        let _ = stream.input().clear();
    }
}

/// Sends bytes that tell their place, and checks that they come back.
struct Living {
    counts: Arc<Counts>,
    sent: u64,
    back: u64,
}

impl Living {
    fn new(counts: &Arc<Counts>) -> Self {
        Self {
            counts: Arc::clone(counts),
            sent: 0,
            back: 0,
        }
    }

    fn send(&mut self, stream: &mut Stream<'_>, len: u64) {
        let piece: Vec<u8> = (self.sent..self.sent + len)
            .map(|at| (at % 251) as u8)
            .collect();
        if stream.write(&piece).is_ok() {
            self.sent += len;
        }
    }
}

impl Handler for Living {
    fn opened(&mut self, stream: &mut Stream<'_>) {
        self.send(stream, 3000);
    }

    fn readable(&mut self, stream: &mut Stream<'_>) {
        let len = stream.input().len();
        for byte in stream.input().take_vec(len).unwrap() {
            if byte != (self.back % 251) as u8 {
                self.counts.lost.store(true, Ordering::Relaxed);
            }
            self.back += 1;
        }
        self.counts.checked.fetch_add(len as u64, Ordering::Relaxed);
        if self.counts.last.load(Ordering::Relaxed) {
            stream.finish_write();
        } else {
            self.send(stream, len as u64);
        }
    }

    fn closed(&mut self, _: &mut Stream<'_>, reason: CloseReason) {
        if !matches!(reason, CloseReason::Finished) || self.sent != self.back {
            self.counts.lost.store(true, Ordering::Relaxed);
        }
    }
}
