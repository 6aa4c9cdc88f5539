//! `event2/bufferevent_compat.h`.

use std::ffi::{c_int, c_void};

use super::Bev;
use super::api::bufferevent_set_timeouts;
use super::socket::bufferevent_socket_new;
use crate::layout::{DataFn, TellFn};
use crate::system::Socket;

#[unsafe(no_mangle)]
extern "C" fn bufferevent_new(
    fd: Socket,
    on_read: Option<DataFn>,
    on_write: Option<DataFn>,
    on_event: Option<TellFn>,
    argument: *mut c_void,
) -> Option<Bev> {
    let bev = bufferevent_socket_new(None, fd, 0)?;
    bev.set_callbacks(on_read, on_write, on_event, argument);
    Some(bev)
}

/// In seconds; 0 is none.
#[unsafe(no_mangle)]
extern "C" fn bufferevent_settimeout(bev: Bev, read: c_int, write: c_int) {
    let [read, write] = [read, write].map(|seconds| {
        let timeout = crate::system::timeval_of(seconds.into(), 0);
        (seconds != 0).then_some(timeout)
    });
    bufferevent_set_timeouts(bev, read.as_ref(), write.as_ref());
}
