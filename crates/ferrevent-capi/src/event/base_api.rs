//! The functions of `event2/event.h` that are about a base.

use std::ffi::{CString, c_char, c_int, c_short, c_uint, c_void};
use std::mem::MaybeUninit;
use std::sync::LazyLock;

use super::compat::CURRENT;
use super::config::{Config, KINDS};
use super::queue::Queue;
use super::{Base, Ev, what};
use crate::layout::EventFn;
use crate::system::{Socket, timeval};
use crate::{debug, log, system, time};

/// The most priorities there can be.
const PRIORITIES: c_int = 256;

#[unsafe(no_mangle)]
extern "C" fn event_base_new() -> Option<Base> {
    event_base_new_with_config(None)
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn event_base_new_with_config(config: Option<&Config>) -> Option<Base> {
    debug::no_more();
    let default = Config::default();
    match Base::new(config.unwrap_or(&default)) {
        Ok(base) => Some(base),
        Err(error) => {
            log::warn_error("making an event base", &error);
            None
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn event_base_free(base: Option<Base>) {
    free(base, true);
}

#[unsafe(no_mangle)]
extern "C" fn event_base_free_nofinalize(base: Option<Base>) {
    free(base, false);
}

fn free(base: Option<Base>, finalise: bool) {
    let current = CURRENT.load();
    let Some(base) = base.or(current) else {
        log::warn("event_base_free: there is no base to free");
        return;
    };
    if current == Some(base) {
        CURRENT.store(None);
    }
    base.free(finalise);
}

#[unsafe(no_mangle)]
extern "C" fn event_reinit(base: Option<Base>) -> c_int {
    let Some(base) = base else { return -1 };
    match base.hold().reinit() {
        Ok(()) => 0,
        Err(error) => {
            log::warn_error("event_reinit", &error);
            -1
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn event_base_dispatch(base: Option<Base>) -> c_int {
    event_base_loop(base, 0)
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn event_base_loop(base: Option<Base>, flags: c_int) -> c_int {
    base.map_or(-1, |base| base.run(flags))
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn event_base_loopexit(
    base: Option<Base>,
    timeout: Option<&timeval>,
) -> c_int {
    let Some(base) = base else { return -1 };
    let argument = base.0.as_ptr().cast();
    base.once(-1, what::TIMEOUT, exit, argument, timeout.copied())
}

unsafe extern "C" fn exit(_: Socket, _: c_short, base: *mut c_void) {
    if let Some(base) = std::ptr::NonNull::new(base.cast()) {
        Base(base).hold().got_exit = true;
    }
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn event_base_loopbreak(base: Option<Base>) -> c_int {
    let Some(base) = base else { return -1 };
    let mut held = base.hold();
    held.got_break = true;
    held.notify();
    0
}

#[unsafe(no_mangle)]
extern "C" fn event_base_loopcontinue(base: Option<Base>) -> c_int {
    let Some(base) = base else { return -1 };
    let mut held = base.hold();
    held.go_on = true;
    held.notify();
    0
}

#[unsafe(no_mangle)]
extern "C" fn event_base_got_break(base: Base) -> c_int {
    base.hold().got_break.into()
}

#[unsafe(no_mangle)]
extern "C" fn event_base_got_exit(base: Base) -> c_int {
    base.hold().got_exit.into()
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn event_base_once(
    base: Option<Base>,
    fd: Socket,
    events: c_short,
    function: Option<EventFn>,
    argument: *mut c_void,
    timeout: Option<&timeval>,
) -> c_int {
    let (Some(base), Some(function)) = (base, function) else {
        return -1;
    };
    base.once(fd, events, function, argument, timeout.copied())
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn event_base_priority_init(base: Option<Base>, number: c_int) -> c_int {
    let Some(base) = base else { return -1 };
    let mut held = base.hold();
    if held.counts.active > 0 || !(1..PRIORITIES).contains(&number) {
        return -1;
    }
    held.active = (0..number).map(|_| Queue::default()).collect();
    0
}

#[unsafe(no_mangle)]
extern "C" fn event_base_get_npriorities(base: Option<Base>) -> c_int {
    let base = base.or_else(|| CURRENT.load());
    base.map_or(0, |base| base.hold().active.len() as c_int)
}

#[unsafe(no_mangle)]
extern "C" fn event_base_get_num_events(base: Option<Base>, which: c_uint) -> c_int {
    base.map_or(0, |base| base.hold().count(which))
}

#[unsafe(no_mangle)]
extern "C" fn event_base_get_max_events(base: Option<Base>, which: c_uint, clear: c_int) -> c_int {
    base.map_or(0, |base| base.hold().most(which, clear != 0))
}

#[unsafe(no_mangle)]
extern "C" fn event_base_get_running_event(base: Base) -> Option<Ev> {
    let held = base.hold();
    held.current
        .filter(|_| held.owner == Some(crate::thread::current()))
}

#[unsafe(no_mangle)]
extern "C" fn event_base_get_features(base: Base) -> c_int {
    base.hold().features.0
}

/// The names that a program may see: their places stay.
static NAMES: LazyLock<Vec<(String, CString)>> = LazyLock::new(|| {
    KINDS
        .into_iter()
        .chain([
            #[cfg(target_os = "linux")]
            ferrevent::BackendKind::Uring,
        ])
        .map(|kind| kind.to_string())
        .map(|name| (name.clone(), CString::new(name).unwrap_or_default()))
        .collect()
});

#[unsafe(no_mangle)]
pub(super) extern "C" fn event_base_get_method(base: Option<Base>) -> *const c_char {
    let Some(base) = base.or_else(|| CURRENT.load()) else {
        return std::ptr::null();
    };
    let name = base.hold().engine.backend().kind().to_string();
    let known = NAMES.iter().find(|(known, _)| *known == name);
    known.map_or(c"simulated".as_ptr(), |(_, name)| name.as_ptr())
}

/// An array that ends with a null pointer, as C has it.
struct Methods(Vec<*const c_char>);

// SAFETY: pointers into `NAMES`, which never changes.
unsafe impl Send for Methods {}
// SAFETY: as above.
unsafe impl Sync for Methods {}

#[unsafe(no_mangle)]
extern "C" fn event_get_supported_methods() -> *const *const c_char {
    static METHODS: LazyLock<Methods> = LazyLock::new(|| {
        let names = NAMES
            .iter()
            .take(KINDS.len())
            .map(|(_, name)| name.as_ptr());
        Methods(names.chain([std::ptr::null()]).collect())
    });
    METHODS.0.as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn event_base_gettimeofday_cached(
    base: Option<Base>,
    to: Option<&mut MaybeUninit<timeval>>,
) -> c_int {
    let Some(to) = to else { return -1 };
    let Some(base) = base.or_else(|| CURRENT.load()) else {
        to.write(time::timeval_of(time::real()));
        return 0;
    };
    let mut held = base.hold();
    to.write(if held.has_cached_time() {
        let now = held.now();
        held.real_of(now)
    } else {
        time::timeval_of(time::real())
    });
    0
}

#[unsafe(no_mangle)]
extern "C" fn event_base_update_cache_time(base: Option<Base>) -> c_int {
    let Some(base) = base.or_else(|| CURRENT.load()) else {
        return -1;
    };
    let mut held = base.hold();
    if held.owner.is_some() {
        held.cache_time();
    }
    0
}

#[unsafe(no_mangle)]
extern "C" fn event_gettime_monotonic(
    base: Option<Base>,
    to: Option<&mut MaybeUninit<timeval>>,
) -> c_int {
    let (Some(_), Some(to)) = (base, to) else {
        return -1;
    };
    to.write(time::timeval_of(time::monotonic()));
    0
}

#[unsafe(no_mangle)]
extern "C" fn event_base_init_common_timeout(
    base: Option<Base>,
    duration: Option<&timeval>,
) -> *const timeval {
    let (Some(base), Some(duration)) = (base, duration) else {
        return std::ptr::null();
    };
    base.hold().common(*duration).unwrap_or(std::ptr::null())
}

#[unsafe(no_mangle)]
extern "C" fn event_base_active_by_fd(base: Option<Base>, fd: Socket, events: c_short) {
    let Some(base) = base else { return };
    let mut held = base.hold();
    if events & what::TIMEOUT != 0 {
        // Then it is about nothing else.
        let timed = held.timers.payloads().filter(|ev| ev.fd() == fd);
        for ev in timed.collect::<Vec<_>>() {
            held.activate(ev, what::TIMEOUT, 1);
        }
        return;
    }
    for token in held.engine.watches_of(system::raw(fd)).into_iter().rev() {
        if let Some(ev) = held.engine.owner(token).copied()
            && ev.waits_for(events & what::IO)
        {
            held.activate(ev, ev.events() & events & what::IO, 1);
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn event_base_active_by_signal(base: Option<Base>, signal: c_int) {
    if let Some(base) = base {
        base.hold().activate_signal(signal, 1);
    }
}
