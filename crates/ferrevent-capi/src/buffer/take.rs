//! Looking at bytes and taking them out.

use std::ffi::{c_char, c_int, c_void};
use std::slice;

use ferrevent::buffer::{Chunk, End, Eol};

use super::position::{Position, eol_of};
use super::{Buf, Held};
use crate::memory;

impl Held {
    fn drain(&mut self, length: usize) -> bool {
        if self.buffer.is_empty() {
            return true;
        }
        let Ok(drained) = self.buffer.drain(length) else {
            return false;
        };
        self.changed(0, drained);
        true
    }

    /// Copies from a position on, as much as there is; `None` while the front
    /// is frozen.
    fn copy(&self, from: usize, target: &mut [u8]) -> Option<usize> {
        let most = self.buffer.len().saturating_sub(from).min(target.len());
        if most == 0 {
            return Some(0);
        }
        if self.buffer.is_frozen(End::Front) {
            return None;
        }
        let mut skip = from;
        let mut done = 0;
        for chunk in self.buffer.chunks() {
            let Chunk::Bytes(bytes) = chunk else { break };
            let bytes = &bytes[skip.min(bytes.len())..];
            skip = skip.saturating_sub(chunk.len());
            let length = bytes.len().min(most - done);
            target[done..done + length].copy_from_slice(&bytes[..length]);
            done += length;
            if done == most {
                break;
            }
        }
        Some(done)
    }

    /// A line without its end, as a string that the program frees.
    pub(super) fn line(&mut self, eol: Eol) -> Option<(*mut c_char, usize)> {
        if self.buffer.is_frozen(End::Front) {
            return None;
        }
        let end = self.buffer.find_line_end(eol, 0).ok()??;
        let room = memory::allocate(end.position + 1)?;
        // SAFETY: so much room was just made.
        let target =
            unsafe { slice::from_raw_parts_mut(room.as_ptr().cast::<u8>(), end.position + 1) };
        self.copy(0, &mut target[..end.position]);
        target[end.position] = 0;
        if self.is_watched() {
            // The end is told by itself.
            self.drain(end.position);
            self.drain(end.len);
        } else {
            self.drain(end.position + end.len);
        }
        Some((room.as_ptr().cast(), end.position))
    }

    pub(super) fn pull_up(&mut self, length: usize) -> *mut u8 {
        if length == 0 || length > self.buffer.len() {
            return std::ptr::null_mut();
        }
        match self.buffer.make_contiguous(length) {
            Ok(bytes) => bytes.as_ptr().cast_mut(),
            Err(_) => std::ptr::null_mut(),
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_drain(buf: Buf, length: usize) -> c_int {
    if buf.hold().drain(length) { 0 } else { -1 }
}

/// # Safety
/// So many bytes may be written there, if any.
unsafe fn room<'a>(to: *mut c_void, length: usize) -> &'a mut [u8] {
    if length == 0 || to.is_null() {
        return &mut [];
    }
    // SAFETY: the caller's promise; no more than a slice may have.
    unsafe { slice::from_raw_parts_mut(to.cast(), length.min(isize::MAX as usize)) }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn evbuffer_remove(buf: Buf, to: *mut c_void, length: usize) -> c_int {
    let mut held = buf.hold();
    let length = length.min(held.buffer.len());
    // SAFETY: the caller's room, or less of it.
    let Some(copied) = held.copy(0, unsafe { room(to, length) }) else {
        return -1;
    };
    if copied > 0 && !held.drain(copied) {
        return -1;
    }
    c_int::try_from(copied).unwrap_or(c_int::MAX)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn evbuffer_copyout(buf: Buf, to: *mut c_void, length: usize) -> isize {
    let held = buf.hold();
    let length = length.min(held.buffer.len());
    // SAFETY: the caller's room, or less of it.
    let copied = held.copy(0, unsafe { room(to, length) });
    copied.map_or(-1, usize::cast_signed)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn evbuffer_copyout_from(
    buf: Buf,
    from: Option<&Position>,
    to: *mut c_void,
    length: usize,
) -> isize {
    let from = match from {
        None => 0,
        Some(from) => match usize::try_from(from.bytes) {
            Ok(from) if length <= isize::MAX as usize - from => from,
            _ => return -1,
        },
    };
    let held = buf.hold();
    let length = length.min(held.buffer.len().saturating_sub(from));
    // SAFETY: the caller's room, or less of it.
    let copied = held.copy(from, unsafe { room(to, length) });
    copied.map_or(-1, usize::cast_signed)
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_readln(buf: Buf, length: Option<&mut usize>, style: c_int) -> *mut c_char {
    let line = eol_of(style).and_then(|eol| buf.hold().line(eol));
    let (line, read) = line.unwrap_or((std::ptr::null_mut(), 0));
    if let Some(length) = length {
        *length = read;
    }
    line
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_pullup(buf: Buf, length: isize) -> *mut u8 {
    let mut held = buf.hold();
    let length = usize::try_from(length).unwrap_or(held.buffer.len());
    held.pull_up(length)
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_get_contiguous_space(buf: Buf) -> usize {
    buf.hold().buffer.chunk().len()
}

/// Tells where so many bytes are, from a position on, and how many vectors
/// that takes.
#[unsafe(no_mangle)]
unsafe extern "C" fn evbuffer_peek(
    buf: Buf,
    length: isize,
    from: Option<&Position>,
    vectors: *mut libc::iovec,
    number: c_int,
) -> c_int {
    let held = buf.hold();
    let mut skip = match from {
        None => 0,
        Some(from) => match usize::try_from(from.bytes) {
            Ok(skip) => skip,
            Err(_) => return 0,
        },
    };
    let number = usize::try_from(number).unwrap_or(0);
    let mut left = usize::try_from(length).ok();
    if number == 0 && left.is_none() {
        left = Some(held.buffer.len().saturating_sub(skip));
    }
    let mut count = 0;
    for chunk in held.buffer.chunks() {
        let Chunk::Bytes(bytes) = chunk else { break };
        if skip >= bytes.len() {
            skip -= bytes.len();
            continue;
        }
        if left == Some(0) || left.is_none() && count >= number {
            break;
        }
        let bytes = &bytes[skip..];
        skip = 0;
        if count < number {
            // SAFETY: the caller's vectors.
            unsafe {
                vectors.add(count).write(libc::iovec {
                    iov_base: bytes.as_ptr().cast_mut().cast(),
                    iov_len: bytes.len(),
                });
            }
        }
        left = left.map(|left| left.saturating_sub(bytes.len()));
        count += 1;
    }
    c_int::try_from(count).unwrap_or(c_int::MAX)
}
