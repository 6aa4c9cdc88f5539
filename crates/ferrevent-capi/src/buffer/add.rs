//! Adding bytes.

use std::ffi::{c_int, c_void};
use std::slice;

use ferrevent::Buffer;
use ferrevent::buffer::{BufferError, End};

use super::direct::{Change, NOTHING};
use super::{Buf, Held, gone};
use crate::system::iovec;

type CleanupFn = unsafe extern "C" fn(*const c_void, usize, *mut c_void);
type Outcome = Result<(), BufferError>;

/// # Safety
/// So many bytes may be read there, if any.
unsafe fn bytes<'a>(data: *const c_void, length: usize) -> &'a [u8] {
    if length == 0 || data.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { slice::from_raw_parts(data.cast(), length) }
}

/// 0 or -1, and so many bytes that were added, or none.
#[inline(always)]
fn added(outcome: Outcome, length: usize) -> (c_int, Change) {
    match outcome {
        Ok(()) => (0, (length, 0)),
        Err(_) => (-1, NOTHING),
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn evbuffer_add(
    buf: Buf,
    data: *const c_void,
    length: usize,
) -> c_int {
    if length > isize::MAX as usize {
        return -1;
    }
    // SAFETY: the caller's bytes.
    let bytes = unsafe { bytes(data, length) };
    buf.change(|buffer| added(buffer.append(bytes), length))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn evbuffer_prepend(buf: Buf, data: *const c_void, length: usize) -> c_int {
    if length == 0 {
        return 0;
    }
    if length > isize::MAX as usize {
        return -1;
    }
    // SAFETY: the caller's bytes.
    let bytes = unsafe { bytes(data, length) };
    buf.change(|buffer| added(buffer.prepend(bytes), length))
}

/// Returns how many bytes were added.
#[unsafe(no_mangle)]
unsafe extern "C" fn evbuffer_add_iovec(buf: Buf, vectors: *const iovec, number: c_int) -> usize {
    let number = usize::try_from(number).unwrap_or(0);
    let mut held = buf.hold();
    let mut sum = 0;
    for index in 0..number {
        // SAFETY: the caller's vectors, and the bytes they tell of.
        let bytes = unsafe {
            let vector = *vectors.add(index);
            bytes(vector.iov_base, vector.iov_len)
        };
        if held.buffer.append(bytes).is_err() {
            break;
        }
        held.changed(bytes.len(), 0);
        sum += bytes.len();
    }
    sum
}

/// Memory of the program's, which is told when nobody reads it any more.
struct Reference {
    data: *const c_void,
    length: usize,
    cleanup: Option<CleanupFn>,
    argument: *mut c_void,
}

// SAFETY: the program has promised that its memory does not change before it
// is told, and its function is called once, wherever the last byte goes.
unsafe impl Send for Reference {}
// SAFETY: as above: it is only read.
unsafe impl Sync for Reference {}

impl AsRef<[u8]> for Reference {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the program's bytes, see above.
        unsafe { bytes(self.data, self.length) }
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let (data, length, argument) = (self.data, self.length, self.argument);
        if let Some(cleanup) = self.cleanup {
            // SAFETY: what the program has given to be called now.
            gone::note(move || unsafe { cleanup(data, length, argument) });
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn evbuffer_add_reference(
    buf: Buf,
    data: *const c_void,
    length: usize,
    cleanup: Option<CleanupFn>,
    argument: *mut c_void,
) -> c_int {
    if length > isize::MAX as usize {
        return -1;
    }
    if cleanup.is_none() {
        // SAFETY: the program does not want to know when the memory is not
        // read any more, so it keeps it as long as anybody may.
        let bytes: &'static [u8] = unsafe { bytes(data, length) };
        return buf.change(|buffer| added(buffer.append_reference(bytes), length));
    }
    let reference = Reference {
        data,
        length,
        cleanup,
        argument,
    };
    buf.change(|buffer| {
        // Nobody is told of what was not taken.
        if buffer.is_frozen(End::Back) || length > Buffer::MAX_LEN - buffer.len() {
            std::mem::forget(reference);
            return (-1, NOTHING);
        }
        added(buffer.append_reference(reference), length)
    })
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_add_buffer(to: Buf, from: Buf) -> c_int {
    pour(to, from, Buffer::append_buffer)
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_prepend_buffer(to: Buf, from: Buf) -> c_int {
    pour(to, from, Buffer::prepend_buffer)
}

impl Buf {
    /// Moves everything to the end of another buffer.
    pub(crate) fn pour(to: Buf, from: Buf) -> c_int {
        evbuffer_add_buffer(to, from)
    }

    /// Moves so much, or what there is.
    pub(crate) fn move_to(self, to: Buf, length: usize) {
        evbuffer_remove_buffer(self, to, length);
    }
}

/// Moves everything from one buffer to another.
#[inline(always)]
fn pour(to: Buf, from: Buf, work: impl FnOnce(&mut Buffer, &mut Buffer) -> Outcome) -> c_int {
    if to == from {
        return 0;
    }
    Buf::change_both(from, to, |from, to| {
        let length = from.len();
        if length == 0 {
            return (0, 0);
        }
        match work(to, from) {
            Ok(()) => (0, length),
            Err(_) => (-1, 0),
        }
    })
}

/// Two different buffers, locked in the order of their places.
pub(super) fn both(one: Buf, other: Buf) -> (Held, Held) {
    if one.0 < other.0 {
        let one = one.hold();
        (one, other.hold())
    } else {
        let other = other.hold();
        (one.hold(), other)
    }
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_add_buffer_reference(to: Buf, from: Buf) -> c_int {
    if to == from {
        return -1;
    }
    let (from, mut to) = both(from, to);
    let length = from.buffer.len();
    if length == 0 {
        return 0;
    }
    let mut shared = from.buffer.share(length);
    if to.buffer.append_buffer(&mut shared).is_err() {
        return -1;
    }
    to.changed(length, 0);
    0
}

/// Returns how many bytes were moved.
#[unsafe(no_mangle)]
extern "C" fn evbuffer_remove_buffer(from: Buf, to: Buf, length: usize) -> c_int {
    if length == 0 || from == to {
        return 0;
    }
    Buf::change_both(from, to, |from, to| match from.move_to(to, length) {
        Ok(moved) => (c_int::try_from(moved).unwrap_or(c_int::MAX), moved),
        Err(_) => (-1, 0),
    })
}
