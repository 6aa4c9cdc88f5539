//! The C interface of libevent 2.1, on Ferrevent's engine.
//!
//! What a function is given by C it takes as a reference or as one of the
//! handles `event::Ev` and `event::Base`: the type of a parameter is what
//! the caller promises, as libevent's documentation has it. No panic passes a
//! function that C calls: it ends the process with its message.

mod buffer;
mod bufferevent;
mod debug;
mod dns;
mod event;
mod layout;
mod listener;
mod log;
mod memory;
mod missing;
mod thread;
mod time;
mod util;
