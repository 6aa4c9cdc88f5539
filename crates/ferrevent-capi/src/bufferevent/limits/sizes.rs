//! How much one read or one write may move.

use std::ffi::c_int;

use ferrevent_core::limit::Direction;

use crate::bufferevent::{Bev, MOST_AT_ONCE};

impl Bev {
    pub(in crate::bufferevent) fn most_read(self) -> usize {
        self.rare(|it| it.most_read).unwrap_or(MOST_AT_ONCE)
    }

    pub(in crate::bufferevent) fn most_written(self) -> usize {
        self.rare(|it| it.most_written).unwrap_or(MOST_AT_ONCE)
    }
}

/// A size as the program has given it; nothing and too much are the usual one.
fn size_of(size: usize) -> usize {
    if size == 0 || size > isize::MAX as usize {
        MOST_AT_ONCE
    } else {
        size
    }
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_set_max_single_read(bev: Bev, size: usize) -> c_int {
    let _held = bev.hold();
    bev.make_rare(|it| it.most_read = size_of(size));
    0
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_set_max_single_write(bev: Bev, size: usize) -> c_int {
    let _held = bev.hold();
    bev.make_rare(|it| it.most_written = size_of(size));
    0
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_get_max_single_read(bev: Bev) -> isize {
    let _held = bev.hold();
    bev.most_read().cast_signed()
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_get_max_single_write(bev: Bev) -> isize {
    let _held = bev.hold();
    bev.most_written().cast_signed()
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_get_max_to_read(bev: Bev) -> isize {
    let _held = bev.hold();
    bev.most_now(Direction::Read, bev.most_read())
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_get_max_to_write(bev: Bev) -> isize {
    let _held = bev.hold();
    bev.most_now(Direction::Write, bev.most_written())
}
