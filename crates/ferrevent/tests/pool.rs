//! What only a pool can get wrong: two workers on one stream, a worker that
//! is held up, streams that wait for one another.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use common::{Rig, Works, listen, on_pools, random_bytes, until};
use ferrevent::{Handle, Handler, Pool, Stream, StreamConfig, Trouble};

fn any() -> ferrevent::Address {
    "127.0.0.1:0".parse().unwrap()
}

fn connect(rig: &mut Rig, handler: impl Handler + Send + Clone + 'static) -> TcpStream {
    let ferrevent::Address::Socket(to) = listen(rig, &any(), move || handler.clone()) else {
        panic!("no socket address");
    };
    let peer = TcpStream::connect(to).unwrap();
    peer.set_read_timeout(Some(common::PATIENCE)).unwrap();
    peer
}

fn round_trip(peer: &mut TcpStream, text: &[u8]) {
    peer.write_all(text).unwrap();
    let mut back = vec![0; text.len()];
    peer.read_exact(&mut back).unwrap();
    assert_eq!(back, text);
}

/// Cries out when two workers are inside at once.
#[derive(Clone, Default)]
struct Alone(Arc<AtomicBool>);

impl Alone {
    fn inside<R>(&self, work: impl FnOnce() -> R) -> R {
        assert!(!self.0.swap(true, Ordering::SeqCst), "two workers at once");
        let result = work();
        assert!(self.0.swap(false, Ordering::SeqCst));
        result
    }
}

#[test]
fn one_stream_is_never_run_by_two_workers() {
    struct Guarded {
        alone: Alone,
        read: Arc<AtomicUsize>,
    }
    impl Handler for Guarded {
        fn readable(&mut self, stream: &mut Stream<'_>) {
            self.alone.inside(|| {
                let len = stream.input().len();
                stream.input().clear().unwrap();
                self.read.fetch_add(len, Ordering::Relaxed);
                thread::yield_now();
            });
        }
        fn writable(&mut self, _: &mut Stream<'_>) {
            self.alone.inside(thread::yield_now);
        }
    }
    on_pools(&[2, 4], |rig| {
        let read = Arc::new(AtomicUsize::new(0));
        let pairs: Vec<(Handle, Handle)> = (0..8)
            .map(|_| {
                let guarded = || Guarded {
                    alone: Alone::default(),
                    read: Arc::clone(&read),
                };
                rig.context().pair(guarded(), guarded()).unwrap()
            })
            .collect();
        // Events come from the kernel and, by handles, from three threads.
        let sent: usize = thread::scope(|scope| {
            let writers: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        let mut sent = 0;
                        for round in 0..200 {
                            for (one, other) in &pairs {
                                let to = if round % 2 == 0 { one } else { other };
                                sent += to.write(&[1; 300][..]).map_or(0, |_| 300);
                            }
                        }
                        sent
                    })
                })
                .collect();
            writers.into_iter().map(|one| one.join().unwrap()).sum()
        });
        assert!(sent > 0);
        until(rig, "every byte", || read.load(Ordering::Relaxed) == sent);
    });
}

#[test]
fn a_worker_that_is_held_up_holds_nobody_else_up() {
    #[derive(Clone)]
    struct Blocks {
        inside: mpsc::Sender<()>,
        release: Arc<Mutex<mpsc::Receiver<()>>>,
    }
    impl Handler for Blocks {
        fn readable(&mut self, stream: &mut Stream<'_>) {
            self.inside.send(()).unwrap();
            self.release.lock().unwrap().recv().unwrap();
            stream.echo();
        }
    }
    on_pools(&[2, 3], |rig| {
        let (inside, entered) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let mut blocked = connect(
            rig,
            Blocks {
                inside,
                release: Arc::new(Mutex::new(released)),
            },
        );
        let mut free = connect(rig, |stream: &mut Stream<'_>| stream.echo());
        round_trip(&mut free, b"before");
        for _ in 0..5 {
            blocked.write_all(b"x").unwrap();
            entered.recv_timeout(common::PATIENCE).unwrap();
            // One worker does not come back before it is told to.
            for _ in 0..20 {
                round_trip(&mut free, b"meanwhile");
            }
            // And what comes for the stream that it holds waits for it.
            release.send(()).unwrap();
            let mut answer = [0];
            blocked.read_exact(&mut answer).unwrap();
        }
    });
}

#[test]
fn pipes_between_workers_never_wait_for_one_another() {
    on_pools(&[2, 4], |rig| {
        // Small marks, so that both directions stand still again and again.
        let small = StreamConfig {
            input: ferrevent::Watermarks { low: 0, high: 3000 },
            output: ferrevent::Watermarks { low: 0, high: 3000 },
            ..StreamConfig::DEFAULT
        };
        struct Configured(StreamConfig);
        impl Handler for Configured {
            fn opened(&mut self, stream: &mut Stream<'_>) {
                stream.configure(self.0);
            }
            fn readable(&mut self, _: &mut Stream<'_>) {}
            fn ended(&mut self, _: &mut Stream<'_>) {}
        }
        let peers: Vec<_> = (0..6)
            .map(|seed| {
                let (near, one) = common::local_pair();
                let (other, far) = common::local_pair();
                let one = rig.context().adopt(one.into(), Configured(small)).unwrap();
                let other = rig
                    .context()
                    .adopt(other.into(), Configured(small))
                    .unwrap();
                assert!(one.pipe(&other));
                (seed, near, far)
            })
            .collect();
        thread::scope(|scope| {
            for (seed, near, far) in &peers {
                let (there, back) = (random_bytes(300_000, seed * 2), random_bytes(300_000, 99));
                for (stream, sent, expected) in
                    [(near, there.clone(), back.clone()), (far, back, there)]
                {
                    let (mut writer, mut reader) = (stream, stream);
                    scope.spawn(move || {
                        writer.write_all(&sent).unwrap();
                        writer.shutdown(std::net::Shutdown::Write).unwrap();
                    });
                    scope.spawn(move || {
                        reader.set_read_timeout(Some(common::PATIENCE)).unwrap();
                        let mut read = Vec::new();
                        reader.read_to_end(&mut read).unwrap();
                        assert!(read == expected);
                    });
                }
            }
        });
    });
}

/// Two streams that write to each other from their callbacks: under a lock
/// for each stream this is a deadlock (libevent issues 1361 and 1750).
#[test]
fn streams_write_to_each_other_from_their_callbacks() {
    struct Mirror {
        other: Arc<Mutex<Option<Handle>>>,
        passed: Arc<AtomicU64>,
    }
    impl Handler for Mirror {
        fn readable(&mut self, stream: &mut Stream<'_>) {
            let len = stream.input().len();
            let bytes = stream.input().take_vec(len).unwrap();
            self.passed.fetch_add(len as u64, Ordering::Relaxed);
            if let Some(other) = &*self.other.lock().unwrap() {
                let _ = other.write(bytes);
            }
        }
    }
    on_pools(&[2, 4], |rig| {
        let passed = Arc::new(AtomicU64::new(0));
        let mut peers = Vec::new();
        for _ in 0..4 {
            let slots: [Arc<Mutex<Option<Handle>>>; 2] = Default::default();
            let mut ends = Vec::new();
            for side in 0..2 {
                let (near, far) = common::local_pair();
                let mirror = Mirror {
                    other: Arc::clone(&slots[1 - side]),
                    passed: Arc::clone(&passed),
                };
                let handle = rig.context().adopt(near.into(), mirror).unwrap();
                *slots[side].lock().unwrap() = Some(handle);
                ends.push(far);
            }
            peers.push(ends);
        }
        // Both ends of each write at once, and read what the other wrote.
        thread::scope(|scope| {
            for end in peers.iter().flatten() {
                scope.spawn(move || {
                    let (mut writer, mut reader) = (end, end);
                    reader.set_read_timeout(Some(common::PATIENCE)).unwrap();
                    let mut piece = [0; 500];
                    for round in 0..100_u8 {
                        writer.write_all(&[round; 500]).unwrap();
                        reader.read_exact(&mut piece).unwrap();
                        assert_eq!(piece, [round; 500]);
                    }
                });
            }
        });
        assert_eq!(passed.load(Ordering::Relaxed), 8 * 100 * 500);
    });
}

#[test]
fn timers_and_triggers_run_alone_and_are_not_lost() {
    on_pools(&[1, 3], |rig| {
        let ticks = Arc::new(AtomicUsize::new(0));
        let (own, count) = (Alone::default(), Arc::clone(&ticks));
        let id = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&id);
        let timer = rig
            .context()
            .timer(Duration::from_millis(1), move |context| {
                own.inside(thread::yield_now);
                if count.fetch_add(1, Ordering::Relaxed) < 20
                    && let Some(id) = *slot.lock().unwrap()
                {
                    context.arm_timer(id, Duration::from_micros(300));
                }
            });
        *id.lock().unwrap() = Some(timer.unwrap());
        let seen = Arc::new(AtomicUsize::new(0));
        let (own, count) = (Alone::default(), Arc::clone(&seen));
        let trigger = rig
            .context()
            .trigger(move |_| {
                own.inside(|| count.fetch_add(1, Ordering::Relaxed));
            })
            .unwrap();
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        assert!(trigger.raise());
                    }
                });
            }
        });
        // However many raises fell together, one came after the last of them.
        let before = seen.load(Ordering::Relaxed);
        assert!(trigger.raise());
        until(rig, "the trigger", || {
            seen.load(Ordering::Relaxed) > before.saturating_sub(1)
        });
        until(rig, "the ticks", || ticks.load(Ordering::Relaxed) >= 1);
    });
}

#[test]
fn it_ends_when_nothing_is_left_and_can_run_again() {
    for workers in [1, 2, 4] {
        let pool = Pool::new(workers).unwrap();
        for _ in 0..3 {
            let rung = Arc::new(AtomicBool::new(false));
            let own = Arc::clone(&rung);
            pool.context()
                .timer(Duration::from_millis(1), move |_| {
                    own.store(true, Ordering::Relaxed);
                })
                .unwrap();
            pool.run().unwrap();
            assert!(rung.load(Ordering::Relaxed));
            assert!(pool.is_empty());
        }
        // Or when it is told to.
        pool.context()
            .timer(Duration::from_secs(3600), |_| ())
            .unwrap();
        let remote = pool.context().remote();
        let teller = thread::spawn(move || {
            thread::sleep(Duration::from_millis(5));
            assert!(remote.stop());
        });
        pool.run().unwrap();
        teller.join().unwrap();
        assert_eq!(pool.len(), 1);
    }
}

#[test]
fn a_panic_is_told_and_ends_no_worker() {
    on_pools(&[1, 2], |rig| {
        let pool = rig.pool().expect("it is a pool");
        let told = Arc::new(Mutex::new(Vec::new()));
        let own = Arc::clone(&told);
        pool.on_trouble(move |trouble| {
            if let Trouble::Panicked(message) = trouble {
                own.lock().unwrap().push(message.clone());
            }
        });
        for number in 0..5 {
            rig.context()
                .timer(Duration::ZERO, move |_| panic!("number {number}"))
                .unwrap();
        }
        until(rig, "five panics", || told.lock().unwrap().len() == 5);
        let mut peer = connect(rig, |stream: &mut Stream<'_>| stream.echo());
        round_trip(&mut peer, b"still here");
    });
}

#[test]
fn dropping_it_tells_every_stream() {
    struct Last(Arc<AtomicUsize>);
    impl Handler for Last {
        fn readable(&mut self, _: &mut Stream<'_>) {}
        fn closed(&mut self, stream: &mut Stream<'_>, _: ferrevent::CloseReason) {
            // What it can do with the pool changes nothing any more.
            let _ = stream.context().timer(Duration::ZERO, |_| ());
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let closed = Arc::new(AtomicUsize::new(0));
    let pool = Pool::new(2).unwrap();
    let last = || Last(Arc::clone(&closed));
    let (handle, _) = pool.context().pair(last(), last()).unwrap();
    drop(pool);
    assert_eq!(closed.load(Ordering::Relaxed), 2);
    assert!(handle.is_closed());
}
