//! `struct evutil_monotonic_timer`: the monotonic clock, which needs no state.

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use crate::system::timeval;
use crate::{memory, time};

pub(crate) struct MonotonicTimer {
    _flags: c_int,
}

#[unsafe(no_mangle)]
extern "C" fn evutil_monotonic_timer_new() -> Option<NonNull<MonotonicTimer>> {
    memory::place(MonotonicTimer { _flags: 0 })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn evutil_monotonic_timer_free(timer: Option<NonNull<MonotonicTimer>>) {
    if let Some(timer) = timer {
        // SAFETY: it was made by `evutil_monotonic_timer_new`, and is used no more.
        unsafe { memory::displace(timer) };
    }
}

/// The clock is as precise as it can be, whatever is asked for.
#[unsafe(no_mangle)]
extern "C" fn evutil_configure_monotonic_time(
    timer: Option<NonNull<MonotonicTimer>>,
    _: c_int,
) -> c_int {
    if timer.is_some() { 0 } else { -1 }
}

#[unsafe(no_mangle)]
extern "C" fn evutil_gettime_monotonic(
    timer: Option<NonNull<MonotonicTimer>>,
    to: Option<&mut MaybeUninit<timeval>>,
) -> c_int {
    let (Some(_), Some(to)) = (timer, to) else {
        return -1;
    };
    to.write(time::timeval_of(time::monotonic()));
    0
}
