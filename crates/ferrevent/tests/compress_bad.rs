//! What a peer sends that is no compression, is damaged or cut short, wants
//! too much memory, or is a bomb.

#![cfg(feature = "compress")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;
#[path = "common/compressed.rs"]
mod compressed;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;

use common::{Recorder, on_every_backend, until};
use compressed::{Rotation, connect, listen, mixed, once, over, tcp};
use ferrevent::compress::{Bounds, CompressError, Compression, Format};
use ferrevent::{Activity, CloseReason, Stream, WriteError};
use ferrevent_core::stream::Machine;
use ferrevent_core::timer::Tick;
use ferrevent_models::compress::{Unpacked, pack, unpack};

/// Something of everything: matches, literals, several blocks by flushes.
fn sample() -> Vec<u8> {
    let mut bytes = mixed(150, 77);
    bytes.extend(b"the end of it, the end of it, the end of it");
    bytes
}

#[test]
fn every_truncation_is_told_as_one() {
    for format in Format::ALL {
        let how = Compression::new(format);
        let wire = pack(&how, &sample(), 60);
        for len in 0..wire.len() {
            for piece in [1, 7, 10_000] {
                let came = unpack(&how, &wire[..len], piece);
                let whole = sample();
                assert!(whole.starts_with(&came.bytes), "{format} cut at {len}");
                assert!(
                    matches!(came.error(), Some(CompressError::Truncated(it)) if *it == format),
                    "{format} cut at {len} of {}: {}",
                    wire.len(),
                    came.reason
                );
            }
        }
        let came = unpack(&how, &wire, 3);
        assert!(came.reason.is_clean() && came.bytes == sample());
    }
}

/// Whatever is not what was sent is told, but for raw deflate, which cannot.
#[test]
fn every_flipped_bit_is_told_or_means_nothing() {
    for format in Format::ALL {
        let how = Compression::new(format).bounds(Bounds {
            ratio: Some(20),
            free: 100_000,
            ..Bounds::DEFAULT
        });
        let wire = pack(&how, &sample(), 60);
        let mut refused = 0;
        for at in 0..wire.len() * 8 {
            let mut wire = wire.clone();
            wire[at / 8] ^= 1 << (at % 8);
            let came = unpack(&how, &wire, 10);
            if came.reason.is_clean() {
                let same = came.bytes == sample();
                assert!(same || format == Format::RawDeflate, "{format}, bit {at}");
            } else {
                assert!(
                    came.error().is_some(),
                    "{format}, bit {at}: {}",
                    came.reason
                );
                refused += 1;
            }
        }
        assert!(
            refused > wire.len(),
            "{format}: only {refused} were refused"
        );
    }
}

#[test]
fn frames_may_follow_one_another_and_nothing_else_may() {
    for format in Format::ALL {
        let how = Compression::new(format);
        let (one, two) = (
            pack(&how, b"one, ", 5),
            pack(&how, &mixed(70_000, 2), 9_000),
        );
        let nothing = pack(&how, b"", 1);
        let wire = [&one[..], &nothing, &two, &one].concat();
        for piece in [1, 4, 5, 4096, 1 << 20] {
            let came = unpack(&how, &wire, piece);
            let expected = [b"one, ", &mixed(70_000, 2)[..], b"one, "].concat();
            assert!(
                came.bytes == expected,
                "{format} by {piece}: {}",
                came.reason
            );
            assert!(came.reason.is_clean());
        }
        let garbage = [&one[..], b"\xFFgarbage"].concat();
        let came = unpack(&how, &garbage, 4096);
        assert_eq!(came.bytes, b"one, ", "{format}");
        let corrupt = matches!(came.error(), Some(CompressError::Corrupt { .. }));
        assert!(corrupt, "{format}: {}", came.reason);
    }
}

#[test]
fn what_is_no_compression_is_called_so() {
    for format in Format::ALL {
        let how = Compression::new(format);
        let came = unpack(&how, b"HTTP/1.1 400 Bad Request\r\n\r\n", 2);
        let expected = match format {
            Format::RawDeflate => matches!(came.error(), Some(CompressError::Corrupt { .. })),
            _ => matches!(came.error(), Some(CompressError::Foreign(it)) if *it == format),
        };
        assert!(expected, "{format}: {}", came.reason);
    }
}

/// Frames to be skipped, of which zstd and lz4 have the same kind.
#[test]
fn skippable_frames_are_skipped() {
    for format in [Format::Zstd, Format::Lz4] {
        let how = Compression::new(format);
        let skippable = |len: u32| {
            let mut frame = vec![0x5A, 0x2A, 0x4D, 0x18];
            frame.extend(len.to_le_bytes());
            frame.extend(vec![9; len as usize]);
            frame
        };
        let frame = pack(&how, b"hello", 5);
        let wire = [skippable(0), skippable(70_000), frame, skippable(3)].concat();
        for piece in [1, 1000, 1 << 20] {
            let came = unpack(&how, &wire, piece);
            assert_eq!(came.bytes, b"hello", "{format}: {}", came.reason);
            assert!(came.reason.is_clean(), "{format}: {}", came.reason);
        }
        let came = unpack(&how, &wire[..wire.len() - 1], 100);
        assert!(matches!(came.error(), Some(CompressError::Truncated(_))));
    }
}

#[test]
fn dictionaries_and_old_formats_are_not_supported_in_words() {
    for (format, wire) in [
        // FDICT, RFC 1950 section 2.2, and the dictionary's number.
        (Format::Zlib, &[0x78, 0xBB, 0, 0, 0, 1, 0][..]),
        // A frame with a dictionary's number of one byte, RFC 8878 section 3.1.1.1.
        (
            Format::Zstd,
            &[0x28, 0xB5, 0x2F, 0xFD, 0x21, 7, 1, 1, 0, 0, 9],
        ),
        (
            Format::Lz4,
            &[0x04, 0x22, 0x4D, 0x18, 0x61, 0x40, 0, 0, 0, 0, 0],
        ),
        (Format::Lz4, &[0x02, 0x21, 0x4C, 0x18, 0, 0, 0, 0]),
    ] {
        let came = unpack(&Compression::new(format), wire, 3);
        let unsupported = matches!(came.error(), Some(CompressError::Unsupported { .. }));
        assert!(unsupported, "{format}: {}", came.reason);
    }
}

/// A frame of zstd that is so many blocks of 128 KiB of one byte: four bytes
/// each, RFC 8878 section 3.1.1.2.
fn zstd_bomb(blocks: usize) -> Vec<u8> {
    // No content size, no checksum, a window of 128 KiB.
    let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x38];
    let block = |last: u32| {
        let header = last | 1 << 1 | (128 << 10) << 3;
        [
            header as u8,
            (header >> 8) as u8,
            (header >> 16) as u8,
            b'0',
        ]
    };
    for _ in 1..blocks {
        frame.extend(block(0));
    }
    frame.extend(block(1));
    frame
}

#[test]
fn a_bomb_is_stopped_at_its_bounds() {
    let bounds = Bounds {
        ratio: Some(100),
        free: 1 << 20,
        ..Bounds::DEFAULT
    };
    let zeros = vec![0; 16 << 20];
    for (format, wire) in [
        (
            Format::Zlib,
            pack(&Compression::new(Format::Zlib), &zeros, 1 << 20),
        ),
        (
            Format::RawDeflate,
            pack(&Compression::new(Format::RawDeflate), &zeros, 1 << 20),
        ),
        (
            Format::Gzip,
            pack(&Compression::new(Format::Gzip), &zeros, 1 << 20),
        ),
        (
            Format::Lz4,
            pack(&Compression::new(Format::Lz4), &zeros, 1 << 20),
        ),
        (Format::Zstd, zstd_bomb(1000)),
    ] {
        let how = Compression::new(format);
        let came = unpack(&how.bounds(bounds), &wire, 1000);
        let Some(CompressError::Bomb { packed, plain, .. }) = came.error() else {
            panic!("{format}: {}", came.reason)
        };
        assert!(*plain > 100 * packed + (1 << 20), "{packed}, {plain}");
        assert!(came.bytes.len() as u64 <= 100 * packed + (1 << 20) + (64 << 10));
        // It is one by the bounds only.
        let trusting = Bounds {
            ratio: None,
            ..bounds
        };
        let came = unpack(&how.bounds(trusting), &wire, 10_000);
        assert!(
            came.reason.is_clean() && came.bytes.len() >= zeros.len(),
            "{format}"
        );
    }
}

#[test]
fn a_frame_that_needs_too_much_memory_is_refused_before_it_has_it() {
    let windows = |window| Bounds {
        window,
        ..Bounds::DEFAULT
    };
    let refused = |came: &Unpacked, limit: usize| matches!(came.error(), Some(CompressError::Window { limit: it, .. }) if *it == limit);
    // A window of 2^27 bytes, which `zstd --ultra -22` asks for.
    let ultra = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x88, 1, 0, 0];
    let zstd = Compression::new(Format::Zstd);
    assert!(refused(&unpack(&zstd, &ultra, 2), 8 << 20));
    let wide = zstd.bounds(windows(128 << 20));
    assert!(unpack(&wide, &ultra, 2).reason.is_clean());
    // Blocks of 64 KiB.
    let lz4 = Compression::new(Format::Lz4);
    let wire = pack(&lz4, b"hello", 5);
    let narrow = lz4.bounds(windows(65_535));
    assert!(refused(&unpack(&narrow, &wire, 2), 65_535));
    let enough = lz4.bounds(windows(65_536));
    assert_eq!(unpack(&enough, &wire, 2).bytes, b"hello");
}

/// What an owner cut short is not taken for something whole.
#[test]
fn what_is_cut_short_has_no_end() {
    for format in Format::ALL {
        let how = Compression::new(format);
        let mut machine = Machine::connected();
        machine.add_filter(Tick(0), how.filter()).unwrap();
        machine.write(b"the first ha").unwrap();
        machine.cut_short();
        machine.finish_write();
        let mut wire = Vec::new();
        while let Some(output) = machine.sendable(Tick(0)) {
            let mut bytes = vec![0; output.len()];
            output.copy_out(&mut bytes).unwrap();
            machine.sent_at_once(Tick(0), Ok(bytes.len()));
            wire.extend(bytes);
        }
        assert!(machine.wants_shutdown());
        let came = unpack(&how, &wire, 100);
        assert_eq!(came.bytes, b"the first ha", "{format}");
        assert!(matches!(came.error(), Some(CompressError::Truncated(_))));
        assert_eq!(machine.write(b"lf"), Err(WriteError::Finished));
    }
}

#[test]
fn damage_ends_its_stream_and_no_other_and_what_came_before_is_told() {
    let next = Rotation::default();
    on_every_backend(|events| {
        let format = next.next();
        let how = Compression::new(format);
        let to = listen(events, how, || |stream: &mut Stream<'_>| stream.echo());
        let (good, alive) = Recorder::with(|stream, what| {
            if what == "opened" {
                stream.write(b"one").unwrap();
            }
        });
        let good = connect(events, &to, how, good);
        until(events, "the first", || alive.bytes() == b"one");
        let (server, record) = Recorder::new();
        let to = listen(events, how, once(server));
        let mut bad = tcp(&to);
        let mut wire = pack(&how, b"good", 4);
        wire.extend(b"\xFFbad");
        bad.write_all(&wire).unwrap();
        let answer = thread::spawn(move || {
            let mut answer = Vec::new();
            let _ = bad.read_to_end(&mut answer);
            answer
        });
        until(events, "the failure", || over(&record));
        let seen = record.see();
        let Some(CloseReason::Failed { during, .. }) = &seen.reason else {
            panic!("{:?}", seen.reason)
        };
        assert_eq!(*during, Activity::Decode);
        let error = CompressError::of(seen.reason.as_ref().unwrap());
        assert!(
            matches!(error, Some(CompressError::Corrupt { .. })),
            "{error:?}"
        );
        assert_eq!(seen.bytes, b"good");
        drop(seen);
        // Nothing was said, and so no frame was ended.
        assert_eq!(answer.join().unwrap(), b"");
        good.write(&b"two"[..]).unwrap();
        until(events, "the other's", || alive.bytes() == b"onetwo");
        assert!(!over(&alive));
    });
}

#[test]
fn an_end_within_a_frame_is_told_after_what_came() {
    let next = Rotation::default();
    on_every_backend(|events| {
        let how = Compression::new(next.next());
        let (server, record) = Recorder::new();
        let to = listen(events, how, once(server));
        let mut peer = tcp(&to);
        // Two turns: what the first wrote was flushed.
        let wire = pack(&how, b"half of it, and all of it", 11);
        peer.write_all(&wire[..wire.len() - 1]).unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        until(events, "the failure", || over(&record));
        let seen = record.see();
        let error = CompressError::of(seen.reason.as_ref().unwrap());
        assert!(
            matches!(error, Some(CompressError::Truncated(_))),
            "{error:?}"
        );
        assert!(b"half of it, and all of it".starts_with(&seen.bytes[..]));
        assert!(seen.bytes.len() >= 11);
        assert_eq!(seen.log, ["opened", "readable", "closed"]);
    });
}

/// A gigabyte out of 32 KiB, by the bounds that hold unless others are set:
/// never more of it at once than the watermarks allow.
#[test]
fn a_bomb_on_a_real_stream_meets_the_usual_bounds() {
    let mut events = ferrevent::EventLoop::new().unwrap();
    let how = Compression::new(Format::Zstd);
    let (counting, record) = Recorder::new();
    let to = listen(&mut events, how, once(Counts(counting, 0)));
    let mut peer = tcp(&to);
    let bomb = thread::spawn(move || {
        let _ = peer.write_all(&zstd_bomb(9_000));
        let _ = peer.read_to_end(&mut Vec::new());
    });
    until(&mut events, "the failure", || over(&record));
    bomb.join().unwrap();
    let seen = record.see();
    let error = CompressError::of(seen.reason.as_ref().unwrap());
    let Some(CompressError::Bomb { packed, plain, .. }) = error else {
        panic!("{error:?}")
    };
    assert!(
        *packed < 40_000 && *plain > 1 << 30,
        "{packed} became {plain}"
    );
}

/// Counts what comes, and throws it away.
struct Counts(Recorder, u64);

impl ferrevent::Handler for Counts {
    fn readable(&mut self, stream: &mut Stream<'_>) {
        let len = stream.input().len();
        let most = stream.config().input.high + (64 << 10);
        assert!(len <= most, "{len} bytes at once");
        self.1 += len as u64;
        stream.input().clear().unwrap();
    }

    fn closed(&mut self, stream: &mut Stream<'_>, reason: CloseReason) {
        assert_eq!(self.1, stream.received_bytes());
        self.0.closed(stream, reason);
    }
}

/// Who has finished throws away what still comes: a bomb is not kept for that.
#[test]
fn a_bomb_that_nobody_waits_for_is_not_kept() {
    on_every_backend(|events| {
        let how = Compression::new(Format::Zstd).bounds(Bounds {
            ratio: None,
            ..Bounds::DEFAULT
        });
        let (server, record) = Recorder::with(|stream, what| {
            if what == "opened" {
                stream.finish();
            }
        });
        let to = listen(events, how, once(server));
        let mut peer = tcp(&to);
        peer.write_all(&zstd_bomb(200)).unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        until(events, "the close", || over(&record));
        assert!(record.finished(), "{}", record.reason());
        assert_eq!(record.log(), ["opened", "closed"]);
    });
}
