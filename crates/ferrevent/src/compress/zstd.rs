//! Zstandard, by the reference library.

use std::io;

use zstd_safe::zstd_sys::{ZSTD_EndDirective, ZSTD_ErrorCode};
use zstd_safe::{CCtx, CParameter, DCtx, DParameter, InBuffer, OutBuffer};

use super::{CompressError, Fed, Format, Push, piece};
use crate::Buffer;

/// How far back is looked, as a power of two: nearly as small as what levels
/// from 3 on would have of themselves, for a megabyte or more less a stream.
const WINDOW: u32 = 20;

pub(super) struct Encoder(CCtx<'static>);

impl Encoder {
    pub(super) fn new(level: i32) -> Result<Self, CompressError> {
        let mut context = CCtx::try_create().ok_or(CompressError::OutOfMemory)?;
        for parameter in [
            CParameter::CompressionLevel(level),
            CParameter::WindowLog(WINDOW),
            CParameter::ChecksumFlag(true),
        ] {
            // They are in the range of every version of the library.
            let _ = context.set_parameter(parameter);
        }
        Ok(Self(context))
    }

    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        target: &mut Buffer,
        room: usize,
    ) -> io::Result<usize> {
        let (used, _) = self.work(bytes, target, room, ZSTD_EndDirective::ZSTD_e_continue)?;
        Ok(used)
    }

    pub(super) fn push(
        &mut self,
        what: Push,
        target: &mut Buffer,
        room: usize,
    ) -> io::Result<bool> {
        let how = match what {
            Push::Flush => ZSTD_EndDirective::ZSTD_e_flush,
            Push::Finish => ZSTD_EndDirective::ZSTD_e_end,
        };
        let (_, left) = self.work(&[], target, room, how)?;
        Ok(left == 0)
    }

    fn work(
        &mut self,
        bytes: &[u8],
        target: &mut Buffer,
        room: usize,
        how: ZSTD_EndDirective,
    ) -> io::Result<(usize, usize)> {
        let into = &mut target.reserve(piece(room))?[..piece(room)];
        let mut output = OutBuffer::around(into);
        let mut input = InBuffer::around(bytes);
        let left = self
            .0
            .compress_stream2(&mut output, &mut input, how)
            .map_err(|code| io::Error::other(zstd_safe::get_error_name(code)))?;
        let (used, made) = (input.pos(), output.pos());
        target.commit(made)?;
        Ok((used, left))
    }
}

pub(super) struct Decoder {
    context: DCtx<'static>,
    window: usize,
}

impl Decoder {
    pub(super) fn new(window: usize) -> Result<Self, CompressError> {
        let mut context = DCtx::try_create().ok_or(CompressError::OutOfMemory)?;
        // The library's own bounds, ZSTD_WINDOWLOG_ABSOLUTEMIN and _MAX.
        let most = if cfg!(target_pointer_width = "64") {
            31
        } else {
            30
        };
        let log = window.max(1).ilog2().clamp(10, most);
        let _ = context.set_parameter(DParameter::WindowLogMax(log));
        Ok(Self { context, window })
    }

    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        target: &mut Buffer,
        room: usize,
    ) -> Result<Fed, CompressError> {
        let most = piece(room);
        let into = target
            .reserve(most)
            .map_err(|_| CompressError::OutOfMemory)?;
        let mut output = OutBuffer::around(&mut into[..most]);
        let mut input = InBuffer::around(bytes);
        let hint = self
            .context
            .decompress_stream(&mut output, &mut input)
            .map_err(|code| self.explain(code))?;
        let (used, made) = (input.pos(), output.pos());
        target
            .commit(made)
            .map_err(|_| CompressError::OutOfMemory)?;
        Ok(Fed {
            used,
            holds: made == most && hint != 0,
            over: hint == 0,
        })
    }

    fn explain(&self, code: usize) -> CompressError {
        let is = |kind| zstd_safe::is_error_kind(code, kind);
        let format = Format::Zstd;
        let problem = zstd_safe::get_error_name(code).to_owned();
        if is(ZSTD_ErrorCode::ZSTD_error_frameParameter_windowTooLarge) {
            let limit = self.window;
            CompressError::Window { format, limit }
        } else if is(ZSTD_ErrorCode::ZSTD_error_memory_allocation) {
            CompressError::OutOfMemory
        } else if is(ZSTD_ErrorCode::ZSTD_error_dictionary_wrong) {
            CompressError::Unsupported { format, problem }
        } else {
            CompressError::Corrupt { format, problem }
        }
    }
}
