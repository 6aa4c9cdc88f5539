//! The end of events that other threads may be using: their memory goes only
//! when no callback of theirs can run any more.

use std::ffi::{c_int, c_uint};

use super::base::Inner;
use super::{Ev, Held, closure, flag, what};
use crate::layout::FinalizeFn;
use crate::{debug, log, memory};

impl Held {
    /// Calls the callback of an event's end, and frees the event if it asked
    /// for that.
    pub(super) fn finalise(&mut self, ev: Ev) {
        let (finalizer, argument) = (ev.finalizer(), ev.argument());
        let frees = ev.closure() == closure::FINALIZE_AND_FREE;
        debug::gone(ev);
        self.away(|| {
            if let Some(finalizer) = finalizer {
                // SAFETY: what the program has given to be called now.
                unsafe { finalizer(ev, argument) };
            }
            if frees {
                // SAFETY: made by `event_new`, as the program has said by the
                // function it has called; nothing leads to it any more.
                unsafe { memory::displace(ev.room()) };
            }
        });
    }
}

#[unsafe(no_mangle)]
extern "C" fn event_finalize(_: c_uint, ev: Option<Ev>, finalizer: Option<FinalizeFn>) -> c_int {
    end(ev, finalizer, closure::FINALIZE)
}

#[unsafe(no_mangle)]
extern "C" fn event_free_finalize(
    _: c_uint,
    ev: Option<Ev>,
    finalizer: Option<FinalizeFn>,
) -> c_int {
    end(ev, finalizer, closure::FINALIZE_AND_FREE)
}

pub(super) fn end(ev: Option<Ev>, finalizer: Option<FinalizeFn>, kind: u8) -> c_int {
    let Some((ev, base)) = ev.and_then(|ev| Some((ev, ev.base()?))) else {
        log::warn("event_finalize: the event has no base");
        return -1;
    };
    let mut held = base.hold();
    Inner::delete(&mut held, ev);
    ev.set_closure(kind);
    ev.set_finalizer(finalizer);
    held.activate(ev, what::FINALIZE, 1);
    ev.set_flags(ev.flags() | flag::FINALIZING);
    0
}
