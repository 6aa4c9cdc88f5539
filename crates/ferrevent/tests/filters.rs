//! Filters on real streams, on every backend, loop and pool. A number after
//! "Tor" is that of what Tor asked of libevent's bufferevents and never got.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::record::writer;
use common::{Progress, Recorder, Rig, Works, listen, on_every_backend, random_bytes, until};
use ferrevent::filter::{Filter, LAYER_BYTES, Pass};
use ferrevent::{
    Activity, Address, CloseReason, Handler, ListenOptions, Stream, StreamConfig, Timeout,
};

/// Adds a number to every byte going out, and takes it off coming in.
struct Shift(u8);

impl Filter for Shift {
    fn decode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        pass.map(|bytes| {
            bytes
                .iter_mut()
                .for_each(|it| *it = it.wrapping_sub(self.0));
        });
        Ok(())
    }

    fn encode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        pass.map(|bytes| {
            bytes
                .iter_mut()
                .for_each(|it| *it = it.wrapping_add(self.0));
        });
        Ok(())
    }
}

/// Says every byte twice: the wire carries more than the owner sees.
struct Twice;

impl Filter for Twice {
    fn decode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        let n = (pass.available() / 2).min(pass.room());
        let pairs = pass.source().take_vec(2 * n)?;
        let once: Vec<u8> = pairs.chunks(2).map(|pair| pair[0]).collect();
        if pairs.chunks(2).any(|pair| pair[0] != pair[1]) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not twice"));
        }
        Ok(pass.target().append(&once)?)
    }

    fn encode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        let n = pass.available().min(pass.room().div_ceil(2));
        let once = pass.source().take_vec(n)?;
        let twice: Vec<u8> = once.iter().flat_map(|byte| [*byte, *byte]).collect();
        Ok(pass.target().append(&twice)?)
    }
}

/// Opens when it has heard a word, and says it first.
#[derive(Default)]
struct Word {
    said: bool,
    heard: bool,
}

impl Filter for Word {
    fn decode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        if !self.heard && pass.available() >= 4 {
            self.heard = pass.source().take_vec(4)? == b"word";
            if !self.heard {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "another word"));
            }
        }
        if self.heard {
            pass.map(|_| ());
        }
        Ok(())
    }

    fn encode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        if !std::mem::replace(&mut self.said, true) {
            pass.target().append(b"word")?;
        }
        if self.heard {
            pass.map(|_| ());
        }
        Ok(())
    }

    fn is_open(&self) -> bool {
        self.heard
    }
}

fn any() -> Address {
    "127.0.0.1:0".parse().unwrap()
}

fn tcp(address: &Address) -> TcpStream {
    match address {
        Address::Socket(address) => TcpStream::connect(address).unwrap(),
        other => panic!("{other} is no TCP address"),
    }
}

/// Listens with filters on every connection.
fn listen_filtered<H: Handler + Send + 'static>(
    rig: &mut Rig,
    filters: impl FnMut() -> Vec<Box<dyn Filter>> + Send + 'static,
    mut factory: impl FnMut() -> H + Send + 'static,
) -> Address {
    let options = ListenOptions::default();
    let mut context = rig.context();
    let listener = context
        .listen_filtered(&any(), &options, None, filters, move || Box::new(factory()))
        .unwrap();
    Address::Socket(context.listener_addr(listener).unwrap())
}

fn connect_filtered(
    rig: &mut Rig,
    to: &Address,
    filters: Vec<Box<dyn Filter>>,
    handler: impl Handler + Send + 'static,
) -> ferrevent::Handle {
    rig.context()
        .connect_filtered(to, None, StreamConfig::DEFAULT, filters, handler)
        .unwrap()
}

#[test]
fn an_echo_through_a_stack_loses_nothing() {
    on_every_backend(|events| {
        let stack = || -> Vec<Box<dyn Filter>> {
            vec![
                Box::new(Shift(3)),
                Box::new(Word::default()),
                Box::new(Twice),
            ]
        };
        let server = listen_filtered(events, stack, || |stream: &mut Stream<'_>| stream.echo());
        let sent = random_bytes(600_000, 5);
        let (recorder, record) = writer(sent.clone(), 100_000);
        connect_filtered(events, &server, stack(), recorder);
        until(events, "the close", || record.see().reason.is_some());
        let record = record.see();
        let reason = record.reason.as_ref().unwrap();
        let len = record.bytes.len();
        assert!(record.bytes == sent, "{len} bytes, then {reason}");
        assert!(matches!(reason, CloseReason::Finished), "{reason}");
        assert_eq!(record.log, ["opened", "readable", "ended", "closed"]);
    });
}

#[test]
fn a_filter_added_at_any_byte_loses_none_and_tells_once() {
    on_every_backend(|events| {
        // The command, what comes behind it at once, and what comes later.
        let mut wire = b"SHIFT\n".to_vec();
        wire.extend(b"secret".iter().map(|byte| byte + 1));
        for split in 1..wire.len() {
            let (server, seen) = Recorder::with(|_, _| ());
            let mut server = Some(Upgrading {
                recorder: server,
                plain: true,
            });
            let to = listen(events, &any(), move || server.take().unwrap());
            let mut peer = tcp(&to);
            peer.set_nodelay(true).unwrap();
            peer.write_all(&wire[..split]).unwrap();
            events.run_for(Duration::from_micros(300)).unwrap();
            peer.write_all(&wire[split..]).unwrap();
            peer.shutdown(Shutdown::Write).unwrap();
            until(events, "the close", || seen.see().reason.is_some());
            let mut answer = Vec::new();
            peer.read_to_end(&mut answer).unwrap();
            assert_eq!(answer, b"OK\nTFDSFU", "split at {split}");
            let seen = seen.see();
            assert_eq!(seen.bytes, b"secret");
            assert_eq!(seen.log.last(), Some(&"closed"));
        }
    });
}

/// Waits for a line, answers it in the plain, and adds a filter.
struct Upgrading {
    recorder: Recorder,
    plain: bool,
}

impl Handler for Upgrading {
    fn opened(&mut self, stream: &mut Stream<'_>) {
        self.recorder.opened(stream);
    }

    fn readable(&mut self, stream: &mut Stream<'_>) {
        if self.plain {
            let mut line = [0; 6];
            if stream.input().copy_out(&mut line).unwrap() < 6 {
                return;
            }
            assert_eq!(&line, b"SHIFT\n");
            stream.input().drain(6).unwrap();
            stream.write(b"OK\n").unwrap();
            stream.add_filter(Box::new(Shift(1))).unwrap();
            stream.write(b"SECRET").unwrap();
            self.plain = false;
        } else {
            self.recorder.readable(stream);
        }
    }

    fn ended(&mut self, stream: &mut Stream<'_>) {
        self.recorder.ended(stream);
    }

    fn closed(&mut self, stream: &mut Stream<'_>, reason: CloseReason) {
        self.recorder.closed(stream, reason);
    }
}

#[test]
fn opened_comes_after_the_filters_agree_and_upgraded_when_they_came_later() {
    on_every_backend(|events| {
        struct Late(Arc<Mutex<Vec<&'static str>>>);
        impl Handler for Late {
            fn opened(&mut self, stream: &mut Stream<'_>) {
                self.0.lock().unwrap().push("opened");
                stream.add_filter(Box::<Word>::default()).unwrap();
                stream.write(b"hidden").unwrap();
            }
            fn upgraded(&mut self, _: &mut Stream<'_>) {
                self.0.lock().unwrap().push("upgraded");
            }
            fn readable(&mut self, stream: &mut Stream<'_>) {
                self.0.lock().unwrap().push("readable");
                stream.echo();
            }
        }
        let told = Arc::new(Mutex::new(Vec::new()));
        let own = Arc::clone(&told);
        let server = listen(events, &any(), move || Late(Arc::clone(&own)));
        let (recorder, record) = Recorder::with(|stream, what| {
            if what == "opened" {
                stream.write(b"back").unwrap();
                stream.finish_write();
            }
        });
        connect_filtered(events, &server, vec![Box::<Word>::default()], recorder);
        until(events, "the close", || record.see().reason.is_some());
        assert_eq!(record.see().bytes, b"hiddenback");
        assert_eq!(record.see().log, ["opened", "readable", "ended", "closed"]);
        let mut told = told.lock().unwrap();
        told.dedup();
        assert_eq!(*told, ["opened", "upgraded", "readable"]);
    });
}

#[test]
fn a_filter_that_never_opens_times_out() {
    on_every_backend(|events| {
        let (server, seen) = Recorder::new();
        let mut server = Some(server);
        let config = StreamConfig {
            handshake_timeout: Some(Duration::from_millis(30)),
            ..StreamConfig::DEFAULT
        };
        let listener = events
            .context()
            .listen_filtered(
                &any(),
                &ListenOptions::default(),
                Some(config),
                || vec![Box::<Word>::default()],
                move || Box::new(server.take().unwrap()),
            )
            .unwrap();
        let to = Address::Socket(events.context().listener_addr(listener).unwrap());
        let mut peer = tcp(&to);
        peer.write_all(b"wo").unwrap();
        until(events, "the timeout", || seen.see().reason.is_some());
        assert!(matches!(
            seen.see().reason,
            Some(CloseReason::TimedOut(Timeout::Handshake))
        ));
        assert_eq!(seen.see().log, ["closed"]);
    });
}

#[test]
fn a_filter_that_fails_ends_its_stream_and_no_other() {
    on_every_backend(|events| {
        let records = Arc::new(Mutex::new(Vec::new()));
        let own = Arc::clone(&records);
        let server = listen_filtered(
            events,
            || vec![Box::new(Twice)],
            move || {
                let (recorder, record) = Recorder::with(|stream, what| {
                    if what == "readable" {
                        stream.write(b"k").unwrap();
                    }
                });
                own.lock().unwrap().push(record);
                recorder
            },
        );
        let mut good = tcp(&server);
        good.write_all(b"oo").unwrap();
        until(events, "the first", || records.lock().unwrap().len() == 1);
        let mut bad = tcp(&server);
        bad.write_all(b"aabbcd").unwrap();
        until(events, "both", || records.lock().unwrap().len() == 2);
        let failed = records.lock().unwrap()[1].clone();
        let bad = std::thread::spawn(move || {
            let mut answer = Vec::new();
            bad.read_to_end(&mut answer).unwrap();
        });
        until(events, "the failure", || failed.see().reason.is_some());
        let Some(CloseReason::Failed { during, error }) = &failed.see().reason else {
            panic!("{:?}", failed.see())
        };
        assert_eq!(*during, Activity::Decode);
        assert_eq!(error.to_string(), "not twice");
        good.write_all(b"nn").unwrap();
        let alive = records.lock().unwrap()[0].clone();
        until(events, "the other's bytes", || alive.see().bytes == b"on");
        good.shutdown(Shutdown::Write).unwrap();
        until(events, "the other's end", || alive.see().reason.is_some());
        bad.join().unwrap();
    });
}

#[test]
fn a_filter_that_panics_ends_its_stream_and_no_other() {
    on_every_backend(|events| {
        struct Panics;
        impl Filter for Panics {
            fn decode(&mut self, _: &mut Pass<'_>) -> io::Result<()> {
                panic!("a bug")
            }
            fn encode(&mut self, _: &mut Pass<'_>) -> io::Result<()> {
                Ok(())
            }
        }
        let (server, seen) = Recorder::new();
        let mut server = Some(server);
        let to = listen_filtered(
            events,
            || vec![Box::new(Panics)],
            move || server.take().unwrap(),
        );
        tcp(&to).write_all(b"x").unwrap();
        until(events, "the close", || seen.see().reason.is_some());
        assert!(matches!(&seen.see().reason, Some(CloseReason::Panicked(text)) if text == "a bug"));
    });
}

#[test]
fn a_part_of_a_file_goes_through_a_filter() {
    let path = std::env::temp_dir().join(format!("ferrevent-filter-{}", std::process::id()));
    let content = random_bytes(300_000, 9);
    std::fs::write(&path, &content).unwrap();
    on_every_backend(|events| {
        let file = Arc::new(File::open(&path).unwrap());
        let (recorder, _) = Recorder::with(move |stream, what| {
            if what == "opened" {
                stream.write(b"head").unwrap();
                let file = Arc::clone(&file);
                stream.output().append_file(file, 1000, 299_000).unwrap();
                stream.write(b"tail").unwrap();
                stream.finish_write();
            }
        });
        let mut recorder = Some(recorder);
        let stack = || -> Vec<Box<dyn Filter>> { vec![Box::new(Twice), Box::new(Shift(1))] };
        let server = listen_filtered(events, stack, move || recorder.take().unwrap());
        let (client, record) = Recorder::new();
        connect_filtered(events, &server, stack(), client);
        until(events, "the close", || record.see().reason.is_some());
        let expected = [b"head", &content[1000..], b"tail"].concat();
        assert!(record.see().bytes == expected);
    });
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_pipe_joins_streams_with_different_stacks() {
    on_every_backend(|events| {
        let inner = listen_filtered(
            events,
            || vec![Box::new(Twice), Box::new(Word::default())],
            || |stream: &mut Stream<'_>| stream.echo(),
        );
        struct Front(Address);
        impl Handler for Front {
            fn opened(&mut self, stream: &mut Stream<'_>) {
                let back = stream
                    .context()
                    .connect_filtered(
                        &self.0,
                        None,
                        StreamConfig::DEFAULT,
                        vec![Box::new(Twice), Box::new(Word::default())],
                        |_: &mut Stream<'_>| (),
                    )
                    .unwrap();
                assert!(stream.pipe(&back));
            }
            fn readable(&mut self, _: &mut Stream<'_>) {}
            fn ended(&mut self, _: &mut Stream<'_>) {}
        }
        let outer = listen_filtered(
            events,
            || vec![Box::new(Shift(7))],
            move || Front(inner.clone()),
        );
        let sent = random_bytes(500_000, 11);
        let (client, record) = writer(sent.clone(), 70_000);
        connect_filtered(events, &outer, vec![Box::new(Shift(7))], client);
        until(events, "the close", || record.see().reason.is_some());
        assert!(record.see().bytes == sent);
        assert!(matches!(record.see().reason, Some(CloseReason::Finished)));
    });
}

/// Tor 4: the buffers between the layers of a stack are bounded, so a peer
/// that reads nothing is felt by the owner.
#[test]
fn tor_4_a_stack_holds_no_more_than_its_bounds() {
    on_every_backend(|events| {
        struct Measured(Arc<AtomicUsize>);
        impl Handler for Measured {
            fn opened(&mut self, stream: &mut Stream<'_>) {
                stream.tell_sent(true);
                stream.write(&vec![1; 900_000]).unwrap();
            }
            fn sent(&mut self, stream: &mut Stream<'_>) {
                let between = stream.waiting() - stream.output().len();
                self.0.fetch_max(between, Ordering::Relaxed);
            }
            fn readable(&mut self, _: &mut Stream<'_>) {}
        }
        let most = Arc::new(AtomicUsize::new(0));
        let own = Arc::clone(&most);
        let stack = || -> Vec<Box<dyn Filter>> { vec![Box::new(Twice), Box::new(Shift(1))] };
        let server = listen_filtered(events, stack, move || Measured(Arc::clone(&own)));
        let mut peer = tcp(&server);
        peer.set_nonblocking(true).unwrap();
        let mut idle = 0;
        let mut got = 0;
        let mut piece = vec![0; 100_000];
        while got < 1_800_000 {
            events.run_for(Duration::from_micros(200)).unwrap();
            match peer.read(&mut piece) {
                Ok(0) => panic!("it ended early"),
                Ok(n) => (got, idle) = (got + n, 0),
                Err(_) => idle += 1,
            }
            assert!(idle < 100_000, "{got} bytes came");
        }
        let most = most.load(Ordering::Relaxed);
        assert!(
            most > 0 && most <= 2 * LAYER_BYTES + 2,
            "{most} bytes between"
        );
    });
}

/// Tor 5: progress is told while much still waits.
#[test]
fn tor_5_progress_is_told_before_all_is_flushed() {
    on_every_backend(|events| {
        let progress = Progress::default();
        let told = Arc::clone(&progress.0);
        let server = listen_filtered(events, || vec![Box::new(Twice)], move || progress.clone());
        let (client, record) = Recorder::new();
        connect_filtered(events, &server, vec![Box::new(Twice)], client);
        until(events, "the bytes", || {
            record.see().bytes.len() == Progress::LEN
        });
        until(events, "the last notice", || {
            told.lock().unwrap().last() == Some(&(1_800_000, 0))
        });
        let told = told.lock().unwrap();
        assert!(told.len() > 2 && told[0].1 > 0, "{told:?}");
        assert!(told.is_sorted_by_key(|(sent, _)| *sent), "{told:?}");
    });
}

/// Tor 6: bytes of the wire are counted at the bottom, also when a filter was
/// added to a running stream.
#[test]
fn tor_6_the_wire_is_counted_below_every_filter() {
    on_every_backend(|events| {
        struct Counting(Arc<[AtomicU64; 4]>);
        impl Handler for Counting {
            fn readable(&mut self, stream: &mut Stream<'_>) {
                if stream.filter::<Twice>().is_none() {
                    stream.input().clear().unwrap();
                    stream.write(b"12345").unwrap();
                    stream.add_filter(Box::new(Twice)).unwrap();
                } else {
                    stream.echo();
                }
            }
            fn closed(&mut self, stream: &mut Stream<'_>, _: CloseReason) {
                let counts = [
                    stream.wire_received_bytes(),
                    stream.received_bytes(),
                    stream.wire_sent_bytes(),
                    stream.sent_bytes(),
                ];
                for (slot, count) in self.0.iter().zip(counts) {
                    slot.store(count, Ordering::Relaxed);
                }
            }
        }
        let counts = Arc::new([const { AtomicU64::new(0) }; 4]);
        let own = Arc::clone(&counts);
        let server = listen(events, &any(), move || Counting(Arc::clone(&own)));
        let mut peer = tcp(&server);
        peer.write_all(b"abc").unwrap();
        // A pool works by itself; a loop must be turned while the peer waits.
        let peer = std::thread::spawn(move || {
            let mut answer = [0; 5];
            peer.read_exact(&mut answer).unwrap();
            peer.write_all(b"xxyyzz").unwrap();
            peer.shutdown(Shutdown::Write).unwrap();
            let mut answer = Vec::new();
            peer.read_to_end(&mut answer).unwrap();
            answer
        });
        until(events, "the close", || {
            counts[0].load(Ordering::Relaxed) > 0
        });
        assert_eq!(peer.join().unwrap(), b"xxyyzz");
        let seen: Vec<u64> = counts.iter().map(|it| it.load(Ordering::Relaxed)).collect();
        assert_eq!(seen, [9, 6, 11, 8]);
    });
}

/// Tor 7: no callback within a callback, and none after the close, whatever a
/// handler does. (That a recorder is told nothing after `closed` is asserted
/// by the recorder itself.)
#[test]
fn tor_7_no_event_comes_after_the_close() {
    on_every_backend(|events| {
        for when in ["opened", "readable", "ended"] {
            let stack =
                || -> Vec<Box<dyn Filter>> { vec![Box::new(Word::default()), Box::new(Twice)] };
            let (server, seen) = Recorder::with(move |stream, what| {
                if what == when {
                    stream.write(b"last").unwrap();
                    stream.close();
                }
            });
            let mut server = Some(server);
            let to = listen_filtered(events, stack, move || server.take().unwrap());
            let (client, record) = writer(vec![1; 50_000], 50_000);
            connect_filtered(events, &to, stack(), client);
            until(events, "both closes", || {
                seen.see().reason.is_some() && record.see().reason.is_some()
            });
            events.run_for(Duration::from_millis(1)).unwrap();
            assert_eq!(seen.see().log.last(), Some(&"closed"));
        }
    });
}

/// Tor 9: the end and the flush of a pair are those of every other stream,
/// with filters and without.
#[test]
fn tor_9_a_pair_ends_and_flushes_as_a_socket_does() {
    on_every_backend(|events| {
        let (one, first) = Recorder::with(|stream, what| {
            if what == "opened" {
                stream.add_filter(Box::new(Twice)).unwrap();
                stream.write(&[5; 100_000]).unwrap();
                stream.finish_write();
            }
        });
        let (other, second) = Recorder::with(|stream, what| {
            if what == "opened" {
                stream.add_filter(Box::new(Twice)).unwrap();
            } else if what == "ended" {
                stream.write(b"the answer").unwrap();
            }
        });
        events.context().pair(one, other).unwrap();
        until(events, "both closes", || {
            first.see().reason.is_some() && second.see().reason.is_some()
        });
        assert_eq!(second.see().bytes, [5; 100_000]);
        assert_eq!(first.see().bytes, b"the answer");
        for record in [first, second] {
            assert!(matches!(record.see().reason, Some(CloseReason::Finished)));
            assert_eq!(record.see().log, ["opened", "readable", "ended", "closed"]);
        }
    });
}
