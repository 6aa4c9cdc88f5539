//! One compressed stream: a filter.

use std::fmt;
use std::io;

use super::{
    Bounds, CompressError, Compression, Decoder, Encoder, Flush, Format, Passed, Push, Tally,
    deflate, lz4, zstd,
};
use crate::filter::{Filter, Pass};

/// Compression on a stream. [`Stream::compression`](crate::Stream::compression)
/// gives it out, to be asked what it came to.
///
/// Its memory is taken with the first byte of each direction.
///
/// ```
/// use ferrevent::Stream;
/// fn closed(stream: &Stream<'_>) {
///     if let Some(compression) = stream.compression() {
///         println!("{compression}");
///     }
/// }
/// ```
pub struct Compressor {
    how: Compression,
    out: Out,
    come: In,
    tally: Tally,
}

/// What is sent.
#[derive(Default)]
struct Out {
    encoder: Option<Encoder>,
    /// The library may hold something back.
    holds: bool,
    /// It is in the middle of putting that out.
    pushing: Option<Push>,
    /// What is sent is not whole: the frame is not ended.
    cut: bool,
    /// It was ended.
    finished: bool,
    passed: Passed,
}

/// What is received.
#[derive(Default)]
struct In {
    decoder: Option<Decoder>,
    /// The first bytes of all, to tell what it is if it is not what it should be.
    head: [u8; 4],
    /// Within a frame.
    inside: bool,
    /// The byte at the front of the source was taken already: it stays there
    /// as long as more may come out of it.
    held: bool,
    passed: Passed,
}

impl Compressor {
    pub(super) fn new(how: Compression) -> Self {
        Self {
            how,
            out: Out::default(),
            come: In::default(),
            tally: Tally::default(),
        }
    }

    /// How it was set.
    ///
    /// ```
    /// use ferrevent::compress::{Compressor, Format};
    /// fn is_zstd(compressor: &Compressor) -> bool {
    ///     compressor.settings().format() == Format::Zstd
    /// }
    /// ```
    pub fn settings(&self) -> &Compression {
        &self.how
    }

    /// What it came to, so far and later.
    ///
    /// ```
    /// use ferrevent::compress::Compressor;
    /// fn saved(compressor: &Compressor) -> u64 {
    ///     let sent = compressor.tally().sent();
    ///     sent.plain.saturating_sub(sent.packed)
    /// }
    /// ```
    pub fn tally(&self) -> Tally {
        self.tally.clone()
    }
}

impl Filter for Compressor {
    fn decode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        match self.how.receives {
            Some(format) => {
                let outcome = self.come.decode(format, &self.how.bounds, pass);
                self.tally.note_received(self.come.passed);
                Ok(outcome?)
            }
            None => pass_on(pass),
        }
    }

    fn encode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        match self.how.sends {
            Some(format) => {
                let outcome = self.out.encode(format, &self.how, pass);
                self.tally.note_sent(self.out.passed);
                outcome
            }
            None => pass_on(pass),
        }
    }

    fn cut_short(&mut self) {
        self.out.cut = true;
    }
}

impl In {
    fn decode(
        &mut self,
        format: Format,
        bounds: &Bounds,
        pass: &mut Pass<'_>,
    ) -> Result<(), CompressError> {
        while pass.room() > 0 && pass.available() > 0 {
            self.step(format, bounds, pass)?;
        }
        if pass.is_last() && pass.available() == 0 && pass.room() > 0 {
            // An end before the first byte is none that was meant.
            if self.inside || self.passed.packed == 0 {
                return Err(CompressError::Truncated(format));
            }
        }
        Ok(())
    }

    /// Gives the decoder what lies at the front of the source.
    fn step(
        &mut self,
        format: Format,
        bounds: &Bounds,
        pass: &mut Pass<'_>,
    ) -> Result<(), CompressError> {
        let room = pass.room();
        let (source, target) = pass.both();
        let before = target.len();
        let skip = usize::from(self.held);
        let bytes = source.chunk().get(skip..).unwrap_or_default();
        self.note_head(bytes);
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            none => none.insert(Decoder::new(format, bounds)?),
        };
        let fed = match decoder.feed(bytes, target, room) {
            Ok(fed) => fed,
            Err(error) => return Err(self.explain(format, error)),
        };
        let made = target.len() - before;
        if fed.used == 0 && made == 0 && !bytes.is_empty() {
            return Err(CompressError::Corrupt {
                format,
                problem: "nothing comes of it".to_owned(),
            });
        }
        let done = skip + fed.used;
        self.held = fed.holds && done > 0;
        let _ = source.drain(done - usize::from(self.held));
        self.passed.packed += fed.used as u64;
        self.passed.plain += made as u64;
        if fed.over {
            self.inside = false;
        } else if fed.used > 0 {
            self.inside = true;
        }
        if bounds.allow(self.passed.packed, self.passed.plain) {
            Ok(())
        } else {
            Err(CompressError::Bomb {
                format,
                packed: self.passed.packed,
                plain: self.passed.plain,
            })
        }
    }

    fn note_head(&mut self, bytes: &[u8]) {
        let known = usize::try_from(self.passed.packed).unwrap_or(usize::MAX);
        if let Some(head) = self.head.get_mut(known..) {
            let n = head.len().min(bytes.len());
            head[..n].copy_from_slice(&bytes[..n]);
        }
    }

    /// Bytes that never were of the format are not called damaged.
    fn explain(&self, format: Format, error: CompressError) -> CompressError {
        match error {
            CompressError::Corrupt { .. } if !format.may_begin(&self.head) => {
                CompressError::Foreign(format)
            }
            error => error,
        }
    }
}

impl Out {
    fn encode(&mut self, format: Format, how: &Compression, pass: &mut Pass<'_>) -> io::Result<()> {
        while !self.finished {
            let before = pass.target().len();
            let done = self.step(format, how, pass)?;
            self.passed.packed += (pass.target().len() - before) as u64;
            if done || pass.room() == 0 {
                break;
            }
        }
        Ok(())
    }

    /// One call of the library; whether nothing is left to do for now.
    fn step(&mut self, format: Format, how: &Compression, pass: &mut Pass<'_>) -> io::Result<bool> {
        let room = pass.room();
        if self.pushing.is_none() {
            self.pushing = self.wants(how.flush, pass);
        }
        let (source, target) = pass.both();
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            none if self.pushing.is_some() || !source.chunk().is_empty() => {
                none.insert(Encoder::new(format, how.level)?)
            }
            _ => return Ok(true),
        };
        if let Some(push) = self.pushing {
            if encoder.push(push, target, room)? {
                self.pushing = None;
                self.holds = false;
                if push == Push::Finish {
                    self.finished = true;
                    pass.end();
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        let bytes = source.chunk();
        if bytes.is_empty() {
            return Ok(true);
        }
        let used = encoder.feed(bytes, target, room)?;
        source.drain(used)?;
        self.passed.plain += used as u64;
        self.holds |= used > 0;
        Ok(false)
    }

    /// What is to be put out now, if anything.
    fn wants(&self, flush: Flush, pass: &mut Pass<'_>) -> Option<Push> {
        if !pass.source().is_empty() {
            return None;
        }
        if pass.is_last() && !self.cut {
            return Some(Push::Finish);
        }
        let asked = flush == Flush::Turn || pass.flush();
        (self.holds && asked).then_some(Push::Flush)
    }
}

impl Decoder {
    fn new(format: Format, bounds: &Bounds) -> Result<Self, CompressError> {
        Ok(match format {
            Format::Zlib | Format::RawDeflate | Format::Gzip => {
                Decoder::Deflate(deflate::Decoder::new(format))
            }
            Format::Zstd => Decoder::Zstd(zstd::Decoder::new(bounds.window)?),
            Format::Lz4 => Decoder::Lz4(Box::new(lz4::Decoder::new(bounds.window))),
        })
    }
}

impl Encoder {
    fn new(format: Format, level: i32) -> Result<Self, CompressError> {
        Ok(match format {
            Format::Zlib | Format::RawDeflate | Format::Gzip => {
                Encoder::Deflate(deflate::Encoder::new(format, level))
            }
            Format::Zstd => Encoder::Zstd(zstd::Encoder::new(level)?),
            Format::Lz4 => Encoder::Lz4(Box::new(lz4::Encoder::new())),
        })
    }
}

/// The direction that is not compressed.
fn pass_on(pass: &mut Pass<'_>) -> io::Result<()> {
    let n = pass.available().min(pass.room());
    let (source, target) = pass.both();
    source.move_to(target, n)?;
    Ok(())
}

/// `zstd, sent 1000 as 120 bytes, received 5000 as 600`.
impl fmt::Display for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sent, received) = (self.out.passed, self.come.passed);
        write!(
            f,
            "{}, sent {} as {} bytes, received {} as {}",
            self.how, sent.plain, sent.packed, received.plain, received.packed
        )
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor")
            .field("how", &self.how)
            .field("sent", &self.out.passed)
            .field("received", &self.come.passed)
            .finish_non_exhaustive()
    }
}
