//! Adding, deleting and activating events.

use std::ffi::{c_int, c_short};
use std::io;

use ferrevent::Readiness;
use ferrevent::engine::Registration;
use ferrevent_core::timer::Tick;

use super::base::Inner;
use super::queue::Queue;
use super::{Ev, Held, closure, flag, what};
use crate::system::timeval;
use crate::{debug, log, system, thread, time};

/// Whether the caller waits until the event's callback does not run.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Blocking {
    No,
    /// As the event says, by `EV_FINALIZE`.
    Auto,
    Yes,
}

/// When an event's time is over.
#[derive(Clone, Copy)]
pub(super) enum Until {
    After(timeval),
    At(u64),
}

impl Held {
    /// Adds an event, or gives one that is added another time.
    #[inline]
    pub(super) fn add(&mut self, ev: Ev, until: Option<Until>) -> c_int {
        log::debug(|| {
            format!(
                "event_add: {ev:?} on {}, events {:#x}",
                ev.fd(),
                ev.events()
            )
        });
        if ev.waits_for(what::SIGNAL) {
            self.wait_for_callback(ev);
        }
        match Inner::add(self, ev, until) {
            Ok(()) => 0,
            Err(error) => refused(ev, error),
        }
    }

    /// Deletes an event, and waits for its callback if it runs on another thread.
    #[inline]
    pub(super) fn delete(&mut self, ev: Ev, blocking: Blocking) -> c_int {
        log::debug(|| format!("event_del: {ev:?} on {}", ev.fd()));
        debug::added(ev, false);
        if ev.is(flag::FINALIZING) {
            return 0;
        }
        Inner::delete(self, ev);
        let waits = match blocking {
            Blocking::No => false,
            Blocking::Auto => !ev.waits_for(what::FINALIZE),
            Blocking::Yes => true,
        };
        if waits {
            self.wait_for_callback(ev);
        }
        0
    }

    pub(super) fn activate_now(&mut self, ev: Ev, result: c_short, calls: c_short) {
        log::debug(|| format!("event_active: {ev:?} on {}, result {result:#x}", ev.fd()));
        if ev.waits_for(what::SIGNAL) {
            self.wait_for_callback(ev);
        }
        self.activate(ev, result, calls);
    }

    /// Waits while another thread runs the event's callback.
    #[inline]
    pub(super) fn wait_for_callback(&mut self, ev: Ev) {
        if self.current == Some(ev) {
            self.wait_for_current(ev);
        }
    }

    #[inline(never)]
    fn wait_for_current(&mut self, ev: Ev) {
        let finished = self.finished;
        while self.current == Some(ev)
            && self.finished == finished
            && self.owner != Some(thread::current())
            && self.base().lock().can_wait()
        {
            self.waiters += 1;
            self.base().lock().wait();
        }
    }

    /// Takes an event out of a base that ends.
    pub(super) fn forget(&mut self, ev: Ev, finalise: bool) {
        let finalizing = ev.is(flag::FINALIZING);
        Inner::delete(self, ev);
        debug::added(ev, false);
        if finalizing && finalise {
            self.finalise(ev);
        }
    }
}

/// Says why an event could not be added.
#[cold]
fn refused(ev: Ev, error: Option<io::Error>) -> c_int {
    if let Some(error) = error {
        log::warn_error(
            format_args!("adding an event of descriptor {}", ev.fd()),
            &error,
        );
    }
    -1
}

impl Inner {
    /// An error without a cause is the caller's.
    #[inline]
    fn add(&mut self, ev: Ev, until: Option<Until>) -> Result<(), Option<io::Error>> {
        if ev.is(flag::FINALIZING) {
            return Err(None);
        }
        if ev.waits_for(what::IO | what::SIGNAL)
            && !ev.is(flag::INSERTED | flag::ACTIVE | flag::ACTIVE_LATER)
        {
            self.insert(ev).map_err(Some)?;
        }
        debug::added(ev, true);
        let Some(until) = until else { return Ok(()) };
        let deadline = match until {
            Until::At(deadline) => deadline,
            Until::After(duration) => {
                if ev.closure() == closure::PERSIST {
                    ev.set_interval(duration);
                }
                let duration = time::micros_of(self.plain(duration));
                self.now().saturating_add(duration)
            }
        };
        // Active because its time was over: that is no longer so.
        if ev.is(flag::ACTIVE) && ev.result() & what::TIMEOUT != 0 {
            ev.stop_calls();
            self.deactivate(ev);
        }
        self.start_timer(ev, deadline);
        Ok(())
    }

    /// Deletes an event that may be anywhere.
    #[inline]
    pub(super) fn delete(&mut self, ev: Ev) {
        ev.stop_calls();
        if ev.is(flag::TIMEOUT) {
            self.stop_timer(ev);
        }
        if ev.is(flag::ACTIVE | flag::ACTIVE_LATER | flag::INSERTED) {
            self.withdraw(ev);
        }
    }

    /// From what is active and from what is watched.
    #[inline(never)]
    fn withdraw(&mut self, ev: Ev) {
        if ev.is(flag::ACTIVE | flag::ACTIVE_LATER) {
            self.deactivate(ev);
        }
        if ev.is(flag::INSERTED) {
            self.remove(ev);
            if self.counts.added == 0 && self.counts.active == 0 {
                self.notify();
            }
        }
    }

    /// Has the event's callback called in this turn.
    pub(super) fn activate(&mut self, ev: Ev, result: c_short, calls: c_short) {
        if ev.is(flag::FINALIZING) {
            return;
        }
        if ev.is(flag::ACTIVE) {
            ev.set_result(ev.result() | result);
            return;
        }
        if ev.is(flag::ACTIVE_LATER) {
            ev.set_result(ev.result() | result);
            self.deactivate(ev);
        } else {
            ev.set_result(result);
        }
        if self
            .running_priority
            .is_some_and(|running| usize::from(ev.priority()) < running)
        {
            self.go_on = true;
        }
        if ev.waits_for(what::SIGNAL) {
            ev.set_calls(calls);
            ev.set_running_calls(std::ptr::null_mut());
        }
        self.enqueue(ev);
        self.notify();
    }

    #[inline]
    fn enqueue(&mut self, ev: Ev) {
        ev.set_flags(ev.flags() | flag::ACTIVE);
        self.counts.add(ev);
        self.counts.activate();
        self.queue_of(ev).push(ev);
    }

    #[inline]
    pub(super) fn deactivate(&mut self, ev: Ev) {
        self.counts.remove(ev);
        self.counts.active -= 1;
        if ev.is(flag::ACTIVE_LATER) {
            self.later.remove(ev);
        } else {
            self.queue_of(ev).remove(ev);
        }
        ev.set_flags(ev.flags() & !(flag::ACTIVE | flag::ACTIVE_LATER));
    }

    /// Has the event's callback called in this turn, before any other of its
    /// priority.
    pub(super) fn activate_first(&mut self, ev: Ev, result: c_short) {
        self.activate(ev, result, 1);
        if ev.is(flag::ACTIVE) {
            let queue = self.queue_of(ev);
            queue.remove(ev);
            queue.push_first(ev);
        }
    }

    #[inline]
    fn queue_of(&mut self, ev: Ev) -> &mut Queue {
        let last = self.active.len() - 1;
        &mut self.active[usize::from(ev.priority()).min(last)]
    }

    /// Has the event's callback called in the next turn.
    pub(super) fn put_off(&mut self, ev: Ev, result: c_short) {
        if ev.is(flag::FINALIZING | flag::ACTIVE | flag::ACTIVE_LATER) {
            return;
        }
        ev.set_result(result);
        ev.set_flags(ev.flags() | flag::ACTIVE_LATER);
        self.counts.add(ev);
        self.counts.activate();
        self.later.push(ev);
        self.notify();
    }

    /// What was put off is active now.
    pub(super) fn activate_later(&mut self) {
        while let Some(ev) = self.later.first() {
            self.deactivate(ev);
            self.enqueue(ev);
        }
    }

    #[inline(never)]
    fn insert(&mut self, ev: Ev) -> io::Result<()> {
        if ev.waits_for(what::SIGNAL) {
            self.signals.add(self.engine.backend(), ev)?;
        } else if ev.stream() != 0 {
            self.heed(ev, true);
        } else if ev.fd() >= 0 {
            // SAFETY: the number is only told to the kernel, which refuses one
            // that is not open.
            let fd = unsafe { system::borrow(ev.fd()) };
            let mut registration = Registration::new(interest_of(ev));
            registration.edge = ev.waits_for(what::EDGE) && self.features.have_edges();
            let token = self.engine.add_watch(fd, registration, ev)?;
            ev.set_watch(token.0);
        }
        ev.set_flags(ev.flags() | flag::INSERTED);
        self.counts.add(ev);
        self.notify();
        Ok(())
    }

    fn remove(&mut self, ev: Ev) {
        self.counts.remove(ev);
        ev.set_flags(ev.flags() & !flag::INSERTED);
        if ev.waits_for(what::SIGNAL) {
            self.signals.remove(ev);
        } else if ev.stream() != 0 {
            self.heed(ev, false);
        } else if let Some(token) = ev.token() {
            self.engine.remove(token);
            ev.set_watch(0);
        }
    }

    /// Starts an event's time, or sets it anew.
    #[inline]
    fn start_timer(&mut self, ev: Ev, deadline: u64) {
        ev.set_timeout(time::timeval_of(deadline));
        if let Some(id) = ev.timer() {
            self.timers.rearm(id, Tick(deadline));
        } else {
            ev.set_timer(Some(self.timers.insert(Tick(deadline), ev)));
            ev.set_flags(ev.flags() | flag::TIMEOUT);
            self.counts.add(ev);
        }
        if self.asleep && self.timers.next_deadline() == Some(Tick(deadline)) {
            self.notify();
        }
    }

    #[inline]
    pub(super) fn stop_timer(&mut self, ev: Ev) {
        if let Some(id) = ev.timer() {
            self.timers.remove(id);
            ev.set_timer(None);
        }
        ev.set_flags(ev.flags() & !flag::TIMEOUT);
        self.counts.remove(ev);
    }
}

fn interest_of(ev: Ev) -> Readiness {
    let mut interest = Readiness::NONE;
    for (event, readiness) in [
        (what::READ, Readiness::READ),
        (what::WRITE, Readiness::WRITE),
        (what::CLOSED, Readiness::CLOSED),
    ] {
        if ev.waits_for(event) {
            interest = interest.with(readiness);
        }
    }
    interest
}
