//! Looking at everything a base has.

use std::ffi::{CString, c_int, c_void};
use std::fmt::Write as _;

use super::base::Inner;
use super::{Base, Ev, flag, what};
use crate::time;

impl Inner {
    /// Every event: by descriptor, by signal, then those that only wait for a
    /// time, then those that are only active.
    pub(super) fn everything(&mut self) -> Vec<Ev> {
        let mut all = Vec::new();
        for fd in self.engine.watched_descriptors() {
            for token in self.engine.watches_of(fd).into_iter().rev() {
                all.extend(self.engine.owner(token).copied());
            }
        }
        all.extend(self.signals.events());
        let ends = self.streams.ends().flat_map(|it| [it.read, it.write]);
        all.extend(ends.filter(|ev| ev.is(flag::INSERTED)));
        let unlisted = |ev: &Ev| !ev.is(flag::INSERTED) || ev.watch() == 0 && ev.fd() < 0;
        all.extend(self.timers.payloads().filter(unlisted));
        let only_active = |ev: &Ev| !ev.is(flag::INSERTED | flag::TIMEOUT);
        let active = self.active.iter().flat_map(super::queue::Queue::iter);
        all.extend(active.chain(self.later.iter()).filter(only_active));
        all
    }
}

type LookFn = unsafe extern "C" fn(Base, Ev, *mut c_void) -> c_int;

#[unsafe(no_mangle)]
extern "C" fn event_base_foreach_event(
    base: Option<Base>,
    look: Option<LookFn>,
    argument: *mut c_void,
) -> c_int {
    let (Some(base), Some(look)) = (base, look) else {
        return -1;
    };
    let mut held = base.hold();
    for ev in held.everything() {
        // SAFETY: what the program has given to be called now; it only looks.
        let outcome = held.aside(|| unsafe { look(base, ev, argument) });
        if outcome != 0 {
            return outcome;
        }
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn event_base_dump_events(base: Option<Base>, to: *mut libc::FILE) {
    let Some(base) = base else { return };
    let text = {
        let mut held = base.hold();
        let all = held.everything();
        let mut text = String::from("Inserted events:\n");
        for ev in all
            .iter()
            .filter(|ev| ev.is(flag::INSERTED | flag::TIMEOUT))
        {
            describe(&mut text, *ev, "");
            name(&mut text, ev.events(), &INTERESTS);
            if ev.is(flag::TIMEOUT) {
                let due = held.real_of(time::micros_of(ev.timeout()));
                let _ = write!(text, " Timeout={}.{:06}", due.tv_sec, due.tv_usec);
            }
            text.push('\n');
        }
        text.push_str("Active events:\n");
        let active = flag::ACTIVE | flag::ACTIVE_LATER;
        for ev in all.iter().filter(|ev| ev.is(active)) {
            describe(&mut text, *ev, &format!(", priority={}", ev.priority()));
            name(&mut text, ev.result(), &RESULTS);
            text.push_str(" active");
            if ev.is(flag::ACTIVE_LATER) {
                text.push_str(" [NextTime]");
            }
            text.push('\n');
        }
        text
    };
    let text = CString::new(text).unwrap_or_default();
    if !to.is_null() {
        // SAFETY: a file that the program has open, and a string.
        unsafe { libc::fputs(text.as_ptr(), to) };
    }
}

const INTERESTS: [(i16, &str); 6] = [
    (what::READ, " Read"),
    (what::WRITE, " Write"),
    (what::CLOSED, " EOF"),
    (what::SIGNAL, " Signal"),
    (what::PERSIST, " Persist"),
    (what::EDGE, " ET"),
];
const RESULTS: [(i16, &str); 5] = [
    (what::READ, " Read"),
    (what::WRITE, " Write"),
    (what::CLOSED, " EOF"),
    (what::SIGNAL, " Signal"),
    (what::TIMEOUT, " Timeout"),
];

fn describe(text: &mut String, ev: Ev, more: &str) {
    let kind = if ev.waits_for(what::SIGNAL) {
        "sig"
    } else {
        "fd "
    };
    let _ = write!(text, "  {:#x} [{kind} {}{more}]", ev.address(), ev.fd());
}

fn name(text: &mut String, set: i16, names: &[(i16, &str)]) {
    for (bit, name) in names {
        if set & bit != 0 {
            text.push_str(name);
        }
    }
}
