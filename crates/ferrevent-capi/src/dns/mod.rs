//! `event2/dns.h`.

mod message;
mod port;
mod reply;
mod request;
mod resolver;

use std::ffi::{CString, c_char, c_int, c_void};
use std::fmt::Display;

use crate::log;
use crate::thread::Slot;
pub(crate) use resolver::{Resolver, look_up_peer};

/// Whether it is a warning, and the message.
type LogFn = unsafe extern "C" fn(c_int, *const c_char);

static LOG: Slot<LogFn> = Slot::new();

/// A warning, to the function that is set for those of DNS, or to where all
/// others go.
fn warn(text: impl Display) {
    let Some(function) = LOG.load() else {
        return log::warn(text);
    };
    let text = CString::new(text.to_string()).unwrap_or_default();
    // SAFETY: what the program has given, with a string that outlives the call.
    unsafe { function(1, text.as_ptr()) };
}

#[unsafe(no_mangle)]
extern "C" fn evdns_set_log_fn(function: Option<LogFn>) {
    LOG.store(function);
}

/// Identifiers are the kernel's random numbers.
#[unsafe(no_mangle)]
extern "C" fn evdns_set_transaction_id_fn(_: Option<unsafe extern "C" fn() -> u16>) {}

/// Random bytes are the kernel's.
#[unsafe(no_mangle)]
extern "C" fn evdns_set_random_bytes_fn(_: Option<unsafe extern "C" fn(*mut c_void, usize)>) {}

/// What a code of an answer (RFC 1035, 4.1.1) or of our own means.
#[unsafe(no_mangle)]
extern "C" fn evdns_err_to_string(code: c_int) -> *const c_char {
    let text = match code {
        0 => c"no error",
        1 => c"the server could not read the question",
        2 => c"the server has failed",
        3 => c"there is no such name",
        4 => c"the server does not answer such questions",
        5 => c"the server refuses to answer",
        65 => c"the answer is cut short or malformed",
        66 => c"unknown error",
        67 => c"no answer in time",
        68 => c"the resolver was shut down",
        69 => c"the question was canceled",
        70 => c"the name has no records of that type",
        _ => c"unknown error code",
    };
    text.as_ptr()
}
