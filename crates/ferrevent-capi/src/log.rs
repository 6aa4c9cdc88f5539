//! Messages to the program, and the end of it.

use std::ffi::{CString, c_char, c_int};
use std::fmt::Display;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::thread::Slot;

type LogFn = unsafe extern "C" fn(c_int, *const c_char);
type FatalFn = unsafe extern "C" fn(c_int);

static LOG: Slot<LogFn> = Slot::new();
static FATAL: Slot<FatalFn> = Slot::new();
static DEBUG: AtomicU32 = AtomicU32::new(0);

/// The code that stands for abort(3).
pub(crate) const ABORT: c_int = 0xdead_dead_u32 as c_int;

#[derive(Clone, Copy)]
pub(crate) enum Severity {
    Debug,
    Message,
    Warning,
    Error,
}

pub(crate) fn message(text: impl Display) {
    say(Severity::Message, &text.to_string());
}

pub(crate) fn warn(text: impl Display) {
    say(Severity::Warning, &text.to_string());
}

pub(crate) fn warn_error(text: impl Display, error: &io::Error) {
    say(Severity::Warning, &format!("{text}: {error}"));
}

/// Only when it was asked for.
#[inline(always)]
pub(crate) fn debug(text: impl FnOnce() -> String) {
    #[cold]
    #[inline(never)]
    fn say_it(text: impl FnOnce() -> String) {
        say(Severity::Debug, &text());
    }
    if DEBUG.load(Ordering::Relaxed) != 0 {
        say_it(text);
    }
}

/// Says why, and ends the process; with [`ABORT`] by abort(3).
pub(crate) fn fatal(code: c_int, text: impl Display) -> ! {
    say(Severity::Error, &text.to_string());
    if let Some(function) = FATAL.load() {
        // SAFETY: what the program has given to be called now.
        unsafe { function(code) };
    }
    if code == ABORT {
        std::process::abort();
    }
    // SAFETY: exit(3) may be called anywhere outside of an exit handler.
    unsafe { libc::exit(code) }
}

fn say(severity: Severity, text: &str) {
    let text = CString::new(text.replace('\0', " ")).unwrap_or_default();
    if let Some(function) = LOG.load() {
        // SAFETY: what the program has given, with a string that outlives the call.
        unsafe { function(severity as c_int, text.as_ptr()) };
        return;
    }
    let name = match severity {
        Severity::Debug => "debug",
        Severity::Message => "msg",
        Severity::Warning => "warn",
        Severity::Error => "err",
    };
    eprintln!("[{name}] {}", text.to_string_lossy());
}

#[unsafe(no_mangle)]
extern "C" fn event_set_log_callback(function: Option<LogFn>) {
    LOG.store(function);
}

#[unsafe(no_mangle)]
extern "C" fn event_set_fatal_callback(function: Option<FatalFn>) {
    FATAL.store(function);
}

#[unsafe(no_mangle)]
extern "C" fn event_enable_debug_logging(which: u32) {
    DEBUG.store(which, Ordering::Relaxed);
}
