//! Adding bytes.

use std::ffi::{c_int, c_void};
use std::slice;

use super::{Buf, Held, gone};

type CleanupFn = unsafe extern "C" fn(*const c_void, usize, *mut c_void);

/// # Safety
/// So many bytes may be read there, if any.
unsafe fn bytes<'a>(data: *const c_void, length: usize) -> &'a [u8] {
    if length == 0 || data.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { slice::from_raw_parts(data.cast(), length) }
}

impl Held {
    pub(super) fn add(&mut self, bytes: &[u8]) -> bool {
        let added = self.buffer.append(bytes).is_ok();
        if added {
            self.changed(bytes.len(), 0);
        }
        added
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
    if buf.hold().add(bytes) { 0 } else { -1 }
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
    let mut held = buf.hold();
    if held.buffer.prepend(bytes).is_err() {
        return -1;
    }
    held.changed(length, 0);
    0
}

/// Returns how many bytes were added.
#[unsafe(no_mangle)]
unsafe extern "C" fn evbuffer_add_iovec(
    buf: Buf,
    vectors: *const libc::iovec,
    number: c_int,
) -> usize {
    let number = usize::try_from(number).unwrap_or(0);
    let mut held = buf.hold();
    let mut sum = 0;
    for index in 0..number {
        // SAFETY: the caller's vectors, and the bytes they tell of.
        let bytes = unsafe {
            let vector = *vectors.add(index);
            bytes(vector.iov_base, vector.iov_len)
        };
        if !held.add(bytes) {
            break;
        }
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
    let mut held = buf.hold();
    if length > isize::MAX as usize || held.buffer.is_frozen(ferrevent::buffer::End::Back) {
        return -1;
    }
    let reference = Reference {
        data,
        length,
        cleanup,
        argument,
    };
    if held.buffer.append_reference(reference).is_err() {
        return -1;
    }
    held.changed(length, 0);
    0
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_add_buffer(to: Buf, from: Buf) -> c_int {
    pour(to, from, |to, from| to.append_buffer(from))
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_prepend_buffer(to: Buf, from: Buf) -> c_int {
    pour(to, from, |to, from| to.prepend_buffer(from))
}

type Outcome = Result<(), ferrevent::buffer::BufferError>;

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
fn pour(
    to: Buf,
    from: Buf,
    work: impl FnOnce(&mut ferrevent::Buffer, &mut ferrevent::Buffer) -> Outcome,
) -> c_int {
    if to == from {
        return 0;
    }
    let (mut from, mut to) = both(from, to);
    let length = from.buffer.len();
    if length == 0 {
        return 0;
    }
    if work(&mut to.buffer, &mut from.buffer).is_err() {
        return -1;
    }
    from.changed(0, length);
    to.changed(length, 0);
    0
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
    let (mut from, mut to) = both(from, to);
    let all = length >= from.buffer.len();
    let Ok(moved) = from.buffer.move_to(&mut to.buffer, length) else {
        return -1;
    };
    if all {
        from.changed(0, moved);
        to.changed(moved, 0);
    } else {
        to.changed(moved, 0);
        from.changed(0, moved);
    }
    c_int::try_from(moved).unwrap_or(c_int::MAX)
}
