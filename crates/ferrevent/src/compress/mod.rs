//! Compression over any stream: a [`Filter`](crate::Filter) like every other.
//!
//! [`Compression`] says how; its [`filter`](Compression::filter) goes on a
//! stream from its first byte on
//! ([`Context::listen_filtered`](crate::Context::listen_filtered),
//! [`Context::connect_filtered`](crate::Context::connect_filtered)) or while
//! it runs ([`Stream::start_compression`](crate::Stream::start_compression)).
//! With TLS it is added after the session, and so lies above it: compressed
//! first, then encrypted.
//!
//! ```no_run
//! use ferrevent::compress::{Compression, Format};
//! use ferrevent::{EventLoop, ListenOptions, Stream};
//!
//! let zstd = Compression::new(Format::Zstd).level(5)?;
//! let mut events = EventLoop::new()?;
//! events.context().listen_filtered(
//!     &"127.0.0.1:7000".parse()?,
//!     &ListenOptions::default(),
//!     None,
//!     move || vec![zstd.filter()],
//!     || Box::new(|stream: &mut Stream<'_>| stream.echo()),
//! )?;
//! events.run()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What is written in one turn of a handler can be read by the peer as soon
//! as it has arrived, unless [`Flush::Asked`] is chosen. `finish` and
//! `finish_write` end the frame before they end the wire; a wire that ends
//! anywhere else has cut the stream short, and that is
//! [`CompressError::Truncated`]. Frames may follow one another, as `gzip`,
//! `zstd` and `lz4` have it.
//!
//! A peer decides what it sends. How much memory it can ask for, and how much
//! more may come out than came in, is bounded by [`Bounds`]; what lies between
//! the filter and the handler is bounded by the stream's watermarks, whatever
//! comes.
//!
//! Do not compress secrets together with what a stranger can choose and send
//! over the same encrypted stream: the length tells of the secret (CRIME,
//! CVE-2012-4929).
//!
//! Deflate, zlib and gzip are flate2 over zlib-rs, Zstandard is the reference
//! library by the crate zstd-safe, LZ4 is lz4_flex.

mod compressor;
mod deflate;
mod error;
mod format;
mod lz4;
mod settings;
mod stream;
mod tally;
mod zstd;

pub use compressor::Compressor;
pub use error::CompressError;
pub use format::Format;
pub use settings::{Bounds, Compression, Flush};
pub use tally::{Passed, Tally};

use std::io;

use crate::Buffer;

/// Least room that is reserved for what a library puts out: a flush marker of
/// deflate is never cut, RFC 1951 section 3.2.4.
const LEAST: usize = 64;
/// The most at once, and so the size of the pieces.
const PIECE: usize = 16 * 1024;

/// One direction of a library: bytes into a frame.
enum Encoder {
    Deflate(deflate::Encoder),
    Zstd(zstd::Encoder),
    Lz4(Box<lz4::Encoder>),
}

/// What is to be put out although nothing more is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Push {
    /// All that was given.
    Flush,
    /// The end of the frame too.
    Finish,
}

impl Encoder {
    /// Takes some bytes, and may put some out.
    fn feed(&mut self, bytes: &[u8], target: &mut Buffer, room: usize) -> io::Result<usize> {
        match self {
            Encoder::Deflate(it) => it.feed(bytes, target, room),
            Encoder::Zstd(it) => it.feed(bytes, target, room),
            Encoder::Lz4(it) => it.feed(bytes, target),
        }
    }

    /// Puts out what it holds; whether that was all.
    fn push(&mut self, what: Push, target: &mut Buffer, room: usize) -> io::Result<bool> {
        match self {
            Encoder::Deflate(it) => it.push(what, target, room),
            Encoder::Zstd(it) => it.push(what, target, room),
            Encoder::Lz4(it) => it.push(what, target),
        }
    }
}

/// The other direction: frames into bytes.
enum Decoder {
    Deflate(deflate::Decoder),
    Zstd(zstd::Decoder),
    Lz4(Box<lz4::Decoder>),
}

/// What one call of a decoder came to.
#[derive(Default)]
struct Fed {
    /// So many bytes of what was given are done with.
    used: usize,
    /// It may have more to put out, without being given anything.
    holds: bool,
    /// The frame is over, and everything in it was put out.
    over: bool,
}

impl Decoder {
    fn feed(
        &mut self,
        bytes: &[u8],
        target: &mut Buffer,
        room: usize,
    ) -> Result<Fed, CompressError> {
        match self {
            Decoder::Deflate(it) => it.feed(bytes, target, room),
            Decoder::Zstd(it) => it.feed(bytes, target, room),
            Decoder::Lz4(it) => it.feed(bytes, target, room),
        }
    }
}

/// How much to reserve where there is so much room.
fn piece(room: usize) -> usize {
    room.clamp(LEAST, PIECE)
}
