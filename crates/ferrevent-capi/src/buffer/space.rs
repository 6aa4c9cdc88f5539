//! Room to write into, and formatted text.

use std::ffi::c_int;

use super::Buf;
use crate::system::iovec;

unsafe extern "C" {
    // Those of `csrc/variadic.c`.
    fn ferrevent_add_printf();
    fn ferrevent_add_vprintf();
}

/// Passes its arguments on as they are: only C can name them.
#[cfg_attr(older_compiler, naked)]
#[cfg_attr(not(older_compiler), unsafe(naked))]
#[unsafe(no_mangle)]
extern "C" fn evbuffer_add_printf() {
    #[cfg(target_arch = "x86_64")]
    naked_asm!("jmp {}", sym ferrevent_add_printf);
    #[cfg(target_arch = "aarch64")]
    naked_asm!("b {}", sym ferrevent_add_printf);
}

/// As above: only C can read a list of arguments twice.
#[cfg_attr(older_compiler, naked)]
#[cfg_attr(not(older_compiler), unsafe(naked))]
#[unsafe(no_mangle)]
extern "C" fn evbuffer_add_vprintf() {
    #[cfg(target_arch = "x86_64")]
    naked_asm!("jmp {}", sym ferrevent_add_vprintf);
    #[cfg(target_arch = "aarch64")]
    naked_asm!("b {}", sym ferrevent_add_vprintf);
}

/// Room comes when bytes do.
#[unsafe(no_mangle)]
extern "C" fn evbuffer_expand(_: Buf, length: usize) -> c_int {
    if length > ferrevent::Buffer::MAX_LEN {
        -1
    } else {
        0
    }
}

/// Gives room at the back, always in one piece.
#[unsafe(no_mangle)]
unsafe extern "C" fn evbuffer_reserve_space(
    buf: Buf,
    length: isize,
    vectors: *mut iovec,
    number: c_int,
) -> c_int {
    let (Ok(length), true) = (usize::try_from(length), number >= 1) else {
        return -1;
    };
    let mut held = buf.hold();
    let Ok(room) = held.buffer.reserve(length) else {
        return -1;
    };
    let vector = iovec {
        iov_base: room.as_mut_ptr().cast(),
        iov_len: room.len(),
    };
    held.callbacks().reserved = vector.iov_base.addr();
    // SAFETY: the caller's vectors.
    unsafe { vectors.write(vector) };
    1
}

/// Keeps the first bytes of that room.
#[unsafe(no_mangle)]
unsafe extern "C" fn evbuffer_commit_space(
    buf: Buf,
    vectors: *const iovec,
    number: c_int,
) -> c_int {
    if number == 0 {
        return 0;
    }
    // SAFETY: the caller's vectors.
    let vector = unsafe { *vectors };
    let mut held = buf.hold();
    if number != 1
        || vector.iov_base.addr() != held.callbacks().reserved
        || held.buffer.commit(vector.iov_len).is_err()
    {
        return -1;
    }
    held.callbacks().reserved = 0;
    held.changed(vector.iov_len, 0);
    0
}
