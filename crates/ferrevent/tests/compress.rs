//! Compression on real streams, on every backend, loop and pool.

#![cfg(feature = "compress")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;
#[path = "common/compressed.rs"]
mod compressed;

use std::fs::File;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::{Recorder, Works, on_every_backend, until};
use compressed::{
    Rotation, connect, finished, listen, listen_with, mixed, once, over, tcp, writer,
};
use ferrevent::compress::{Bounds, Compression, Flush, Format};
use ferrevent::filter::LAYER_BYTES;
use ferrevent::{CloseReason, Filter, Handler, Stream, StreamConfig, Watermarks};

#[test]
fn an_echo_in_every_format_loses_nothing_and_ends_its_frame() {
    on_every_backend(|events| {
        for format in Format::ALL {
            let how = Compression::new(format);
            let to = listen(events, how, || |stream: &mut Stream<'_>| stream.echo());
            let sent = mixed(300_001, 5);
            let (recorder, record) = writer(sent.clone(), 70_000);
            connect(events, &to, how, recorder);
            until(events, "the close", || over(&record));
            let record = record.see();
            let reason = record.reason.as_ref().unwrap();
            assert!(
                matches!(reason, CloseReason::Finished),
                "{format}: {reason}"
            );
            assert!(record.bytes == sent, "{format}: {}", record.bytes.len());
            assert_eq!(record.log, ["opened", "readable", "ended", "closed"]);
        }
    });
}

#[test]
fn every_level_and_any_size_comes_through() {
    // No column of the matrix does anything else than another here.
    let mut events = ferrevent::EventLoop::new().unwrap();
    for format in Format::ALL {
        for (i, level) in format.levels().enumerate() {
            let sizes = [
                0, 1, 2, 63, 64, 65, 16_383, 16_384, 16_385, 65_535, 65_537, 131_073,
            ];
            let usual = level == format.default_level();
            for size in sizes.into_iter().filter(|size| usual || *size == 65_537) {
                let how = Compression::new(format).level(level).unwrap();
                let (recorder, record) = Recorder::new();
                let to = listen(&mut events, how, once(recorder));
                let sent = mixed(size + i, size as u64);
                let (sender, _) = writer(sent.clone(), 1 + size / 3);
                connect(&mut events, &to, how, sender);
                until(&mut events, "the close", || over(&record));
                assert!(finished(&record), "{how}: {}", record.reason());
                assert!(record.bytes() == sent, "{how}, {size} bytes");
            }
        }
    }
}

/// Each question is answered before the next one: a turn is flushed at its end.
#[test]
fn what_a_turn_wrote_can_be_read_before_there_is_more() {
    let next = Rotation::default();
    on_every_backend(|events| {
        for format in [next.next(), next.next()] {
            let how = Compression::new(format);
            let to = listen(events, how, || |stream: &mut Stream<'_>| stream.echo());
            let mut round = 0_u8;
            let (client, record) = Recorder::with(move |stream, what| {
                if what == "opened" || what == "readable" {
                    round += 1;
                    if round <= 20 {
                        stream.write(&[round]).unwrap();
                    } else {
                        stream.finish();
                    }
                }
            });
            connect(events, &to, how, client);
            until(events, "the answers", || over(&record));
            let expected: Vec<u8> = (1..=20).collect();
            assert_eq!(record.bytes(), expected, "{format}: {}", record.reason());
        }
    });
}

#[test]
fn what_is_not_flushed_is_held_until_it_is_asked_for() {
    on_every_backend(|events| {
        for format in Format::ALL {
            let how = Compression::new(format).flush(Flush::Asked);
            let (server, record) = Recorder::new();
            let to = listen(events, how, once(server));
            let (client, _) = Recorder::with(|stream, what| {
                if what == "opened" {
                    stream.write(b"held").unwrap();
                }
            });
            let handle = connect(events, &to, how, client);
            // It opens and is written to; nothing shows that it will not come but time.
            until(events, "the connection", || record.log() == ["opened"]);
            for _ in 0..20 {
                events
                    .run_for(std::time::Duration::from_micros(500))
                    .unwrap();
            }
            assert_eq!(record.bytes(), b"", "{format}");
            until(events, "the flush", || {
                handle.flush();
                record.bytes() == b"held"
            });
            handle.write(&b", and more"[..]).unwrap();
            handle.finish();
            until(events, "the end", || over(&record));
            assert_eq!(record.bytes(), b"held, and more", "{format}");
        }
    });
}

#[test]
fn one_direction_alone_may_be_compressed() {
    on_every_backend(|events| {
        for format in [Format::Gzip, Format::Zstd] {
            let sending = Compression::sending(format);
            let to = listen(events, sending, || |stream: &mut Stream<'_>| stream.echo());
            let sent = mixed(100_000, 3);
            let (client, record) = writer(sent.clone(), 100_000);
            connect(events, &to, Compression::receiving(format), client);
            until(events, "the close", || over(&record));
            assert!(record.bytes() == sent, "{format}: {}", record.reason());
        }
    });
}

#[test]
fn a_stream_is_compressed_from_the_middle_on() {
    on_every_backend(|events| {
        struct Upgrading(Recorder, bool);
        impl Handler for Upgrading {
            fn readable(&mut self, stream: &mut Stream<'_>) {
                if self.1 {
                    return self.0.readable(stream);
                }
                let mut line = [0; 3];
                if stream.input().copy_out(&mut line).unwrap() == 3 {
                    assert_eq!(&line, b"go\n");
                    stream.input().drain(3).unwrap();
                    stream.write(b"ok\n").unwrap();
                    let raw = Compression::new(Format::RawDeflate);
                    stream.start_compression(&raw).unwrap();
                    stream.write(b"compressed").unwrap();
                    self.1 = true;
                }
            }
            fn ended(&mut self, stream: &mut Stream<'_>) {
                self.0.ended(stream);
            }
            fn closed(&mut self, stream: &mut Stream<'_>, reason: CloseReason) {
                self.0.closed(stream, reason);
            }
        }
        let (server, record) = Recorder::new();
        let to = common::listen(events, &compressed::any(), once(Upgrading(server, false)));
        let mut peer = tcp(&to);
        // Stored blocks, RFC 1951 section 3.2.4: `hi`, and the last one, empty.
        peer.write_all(b"go\n\x00\x02\x00\xFD\xFFhi\x01\x00\x00\xFF\xFF")
            .unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let reader = std::thread::spawn(move || {
            let mut answer = Vec::new();
            peer.read_to_end(&mut answer).unwrap();
            answer
        });
        until(events, "the close", || over(&record));
        assert_eq!(record.bytes(), b"hi", "{}", record.reason());
        let answer = reader.join().unwrap();
        assert_eq!(&answer[..3], b"ok\n");
        assert!(
            answer.len() > 8 && !answer.ends_with(b"compressed"),
            "{answer:?}"
        );
    });
}

#[test]
fn a_part_of_a_file_is_compressed() {
    let path = std::env::temp_dir().join(format!("ferrevent-compress-{}", std::process::id()));
    let content = mixed(300_000, 9);
    std::fs::write(&path, &content).unwrap();
    let next = Rotation::default();
    on_every_backend(|events| {
        let how = Compression::new(next.next());
        let file = Arc::new(File::open(&path).unwrap());
        let (server, _) = Recorder::with(move |stream, what| {
            if what == "opened" {
                stream.write(b"head").unwrap();
                let file = Arc::clone(&file);
                stream.output().append_file(file, 1000, 299_000).unwrap();
                stream.write(b"tail").unwrap();
                stream.finish_write();
            }
        });
        let to = listen(events, how, once(server));
        let (client, record) = Recorder::new();
        connect(events, &to, how, client);
        until(events, "the close", || over(&record));
        assert!(record.bytes() == [b"head", &content[1000..], b"tail"].concat());
    });
    std::fs::remove_file(&path).unwrap();
}

/// However much comes out of a few bytes: the input is not filled beyond its
/// watermark by more than a piece, the rest waits, and nothing is lost.
#[test]
fn a_small_input_is_not_flooded_and_a_pause_is_kept() {
    const HIGH: usize = 10_000;
    let next = Rotation::default();
    on_every_backend(|events| {
        let format = next.next();
        struct Sips {
            most: Arc<AtomicUsize>,
            total: Arc<AtomicU64>,
        }
        impl Sips {
            fn sip(&self, stream: &mut Stream<'_>, most: usize) {
                let len = stream.input().len();
                self.most.fetch_max(len, Ordering::Relaxed);
                let sip = len.min(most);
                let bytes = stream.input().take_vec(sip).unwrap();
                assert!(bytes.iter().all(|byte| *byte == 7));
                self.total.fetch_add(sip as u64, Ordering::Relaxed);
                if len > sip {
                    // It is to be told again of what it left.
                    stream.pause();
                    stream.resume();
                }
            }
        }
        impl Handler for Sips {
            fn readable(&mut self, stream: &mut Stream<'_>) {
                self.sip(stream, 7_000);
            }
            fn ended(&mut self, stream: &mut Stream<'_>) {
                self.sip(stream, usize::MAX);
                stream.finish();
            }
        }
        let (most, total) = (Arc::default(), Arc::<AtomicU64>::default());
        let sips = Sips {
            most: Arc::clone(&most),
            total: Arc::clone(&total),
        };
        let config = StreamConfig {
            input: Watermarks { low: 0, high: HIGH },
            ..StreamConfig::DEFAULT
        };
        let how = Compression::new(format);
        let to = listen_with(events, config, move || vec![how.filter()], once(sips));
        let (client, record) = writer(vec![7; 2_000_000], 400_000);
        connect(events, &to, how, client);
        until(events, "all of it", || {
            total.load(Ordering::Relaxed) == 2_000_000
        });
        let most = most.load(Ordering::Relaxed);
        assert!(
            most <= HIGH + LAYER_BYTES,
            "{format}: {most} bytes in the input"
        );
        until(events, "the close", || over(&record));
    });
}

#[test]
fn compression_goes_on_top_of_another_filter_and_the_counts_tell_of_both() {
    struct Shift;
    impl Filter for Shift {
        fn decode(&mut self, pass: &mut ferrevent::filter::Pass<'_>) -> std::io::Result<()> {
            pass.map(|bytes| bytes.iter_mut().for_each(|it| *it = it.wrapping_sub(1)));
            Ok(())
        }
        fn encode(&mut self, pass: &mut ferrevent::filter::Pass<'_>) -> std::io::Result<()> {
            pass.map(|bytes| bytes.iter_mut().for_each(|it| *it = it.wrapping_add(1)));
            Ok(())
        }
    }
    let next = Rotation::default();
    on_every_backend(|events| {
        let how = Compression::new(next.next());
        let stack = move || -> Vec<Box<dyn Filter>> { vec![Box::new(Shift), how.filter()] };
        struct Counting(Arc<Mutex<[u64; 5]>>);
        impl Handler for Counting {
            fn readable(&mut self, stream: &mut Stream<'_>) {
                stream.echo();
            }
            fn closed(&mut self, stream: &mut Stream<'_>, _: CloseReason) {
                let it = stream.compression().unwrap().tally();
                *self.0.lock().unwrap() = [
                    it.received().plain,
                    it.received().packed,
                    it.sent().plain,
                    it.sent().packed,
                    stream.wire_received_bytes(),
                ];
            }
        }
        let counts = Arc::<Mutex<[u64; 5]>>::default();
        let counting = Counting(Arc::clone(&counts));
        let to = listen_with(events, StreamConfig::DEFAULT, stack, once(counting));
        let sent = vec![b'a'; 200_000];
        let (client, record) = writer(sent.clone(), 50_000);
        events
            .context()
            .connect_filtered(&to, None, StreamConfig::DEFAULT, stack(), client)
            .unwrap();
        until(events, "the close", || {
            over(&record) && counts.lock().unwrap()[0] > 0
        });
        assert!(record.bytes() == sent);
        let [plain, packed, back, packed_back, wire] = *counts.lock().unwrap();
        assert_eq!((plain, back), (200_000, 200_000), "{how}");
        assert_eq!(packed, wire, "{how}");
        assert!(
            packed < 5_000 && packed_back < 5_000,
            "{how}: {packed}, {packed_back}"
        );
    });
}

/// What counts under a limit is what compression puts on the wire.
#[test]
fn limits_count_compressed_bytes() {
    use ferrevent::limit::{Direction, RateLimit, RateLimits, Share};
    let next = Rotation::default();
    on_every_backend(|events| {
        let how = Compression::new(next.next());
        let rate = RateLimit::new(2_000_000).unwrap();
        let limits = RateLimits::both(rate.with_burst(20_000).unwrap());
        let group = events.context().rate_group(limits).unwrap();
        struct Joins(ferrevent::RateGroup, Arc<AtomicU64>);
        impl Handler for Joins {
            fn opened(&mut self, stream: &mut Stream<'_>) {
                stream.join(&self.0, Share::default()).unwrap();
            }
            fn readable(&mut self, stream: &mut Stream<'_>) {
                stream.echo();
            }
            fn closed(&mut self, stream: &mut Stream<'_>, _: CloseReason) {
                let packed = stream.compression().unwrap().tally().sent().packed;
                self.1.store(packed, Ordering::Relaxed);
            }
        }
        let packed = Arc::<AtomicU64>::default();
        let to = listen(events, how, once(Joins(group.clone(), Arc::clone(&packed))));
        let sent = mixed(60_000, 8);
        let (client, record) = writer(sent.clone(), 60_000);
        connect(events, &to, how, client);
        until(events, "the close", || {
            over(&record) && packed.load(Ordering::Relaxed) > 0
        });
        assert!(record.bytes() == sent, "{how}: {}", record.reason());
        let moved = group.moved_bytes(Direction::Write);
        assert_eq!(moved, packed.load(Ordering::Relaxed), "{how}");
    });
}

#[test]
fn settings_are_what_was_asked_for() {
    let it: Compression = "zstd:-3".parse().unwrap();
    assert_eq!(it.to_string(), "zstd:-3");
    assert_eq!(
        "zlib".parse::<Compression>().unwrap().to_string(),
        "deflate"
    );
    assert_eq!("zstd:3".parse::<Compression>().unwrap().to_string(), "zstd");
    for (text, expected) in [
        (
            "brotli",
            "there is no compression \"brotli\" here: zstd, lz4, deflate, gzip or raw-deflate",
        ),
        ("zstd:23", "zstd has no level 23: they go from -7 to 22"),
        ("lz4:9", "lz4 has no level 9: they go from 1 to 1"),
        ("gzip:fast", "the level \"fast\" is no number"),
        ("gzip:99999999999", "the level \"99999999999\" is no number"),
    ] {
        assert_eq!(text.parse::<Compression>(), Err(expected.to_owned()));
    }
    assert_eq!(Bounds::default().ratio, Some(200));
}
