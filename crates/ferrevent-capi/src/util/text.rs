//! Text, without a locale.

use std::cmp::Ordering;
use std::ffi::{CStr, c_char, c_int, c_void};

unsafe extern "C" {
    // Those of `csrc/variadic.c`.
    fn ferrevent_snprintf();
    fn ferrevent_vsnprintf(
        to: *mut c_char,
        room: usize,
        format: *const c_char,
        list: *mut c_void,
    ) -> c_int;
}

/// Passes its arguments on as they are: only C can name them.
#[cfg_attr(older_compiler, naked)]
#[cfg_attr(not(older_compiler), unsafe(naked))]
#[unsafe(no_mangle)]
extern "C" fn evutil_snprintf() {
    #[cfg(target_arch = "x86_64")]
    naked_asm!("jmp {}", sym ferrevent_snprintf);
    #[cfg(target_arch = "aarch64")]
    naked_asm!("b {}", sym ferrevent_snprintf);
}

/// A `va_list` that is a parameter is a pointer, on x86-64 and on arm64.
#[unsafe(no_mangle)]
unsafe extern "C" fn evutil_vsnprintf(
    to: *mut c_char,
    room: usize,
    format: *const c_char,
    list: *mut c_void,
) -> c_int {
    if room == 0 {
        return 0;
    }
    // SAFETY: the caller's room, format and arguments.
    unsafe { ferrevent_vsnprintf(to, room, format, list) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn evutil_strtoll(
    text: *const c_char,
    end: *mut *mut c_char,
    base: c_int,
) -> i64 {
    // SAFETY: the caller's string, and null or room for a pointer.
    unsafe { libc::strtoll(text, end, base) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn evutil_ascii_strcasecmp(one: *const c_char, other: *const c_char) -> c_int {
    // SAFETY: the caller's strings.
    unsafe { evutil_ascii_strncasecmp(one, other, usize::MAX) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn evutil_ascii_strncasecmp(
    one: *const c_char,
    other: *const c_char,
    most: usize,
) -> c_int {
    for place in 0..most {
        // SAFETY: the caller's strings, read no further than their ends.
        let (a, b) = unsafe { (*one.add(place) as u8, *other.add(place) as u8) };
        // As C's characters, which have a sign.
        let of = |byte: u8| byte.to_ascii_lowercase().cast_signed();
        match of(a).cmp(&of(b)) {
            Ordering::Less => return -1,
            Ordering::Greater => return 1,
            Ordering::Equal if a == 0 => return 0,
            Ordering::Equal => {}
        }
    }
    0
}

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// A date as HTTP has it (RFC 1123); now, when none is given. Returns its length.
#[unsafe(no_mangle)]
unsafe extern "C" fn evutil_date_rfc1123(
    to: *mut c_char,
    room: usize,
    date: Option<&libc::tm>,
) -> c_int {
    let date = date.copied().unwrap_or_else(crate::system::date);
    let day = usize::try_from(date.tm_wday)
        .ok()
        .and_then(|it| DAYS.get(it));
    let month = usize::try_from(date.tm_mon)
        .ok()
        .and_then(|it| MONTHS.get(it));
    let (Some(day), Some(month)) = (day, month) else {
        return -1;
    };
    let text = format!(
        "{day}, {:02} {month} {:4} {:02}:{:02}:{:02} GMT",
        date.tm_mday,
        1900 + date.tm_year,
        date.tm_hour,
        date.tm_min,
        date.tm_sec
    );
    // SAFETY: the caller's room.
    unsafe { put(&text, to, room) };
    text.len() as c_int
}

/// Copies as much of a text as there is room for, and its end.
///
/// # Safety
/// So many bytes may be written there.
pub(super) unsafe fn put(text: &str, to: *mut c_char, room: usize) {
    let Some(most) = room.checked_sub(1) else {
        return;
    };
    let length = text.len().min(most);
    // SAFETY: the caller's promise; no more than there is room for.
    unsafe {
        to.copy_from_nonoverlapping(text.as_ptr().cast(), length);
        to.add(length).write(0);
    }
}

/// A string of the caller's; `None` for null and for what is no UTF-8.
///
/// # Safety
/// Null, or a string that nobody changes meanwhile.
pub(super) unsafe fn read<'a>(text: *const c_char) -> Option<&'a str> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_str().ok()
}
