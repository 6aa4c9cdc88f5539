//! `event2/buffer_compat.h`.

use std::ffi::{c_char, c_int, c_void};

use ferrevent::buffer::Eol;

use super::Buf;
use super::callbacks::OldTellFn;

#[unsafe(no_mangle)]
extern "C" fn evbuffer_readline(buf: Buf) -> *mut c_char {
    let line = buf.line(Eol::Any);
    line.map_or(std::ptr::null_mut(), |(line, _)| line)
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_setcb(buf: Buf, tell: Option<OldTellFn>, argument: *mut c_void) -> c_int {
    buf.hold().replace(tell, argument);
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn evbuffer_find(buf: Buf, what: *const u8, length: usize) -> *mut u8 {
    if length == 0 || what.is_null() {
        return std::ptr::null_mut();
    }
    // SAFETY: the caller's bytes.
    let what = unsafe { std::slice::from_raw_parts(what, length) };
    let mut held = buf.hold();
    let Ok(Some(found)) = held.buffer.find(what, 0) else {
        return std::ptr::null_mut();
    };
    let front = held.pull_up(found + length);
    if front.is_null() {
        return front;
    }
    // SAFETY: so many bytes and more are there in one piece.
    unsafe { front.add(found) }
}
