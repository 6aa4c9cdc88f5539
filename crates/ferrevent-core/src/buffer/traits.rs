//! How buffers appear to the traits of the standard library and of `bytes`.

use std::{
    fmt,
    io::{self, BufRead, IoSlice, Read, Write},
};

use bytes::{Buf, Bytes};

use super::{
    append::dense_segment,
    block::Block,
    chain::{BACK, Buffer, FRONT, RESERVED},
    error::BufferError,
    view::Chunk,
};

impl Default for Buffer {
    fn default() -> Buffer {
        Buffer::new()
    }
}

/// Copies the bytes.
impl From<&[u8]> for Buffer {
    fn from(bytes: &[u8]) -> Buffer {
        let mut buffer = Buffer::new();
        buffer.copy_in(bytes);
        buffer
    }
}

/// Adopts the vector; up to 512 bytes are copied.
impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Buffer {
        Buffer::from(Bytes::from(bytes))
    }
}

/// Refers to the bytes; up to 512 are copied.
impl From<Bytes> for Buffer {
    fn from(bytes: Bytes) -> Buffer {
        let mut buffer = Buffer::new();
        // Nothing is frozen, and no allocation is as long as a buffer may be.
        let _ = buffer.append_bytes(bytes);
        buffer
    }
}

/// Adopts the first bytes of a block, `min(filled, capacity)` of them, as
/// [`Buffer::append_block`] does.
impl From<(Block, usize)> for Buffer {
    fn from((block, filled): (Block, usize)) -> Buffer {
        let mut buffer = Buffer::new();
        let filled = filled.min(block.capacity());
        if filled > 0 {
            buffer.push_back(dense_segment(block, filled));
        }
        buffer
    }
}

/// The bytes that can be taken now: those before the first file range, and none while the front
/// is frozen. Panics on an overrun, as the trait wants it.
impl Buf for Buffer {
    #[inline]
    fn remaining(&self) -> usize {
        if self.flags & FRONT != 0 {
            0
        } else {
            self.len_in_memory()
        }
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        if self.flags & FRONT != 0 {
            &[]
        } else {
            self.head.bytes()
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        if self.flags & FRONT != 0 {
            0
        } else {
            self.io_slices(slices)
        }
    }

    #[inline]
    fn advance(&mut self, n: usize) {
        let remaining = self.remaining();
        assert!(
            n <= remaining,
            "cannot advance by {n} bytes where {remaining} remain"
        );
        // With a frozen front nothing remains, so `n` is 0.
        let _ = self.drain(n);
    }

    fn copy_to_bytes(&mut self, n: usize) -> Bytes {
        let remaining = self.remaining();
        assert!(
            n <= remaining,
            "cannot take {n} bytes where {remaining} remain"
        );
        self.take_bytes(n).unwrap_or_default()
    }
}

/// Reads as [`Buffer::read`] does; an empty buffer is at its end.
impl Read for Buffer {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        Ok(Buffer::read(self, target)?)
    }
}

/// Shows the first segment.
impl BufRead for Buffer {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.begin_front()?;
        if self.head.is_file() {
            return Err(BufferError::FileRange.into());
        }
        Ok(self.head.bytes())
    }

    fn consume(&mut self, n: usize) {
        // Nobody was shown bytes at a frozen front.
        let _ = self.drain(n);
    }
}

/// Appends; never a part of the data only.
impl Write for Buffer {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.append(data)?;
        Ok(data.len())
    }

    fn write_all(&mut self, data: &[u8]) -> io::Result<()> {
        Ok(self.append(data)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Equal if all bytes are in memory and are these.
impl PartialEq<[u8]> for Buffer {
    fn eq(&self, other: &[u8]) -> bool {
        let mut rest = other;
        self.len == other.len()
            && self.chunks().all(|chunk| match chunk {
                Chunk::File(_) => false,
                Chunk::Bytes(bytes) => rest.strip_prefix(bytes).is_some_and(|after| {
                    rest = after;
                    true
                }),
            })
    }
}

/// Equal if all bytes are in memory and are these.
impl<const N: usize> PartialEq<[u8; N]> for Buffer {
    fn eq(&self, other: &[u8; N]) -> bool {
        *self == other[..]
    }
}

/// Shows the length, the frozen ends and the segments, but none of the bytes.
impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Buffer");
        fields.field("len", &self.len);
        for (flag, name) in [(FRONT, "front_frozen"), (BACK, "back_frozen")] {
            if self.flags & flag != 0 {
                fields.field(name, &true);
            }
        }
        if self.flags & RESERVED != 0 {
            fields.field("reserved", &self.reserved);
        }
        let parts: Vec<(&str, usize)> = self
            .chunks()
            .map(|chunk| match chunk {
                Chunk::Bytes(bytes) => ("memory", bytes.len()),
                Chunk::File(range) => ("file", range.len),
            })
            .collect();
        fields.field("segments", &parts).finish()
    }
}
