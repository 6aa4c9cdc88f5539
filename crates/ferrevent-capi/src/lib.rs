//! The C interface of libevent 2.1, on Ferrevent's engine.
//!
//! What a function is given by C it takes as a reference or as one of the
//! handles `event::Ev` and `event::Base`: the type of a parameter is what
//! the caller promises, as libevent's documentation has it. No panic passes a
//! function that C calls: it ends the process with its message.

/// The body of a function that has no frame. Before Rust 1.88 that was unsafe to write.
#[cfg(not(older_compiler))]
macro_rules! naked_asm {
    ($($all:tt)*) => { core::arch::naked_asm!($($all)*) };
}
#[cfg(older_compiler)]
macro_rules! naked_asm {
    // SAFETY: a jump to a function that takes what this one is given.
    ($($all:tt)*) => { unsafe { core::arch::naked_asm!($($all)*) } };
}

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
mod shared;
mod system;
mod thread;
mod time;
mod util;
