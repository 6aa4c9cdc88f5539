//! LZ4 frames, by lz4_flex. Its decoder reads and would wait: it is given
//! whole units only, a frame's header or a block, and this file knows where
//! they end.

use std::io::{self, BufRead, Write};

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use super::{CompressError, Fed, Format, Push};
use crate::Buffer;

/// The most that is taken at once: what a block holds.
const BLOCK: usize = 64 * 1024;

pub(super) struct Encoder(FrameEncoder<Buffer>);

impl Encoder {
    pub(super) fn new() -> Self {
        let info = FrameInfo::new()
            .block_size(BlockSize::Max64KB)
            .block_mode(BlockMode::Linked)
            .content_checksum(true);
        Self(FrameEncoder::with_frame_info(info, Buffer::new()))
    }

    pub(super) fn feed(&mut self, bytes: &[u8], target: &mut Buffer) -> io::Result<usize> {
        let used = self.0.write(&bytes[..bytes.len().min(BLOCK)])?;
        target.append_buffer(self.0.get_mut())?;
        Ok(used)
    }

    pub(super) fn push(&mut self, what: Push, target: &mut Buffer) -> io::Result<bool> {
        match what {
            Push::Flush => self.0.flush()?,
            Push::Finish => self.0.try_finish()?,
        }
        target.append_buffer(self.0.get_mut())?;
        Ok(true)
    }
}

const MAGIC: u32 = 0x184D_2204;
const LEGACY: u32 = 0x184C_2102;
/// The first of sixteen, which a skippable frame begins with.
const SKIPPABLE: u32 = 0x184D_2A50;
/// Bits of a frame's flags.
const BLOCK_CHECKSUMS: u8 = 1 << 4;
const CONTENT_SIZE: u8 = 1 << 3;
const CONTENT_CHECKSUM: u8 = 1 << 2;
const DICTIONARY: u8 = 1;
/// A block of this size bit is stored as it is.
const STORED: u32 = 1 << 31;

pub(super) struct Decoder {
    /// Of the frame that is being read: a new one for each.
    frame: FrameDecoder<Unit>,
    window: usize,
    /// What is being gathered.
    wants: Wants,
    flags: u8,
    largest: usize,
    /// So many bytes of a skippable frame are to be thrown away.
    skip: usize,
    /// The decoder may have more of the last block.
    gives: bool,
}

/// Where a frame is.
#[derive(Clone, Copy)]
enum Wants {
    Magic,
    /// Flags and the rest of the header, once it is known how long that is.
    Header(usize),
    /// The length of a skippable frame.
    Skippable,
    /// The length of a block.
    Block,
    /// A block, or what stands behind the last one.
    Rest {
        len: usize,
        last: bool,
    },
}

/// What the decoder reads: never less than it asks for.
#[derive(Default)]
struct Unit {
    bytes: Vec<u8>,
    read: usize,
}

impl io::Read for Unit {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = &self.bytes[self.read..];
        let n = left.len().min(into.len());
        into[..n].copy_from_slice(&left[..n]);
        self.read += n;
        Ok(n)
    }
}

impl Decoder {
    pub(super) fn new(window: usize) -> Self {
        Self {
            frame: FrameDecoder::new(Unit::default()),
            window,
            wants: Wants::Magic,
            flags: 0,
            largest: 0,
            skip: 0,
            gives: false,
        }
    }

    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        target: &mut Buffer,
        room: usize,
    ) -> Result<Fed, CompressError> {
        let mut fed = Fed::default();
        if !self.gives {
            fed.used = self.gather(bytes)?;
            fed.over =
                matches!(self.wants, Wants::Magic) && self.unit().is_empty() && self.skip == 0;
        }
        if self.gives {
            let ready = self.frame.fill_buf().map_err(|error| corrupt(&error))?;
            let n = ready.len().min(room);
            target
                .append(&ready[..n])
                .map_err(|_| CompressError::OutOfMemory)?;
            self.gives = n < ready.len();
            self.frame.consume(n);
            fed.holds = self.gives;
        }
        Ok(fed)
    }

    fn unit(&mut self) -> &mut Vec<u8> {
        &mut self.frame.get_mut().bytes
    }

    /// Takes bytes up to the end of a unit, at most.
    fn gather(&mut self, bytes: &[u8]) -> Result<usize, CompressError> {
        let mut used = 0;
        while used < bytes.len() && !self.gives {
            let left = &bytes[used..];
            if self.skip > 0 {
                let n = self.skip.min(left.len());
                self.skip -= n;
                used += n;
                if self.skip == 0 {
                    break;
                }
                continue;
            }
            let wanted = self.wants.len();
            let n = (wanted - self.unit().len()).min(left.len());
            self.unit().extend_from_slice(&left[..n]);
            used += n;
            if self.unit().len() == wanted && self.complete()? {
                break;
            }
        }
        Ok(used)
    }

    /// What was wanted is there; whether a frame is over by it.
    fn complete(&mut self) -> Result<bool, CompressError> {
        match self.wants {
            Wants::Magic => match number(self.unit()) {
                MAGIC => self.wants = Wants::Header(6),
                LEGACY => return Err(unsupported("it is of the time before frames")),
                magic if magic & !0xF == SKIPPABLE => {
                    self.unit().clear();
                    self.wants = Wants::Skippable;
                }
                _ => return Err(damaged("no frame begins like that")),
            },
            Wants::Skippable => {
                self.skip = number(self.unit()) as usize;
                self.unit().clear();
                self.wants = Wants::Magic;
                return Ok(self.skip == 0);
            }
            Wants::Header(6) => {
                self.flags = self.unit()[4];
                let descriptor = self.unit()[5];
                self.largest = largest(descriptor)?;
                if self.flags & DICTIONARY != 0 {
                    return Err(unsupported("it needs a dictionary"));
                }
                if self.largest > self.window {
                    let (format, limit) = (Format::Lz4, self.window);
                    return Err(CompressError::Window { format, limit });
                }
                let size = if self.flags & CONTENT_SIZE != 0 { 8 } else { 0 };
                self.wants = Wants::Header(6 + size + 1);
            }
            Wants::Header(_) => {
                self.run()?;
                self.wants = Wants::Block;
            }
            Wants::Block => {
                let size = number(self.unit());
                let sum = |flag| if self.flags & flag != 0 { 4 } else { 0 };
                self.wants = if size == 0 {
                    let len = 4 + sum(CONTENT_CHECKSUM);
                    Wants::Rest { len, last: true }
                } else {
                    let size = (size & !STORED) as usize;
                    if size > self.largest {
                        return Err(damaged("a block is longer than the frame says"));
                    }
                    let len = 4 + size + sum(BLOCK_CHECKSUMS);
                    Wants::Rest { len, last: false }
                };
                if self.wants.len() == 4 {
                    return self.complete();
                }
            }
            Wants::Rest { last, .. } => {
                self.run()?;
                if last {
                    self.frame = FrameDecoder::new(Unit::default());
                    self.wants = Wants::Magic;
                } else {
                    self.wants = Wants::Block;
                }
                return Ok(last);
            }
        }
        Ok(false)
    }

    /// Lets the decoder work on the unit.
    fn run(&mut self) -> Result<(), CompressError> {
        self.frame.get_mut().read = 0;
        self.gives = !self
            .frame
            .fill_buf()
            .map_err(|error| corrupt(&error))?
            .is_empty();
        self.unit().clear();
        self.frame.get_mut().read = 0;
        Ok(())
    }
}

impl Wants {
    /// How long the unit is then.
    fn len(self) -> usize {
        match self {
            Wants::Magic | Wants::Skippable | Wants::Block => 4,
            Wants::Header(len) | Wants::Rest { len, .. } => len,
        }
    }
}

/// How long a block may be, by the descriptor behind the flags.
fn largest(descriptor: u8) -> Result<usize, CompressError> {
    match descriptor >> 4 & 7 {
        size @ 4..=7 => Ok(1 << (8 + 2 * u32::from(size))),
        _ => Err(damaged("its blocks are of no size that there is")),
    }
}

fn number(bytes: &[u8]) -> u32 {
    let mut number = [0; 4];
    let n = bytes.len().min(4);
    number[..n].copy_from_slice(&bytes[..n]);
    u32::from_le_bytes(number)
}

fn damaged(problem: &str) -> CompressError {
    CompressError::Corrupt {
        format: Format::Lz4,
        problem: problem.to_owned(),
    }
}

fn unsupported(problem: &str) -> CompressError {
    CompressError::Unsupported {
        format: Format::Lz4,
        problem: problem.to_owned(),
    }
}

fn corrupt(error: &io::Error) -> CompressError {
    damaged(&error.to_string())
}
