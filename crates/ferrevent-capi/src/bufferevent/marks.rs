//! Watermarks.

use std::ffi::{c_int, c_short};

use super::{Bev, rest};
use crate::event::what;
use crate::layout::Watermarks;

impl Bev {
    /// Reading rests while the input is at its high mark.
    pub(super) fn look_at_marks(self) {
        if self.input().len() >= self.read_marks().high {
            self.rest_reading(rest::MARK);
        } else {
            self.wake_reading(rest::MARK);
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_setwatermark(bev: Bev, events: c_short, low: usize, high: usize) {
    let _held = bev.hold();
    if events & what::WRITE != 0 {
        bev.set_write_marks(Watermarks { low, high });
    }
    if events & what::READ != 0 {
        bev.set_read_marks(Watermarks { low, high });
        bev.set_marked(high != 0);
        if high != 0 {
            bev.look_at_marks();
        } else {
            bev.wake_reading(rest::MARK);
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_getwatermark(
    bev: Bev,
    events: c_short,
    low: Option<&mut usize>,
    high: Option<&mut usize>,
) -> c_int {
    let _held = bev.hold();
    let marks = match events {
        what::READ => bev.read_marks(),
        what::WRITE => bev.write_marks(),
        _ => return -1,
    };
    if let Some(low) = low {
        *low = marks.low;
    }
    if let Some(high) = high {
        *high = marks.high;
    }
    0
}
