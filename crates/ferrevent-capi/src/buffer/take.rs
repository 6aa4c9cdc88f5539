//! Looking at bytes and taking them out.

use std::ffi::{c_char, c_int, c_void};
use std::slice;

use ferrevent::Buffer;
use ferrevent::buffer::{Chunk, End, Eol, LineEnd};

use super::direct::{Change, NOTHING};
use super::position::{Position, eol_of};
use super::{Buf, Held};
use crate::memory;
use crate::system::iovec;

/// Whether it could be done, and what has changed.
#[inline(always)]
fn drain(buffer: &mut Buffer, length: usize) -> (bool, Change) {
    if buffer.is_empty() {
        return (true, NOTHING);
    }
    match buffer.drain(length) {
        Ok(drained) => (true, (0, drained)),
        Err(_) => (false, NOTHING),
    }
}

/// Copies from a position on, as much as there is; `None` while the front is
/// frozen.
fn copy(buffer: &Buffer, from: usize, target: &mut [u8]) -> Option<usize> {
    let most = buffer.len().saturating_sub(from).min(target.len());
    if most == 0 {
        return Some(0);
    }
    if buffer.is_frozen(End::Front) {
        return None;
    }
    let target = &mut target[..most];
    // Mostly it is all in the first piece.
    if from.saturating_add(most) <= buffer.chunk().len() {
        target.copy_from_slice(&buffer.chunk()[from..from + most]);
        return Some(most);
    }
    let mut skip = from;
    let mut done = 0;
    for chunk in buffer.chunks() {
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

/// A line that is still in the buffer, as a string that the program frees.
#[inline(always)]
fn copy_line(buffer: &Buffer, eol: Eol) -> Option<(*mut c_char, LineEnd)> {
    if buffer.is_frozen(End::Front) {
        return None;
    }
    let end = buffer.find_line_end(eol, 0).ok()??;
    let room = memory::allocate(end.position + 1)?;
    // SAFETY: so much room was just made.
    let target = unsafe { slice::from_raw_parts_mut(room.as_ptr().cast::<u8>(), end.position + 1) };
    copy(buffer, 0, &mut target[..end.position]);
    target[end.position] = 0;
    Some((room.as_ptr().cast(), end))
}

impl Buf {
    /// A line without its end, as a string that the program frees.
    #[inline(always)]
    pub(super) fn line(self, eol: Eol) -> Option<(*mut c_char, usize)> {
        if !self.is_plain() {
            return self.hold().line(eol);
        }
        self.change(|buffer| {
            let line = copy_line(buffer, eol).map(|(line, end)| {
                drain(buffer, end.position + end.len);
                (line, end.position)
            });
            (line, NOTHING)
        })
    }
}

impl Held {
    fn line(&mut self, eol: Eol) -> Option<(*mut c_char, usize)> {
        let (line, end) = copy_line(&self.buffer, eol)?;
        // The end is told by itself.
        for length in [end.position, end.len] {
            let (_, (added, taken)) = drain(&mut self.buffer, length);
            self.changed(added, taken);
        }
        Some((line, end.position))
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
    let drained = buf.change(|buffer| drain(buffer, length));
    if drained { 0 } else { -1 }
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
    buf.change(|buffer| {
        let length = length.min(buffer.len());
        // SAFETY: the caller's room, or less of it.
        let Some(copied) = copy(buffer, 0, unsafe { room(to, length) }) else {
            return (-1, NOTHING);
        };
        let (_, change) = drain(buffer, copied);
        (c_int::try_from(copied).unwrap_or(c_int::MAX), change)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn evbuffer_copyout(buf: Buf, to: *mut c_void, length: usize) -> isize {
    // SAFETY: a position is none.
    unsafe { evbuffer_copyout_from(buf, None, to, length) }
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
    buf.look(|buffer| {
        let length = length.min(buffer.len().saturating_sub(from));
        // SAFETY: the caller's room, or less of it.
        let copied = copy(buffer, from, unsafe { room(to, length) });
        copied.map_or(-1, usize::cast_signed)
    })
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_readln(buf: Buf, length: Option<&mut usize>, style: c_int) -> *mut c_char {
    let line = eol_of(style).and_then(|eol| buf.line(eol));
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
    buf.look(|buffer| buffer.chunk().len())
}

/// Tells where so many bytes are, from a position on, and how many vectors
/// that takes.
#[unsafe(no_mangle)]
unsafe extern "C" fn evbuffer_peek(
    buf: Buf,
    length: isize,
    from: Option<&Position>,
    vectors: *mut iovec,
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
                vectors.add(count).write(iovec {
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
