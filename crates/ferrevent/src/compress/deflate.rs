//! Deflate, in its three wrappings, by flate2.

use std::io;

use flate2::{Compress, Decompress, FlushCompress, FlushDecompress, Status};

use super::{CompressError, Fed, Format, Push, piece};
use crate::Buffer;

/// The whole window of deflate, 2^15 bytes.
const WINDOW: u8 = 15;

pub(super) struct Encoder(Compress);

impl Encoder {
    pub(super) fn new(format: Format, level: i32) -> Self {
        let level = flate2::Compression::new(level.unsigned_abs());
        Self(match format {
            Format::Gzip => Compress::new_gzip(level, WINDOW),
            format => Compress::new(level, format == Format::Zlib),
        })
    }

    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        target: &mut Buffer,
        room: usize,
    ) -> io::Result<usize> {
        let before = self.0.total_in();
        self.work(bytes, target, room, FlushCompress::None)?;
        Ok((self.0.total_in() - before) as usize)
    }

    pub(super) fn push(
        &mut self,
        what: Push,
        target: &mut Buffer,
        room: usize,
    ) -> io::Result<bool> {
        match what {
            // Room that was left is the sign that all is out.
            Push::Flush => Ok(self.work(&[], target, room, FlushCompress::Sync)?.1),
            Push::Finish => {
                let (status, _) = self.work(&[], target, room, FlushCompress::Finish)?;
                Ok(status == Status::StreamEnd)
            }
        }
    }

    fn work(
        &mut self,
        bytes: &[u8],
        target: &mut Buffer,
        room: usize,
        flush: FlushCompress,
    ) -> io::Result<(Status, bool)> {
        let before = self.0.total_out();
        let into = &mut target.reserve(piece(room))?[..piece(room)];
        let status = self.0.compress(bytes, into, flush)?;
        let made = (self.0.total_out() - before) as usize;
        target.commit(made)?;
        Ok((status, made < piece(room)))
    }
}

pub(super) struct Decoder {
    inflate: Decompress,
    format: Format,
    /// The stream is over: the next byte begins another.
    over: bool,
}

impl Decoder {
    pub(super) fn new(format: Format) -> Self {
        let inflate = match format {
            Format::Gzip => Decompress::new_gzip(WINDOW),
            format => Decompress::new(format == Format::Zlib),
        };
        Self {
            inflate,
            format,
            over: false,
        }
    }

    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        target: &mut Buffer,
        room: usize,
    ) -> Result<Fed, CompressError> {
        if std::mem::take(&mut self.over) {
            self.inflate.reset(self.format != Format::RawDeflate);
        }
        let (taken, made) = (self.inflate.total_in(), self.inflate.total_out());
        let most = piece(room);
        let into = target
            .reserve(most)
            .map_err(|_| CompressError::OutOfMemory)?;
        let status = self
            .inflate
            .decompress(bytes, &mut into[..most], FlushDecompress::None)
            .map_err(|error| self.explain(&error))?;
        let made = (self.inflate.total_out() - made) as usize;
        target
            .commit(made)
            .map_err(|_| CompressError::OutOfMemory)?;
        self.over = status == Status::StreamEnd;
        Ok(Fed {
            used: (self.inflate.total_in() - taken) as usize,
            holds: made == most && !self.over,
            over: self.over,
        })
    }

    fn explain(&self, error: &flate2::DecompressError) -> CompressError {
        let format = self.format;
        if error.needs_dictionary().is_some() {
            return CompressError::Unsupported {
                format,
                problem: "it needs a dictionary".to_owned(),
            };
        }
        let problem = error.message().unwrap_or("it cannot be read");
        CompressError::Corrupt {
            format,
            problem: problem.to_owned(),
        }
    }
}
