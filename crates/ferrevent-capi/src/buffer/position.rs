//! Positions and searches.

use std::ffi::{c_char, c_int, c_void};
use std::slice;

use ferrevent::buffer::Eol;

use super::Buf;

/// `struct evbuffer_ptr`. Only the number of bytes means something here.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Position {
    pub(super) bytes: isize,
    unused: [*mut c_void; 2],
}

const _: () = assert!(size_of::<Position>() == 24);

impl Position {
    const NOWHERE: Self = Self::at(-1);

    const fn at(bytes: isize) -> Self {
        Self {
            bytes,
            unused: [std::ptr::null_mut(); 2],
        }
    }

    fn of(found: Option<usize>) -> Self {
        found.map_or(Self::NOWHERE, |found| Self::at(found.cast_signed()))
    }
}

pub(super) fn eol_of(style: c_int) -> Option<Eol> {
    Some(match style {
        0 => Eol::Any,
        1 => Eol::Crlf,
        2 => Eol::CrlfStrict,
        3 => Eol::Lf,
        4 => Eol::Nul,
        _ => return None,
    })
}

const SET: c_int = 0;
const ADD: c_int = 1;

/// Sets a position, or moves it on; -1, and nowhere, behind the end.
#[unsafe(no_mangle)]
extern "C" fn evbuffer_ptr_set(
    buf: Buf,
    position: Option<&mut Position>,
    bytes: usize,
    how: c_int,
) -> c_int {
    let Some(position) = position else { return -1 };
    let held = buf.hold();
    let goal = match how {
        SET => Some(bytes),
        ADD => usize::try_from(position.bytes)
            .ok()
            .and_then(|from| from.checked_add(bytes)),
        _ => None,
    };
    let goal = goal.filter(|goal| *goal <= held.buffer.len());
    *position = Position::of(goal);
    if goal.is_some() { 0 } else { -1 }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn evbuffer_search(
    buf: Buf,
    what: *const c_char,
    length: usize,
    from: Option<&Position>,
) -> Position {
    // SAFETY: the caller's bytes.
    unsafe { evbuffer_search_range(buf, what, length, from, None) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn evbuffer_search_range(
    buf: Buf,
    what: *const c_char,
    length: usize,
    from: Option<&Position>,
    to: Option<&Position>,
) -> Position {
    // What is empty is everywhere.
    if length == 0 || length > isize::MAX as usize || what.is_null() {
        return Position::at(from.map_or(0, |from| from.bytes));
    }
    // SAFETY: the caller's bytes.
    let what = unsafe { slice::from_raw_parts(what.cast::<u8>(), length) };
    buf.look(|buffer| {
        let from = usize::try_from(from.map_or(0, |from| from.bytes));
        let to = to.map_or(Ok(buffer.len()), |to| usize::try_from(to.bytes));
        let (Ok(from), Ok(to)) = (from, to) else {
            return Position::NOWHERE;
        };
        Position::of(buffer.find_within(what, from..to).ok().flatten())
    })
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_search_eol(
    buf: Buf,
    from: Option<&Position>,
    length: Option<&mut usize>,
    style: c_int,
) -> Position {
    let from = usize::try_from(from.map_or(0, |from| from.bytes)).ok();
    let end = from
        .zip(eol_of(style))
        .and_then(|(from, eol)| buf.look(|buffer| buffer.find_line_end(eol, from).ok().flatten()));
    if let Some(length) = length {
        *length = end.map_or(0, |end| end.len);
    }
    Position::of(end.map(|end| end.position))
}
