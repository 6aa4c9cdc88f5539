//! Bufferevents that change what passes between a program and another
//! bufferevent.

use std::ffi::{c_int, c_short, c_void};

use ferrevent::buffer::End;

use super::pair::flush;
use super::{Bev, Kind, option, rest};
use crate::buffer::Buf;
use crate::event::what;
use crate::layout::TellFn;
use crate::log;

/// From here, to there, so many bytes at most or -1, how urgent, context.
type FilterFn = unsafe extern "C" fn(Buf, Buf, isize, c_int, *mut c_void) -> c_int;

/// What a filter answers (`BEV_OK`; there are also `BEV_NEED_MORE` and `BEV_ERROR`).
const OK: c_int = 0;

pub(super) struct Filter {
    to_program: Option<FilterFn>,
    from_program: Option<FilterFn>,
    free_context: Option<unsafe extern "C" fn(*mut c_void)>,
    context: *mut c_void,
    /// The output is being passed on: changes of it are not looked at.
    passing: bool,
    /// More is below, for when the program has made room in the input.
    full: bool,
}

impl Bev {
    fn filter<T>(self, look: impl FnOnce(&mut Filter) -> T) -> Option<T> {
        self.rare(|it| it.filter.as_mut().map(look)).flatten()
    }

    /// What it is over. It has a reference to that.
    fn below(self) -> Option<Bev> {
        self.other().filter(|_| self.kind() == Kind::Filter)
    }

    pub(super) fn free_context(self) {
        if let Some((Some(free), context)) = self.filter(|it| (it.free_context, it.context)) {
            // SAFETY: what the program has given to be called now.
            unsafe { free(context) };
        }
    }

    pub(super) fn leave_underlying(self) {
        let Some(below) = self.below() else { return };
        if self.has(option::CLOSE_ON_FREE) {
            if below.references() < 2 {
                log::warn(
                    "a filter with BEV_OPT_CLOSE_ON_FREE is over a bufferevent that is freed already",
                );
            } else {
                super::api::bufferevent_free(Some(below));
            }
            return;
        }
        if below
            .on_event()
            .is_some_and(|it| std::ptr::fn_addr_eq(it, happened as TellFn))
        {
            below.set_callbacks(None, None, None, std::ptr::null_mut());
        }
        below.wake_reading(rest::FILTER);
    }

    pub(super) fn enable_filter(self, events: c_short) -> bool {
        if events & what::WRITE != 0 {
            self.restart_write_timeout();
        }
        if events & what::READ != 0 {
            self.restart_read_timeout();
            if let Some(below) = self.below() {
                below.wake_reading(rest::FILTER);
            }
        }
        true
    }

    pub(super) fn disable_filter(self, events: c_short) {
        self.stop_timeouts(events);
        if events & what::READ != 0
            && let Some(below) = self.below()
        {
            below.rest_reading(rest::FILTER);
        }
    }

    fn is_input_full(self, mode: c_int) -> bool {
        let high = self.read_marks().high;
        mode == flush::NORMAL && high != 0 && self.input().len() >= high
    }

    fn is_below_full(below: Bev, mode: c_int) -> bool {
        let high = below.write_marks().high;
        mode == flush::NORMAL && high != 0 && below.output().len() >= high
    }

    /// Takes what has come from below to the program; true when the filter
    /// has made something of it.
    fn pass_in(self, below: Bev, mode: c_int) -> bool {
        let reads = |bev: Bev| bev.enabled() & what::READ != 0;
        if mode == flush::NORMAL && (!reads(self) || self.is_input_full(mode)) {
            return false;
        }
        let Some((function, context)) = self.filter(|it| (it.to_program, it.context)) else {
            return false;
        };
        let mut passed = false;
        self.input().set_frozen(End::Back, false);
        loop {
            let high = self.read_marks().high;
            let limit = if mode == flush::NORMAL && high != 0 {
                high.cast_signed() - self.input().len().cast_signed()
            } else {
                -1
            };
            if run(function, below.input(), self.input(), limit, mode, context) != OK {
                break;
            }
            passed = true;
            if !reads(self) || below.input().len() == 0 || self.is_input_full(mode) {
                break;
            }
        }
        self.input().set_frozen(End::Back, true);
        if passed {
            self.restart_read_timeout();
        }
        passed
    }

    /// Takes what the program has written down; true when the filter has made
    /// something of it.
    fn pass_out(self, below: Bev, mode: c_int) -> bool {
        let writes = |bev: Bev| bev.enabled() & what::WRITE != 0;
        let more =
            |bev: Bev| writes(bev) && bev.output().len() > 0 && !Self::is_below_full(below, mode);
        if mode == flush::NORMAL && !more(self) {
            return false;
        }
        let Some((function, context)) = self.filter(|it| {
            it.passing = true;
            (it.from_program, it.context)
        }) else {
            return false;
        };
        let mut passed = false;
        loop {
            let mut now = false;
            let mut outcome;
            loop {
                let high = below.write_marks().high;
                let limit = if mode == flush::NORMAL && high != 0 {
                    high.cast_signed() - below.output().len().cast_signed()
                } else {
                    -1
                };
                outcome = run(
                    function,
                    self.output(),
                    below.output(),
                    limit,
                    mode,
                    context,
                );
                now |= outcome == OK;
                if outcome != OK || !more(self) {
                    break;
                }
            }
            if !now {
                break;
            }
            passed = true;
            self.trigger(what::WRITE, 0);
            // The callback may have written more.
            if outcome != OK || !more(self) {
                break;
            }
        }
        self.filter(|it| it.passing = false);
        if passed {
            self.restart_write_timeout();
        }
        passed
    }

    /// Bytes have come from below.
    fn filter_readable(self, below: Bev) {
        if self.references() == 0 {
            return;
        }
        if self.pass_in(below, flush::NORMAL) {
            self.trigger(what::READ, 0);
            if below.input().len() > 0 && self.is_input_full(flush::NORMAL) {
                self.filter(|it| it.full = true);
            }
        }
    }

    pub(super) fn filter_input_changed(self) {
        self.lock();
        if self.filter(|it| it.full) == Some(true)
            && !self.is_input_full(flush::NORMAL)
            && let Some(below) = self.below()
        {
            self.filter(|it| it.full = false);
            if below.input().len() > 0 {
                self.filter_readable(below);
            }
        }
        self.unlock();
    }

    pub(super) fn filter_output_changed(self, added: usize) {
        if added == 0 || self.filter(|it| it.passing) == Some(true) {
            return;
        }
        let _held = self.hold();
        if let Some(below) = self.below() {
            self.pass_out(below, flush::NORMAL);
        }
    }

    pub(super) fn flush_filter(self, events: c_short, mode: c_int) -> c_int {
        let _held = self.hold();
        let Some(below) = self.below() else { return -1 };
        let mut passed = false;
        if events & what::READ != 0 {
            passed |= self.pass_in(below, mode);
        }
        if events & what::WRITE != 0 {
            passed |= self.pass_out(below, mode);
        }
        super::api::bufferevent_flush(below, events, mode);
        passed.into()
    }
}

/// Calls the program's filter; without one everything passes as it is.
fn run(
    function: Option<FilterFn>,
    from: Buf,
    to: Buf,
    limit: isize,
    mode: c_int,
    context: *mut c_void,
) -> c_int {
    match function {
        // SAFETY: what the program has given to be called now.
        Some(function) => unsafe { function(from, to, limit, mode, context) },
        None => {
            from.move_to(to, usize::try_from(limit).unwrap_or(usize::MAX));
            OK
        }
    }
}

unsafe extern "C" fn readable(below: Bev, bev: *mut c_void) {
    // SAFETY: the argument it was given with, and it takes that back before it ends.
    let bev = unsafe { Bev::of_argument(bev) };
    bev.lock();
    bev.filter_readable(below);
    bev.unlock();
}

unsafe extern "C" fn writable(below: Bev, bev: *mut c_void) {
    // SAFETY: as above.
    let bev = unsafe { Bev::of_argument(bev) };
    bev.lock();
    if bev.references() > 0 {
        bev.pass_out(below, flush::NORMAL);
    }
    bev.unlock();
}

unsafe extern "C" fn happened(_: Bev, events: c_short, bev: *mut c_void) {
    // SAFETY: as above.
    let bev = unsafe { Bev::of_argument(bev) };
    bev.lock();
    if bev.references() > 0 {
        bev.tell(events, 0);
    }
    bev.unlock();
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_filter_new(
    below: Option<Bev>,
    to_program: Option<FilterFn>,
    from_program: Option<FilterFn>,
    options: c_int,
    free_context: Option<unsafe extern "C" fn(*mut c_void)>,
    context: *mut c_void,
) -> Option<Bev> {
    let below = below?;
    let bev = Bev::new(below.base(), Kind::Filter, options & !option::THREADSAFE)?;
    if options & option::THREADSAFE != 0 {
        let lock = below.shared_lock();
        let shared = lock.is_some();
        if bev.use_lock(lock) && !shared {
            below.use_lock(bev.shared_lock());
        }
    }
    bev.make_rare(|it| {
        it.filter = Some(Filter {
            to_program,
            from_program,
            free_context,
            context,
            passing: false,
            full: false,
        });
    });
    bev.set_other(Some(below));
    below.set_callbacks(
        Some(readable),
        Some(writable),
        Some(happened),
        bev.as_argument(),
    );
    bev.prepare_timeouts();
    let _held = below.hold();
    below.set_references(below.references() + 1);
    below.enable(what::READ | what::WRITE);
    below.rest_reading(rest::FILTER);
    Some(bev)
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_get_underlying(bev: Bev) -> Option<Bev> {
    let _held = bev.hold();
    bev.below()
}
