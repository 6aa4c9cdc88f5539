//! Turns: wait for the kernel, activate what it tells and whose time has
//! come, call the callbacks of the most urgent priority.

use std::ffi::{c_int, c_short};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use ferrevent::Readiness;
use ferrevent::engine::Happening;
use ferrevent_core::timer::Tick;

use super::add::Until;
use super::base::Inner;
use super::{Base, Ev, Held, closure, flag, what};
use crate::{log, thread, time};

pub(super) const ONCE: c_int = 0x01;
pub(super) const NONBLOCK: c_int = 0x02;
pub(super) const NO_EXIT_ON_EMPTY: c_int = 0x04;

impl Base {
    /// Turns until there is a reason to end: 0 when it was told to, 1 when
    /// nothing is added, -1 for an error.
    pub(super) fn run(self, flags: c_int) -> c_int {
        let mut held = self.hold();
        if held.owner.is_some() {
            log::warn("event_base_loop was called for a base that is running already");
            return -1;
        }
        held.owner = Some(thread::current());
        held.forget_time();
        held.got_exit = false;
        held.got_break = false;
        let outcome = held.turns(flags);
        held.forget_time();
        held.owner = None;
        outcome
    }
}

/// So many events of a program's come into the processor's cache at the same time.
const AT_ONCE: usize = 16;

impl Held {
    fn turns(&mut self, flags: c_int) -> c_int {
        loop {
            self.go_on = false;
            self.turn = self.turn.wrapping_add(1).max(1);
            self.deferred = 0;
            if self.got_exit || self.got_break {
                return 0;
            }
            let patience = if self.counts.active > 0 || flags & NONBLOCK != 0 {
                Some(Duration::ZERO)
            } else {
                self.patience()
            };
            if flags & NO_EXIT_ON_EMPTY == 0 && !self.has_events() && self.counts.active == 0 {
                return 1;
            }
            self.activate_later();
            self.forget_time();
            if let Err(error) = self.wait(patience) {
                log::warn_error("waiting for events", &error);
                return -1;
            }
            self.cache_time();
            self.gather_io();
            self.gather_timers();
            self.take_signals();
            if self.counts.active > 0 {
                let called = self.call_active();
                if flags & ONCE != 0 && self.counts.active == 0 && called {
                    return 0;
                }
            } else if flags & NONBLOCK != 0 {
                return 0;
            }
        }
    }

    fn wait(&mut self, patience: Option<Duration>) -> io::Result<()> {
        let patience = self.engine.patience(patience);
        let Some(mut waiting) = self.engine.lend_waiting() else {
            return Err(io::ErrorKind::ResourceBusy.into());
        };
        let backend = Arc::clone(self.engine.backend());
        self.asleep = true;
        let outcome = self.away(|| waiting.wait(&backend, patience));
        self.asleep = false;
        self.engine.gather(waiting);
        outcome
    }

    /// Calls what is active in the most urgent priority; returns whether a
    /// callback of the program's was called.
    fn call_active(&mut self) -> bool {
        let limits = self.limits;
        let end = limits.time.map(|time| {
            self.cache_time();
            self.now().saturating_add(time)
        });
        let mut called = false;
        for priority in 0..self.active.len() {
            if self.active[priority].first().is_none() {
                continue;
            }
            self.running_priority = Some(priority);
            let limited = priority >= limits.from_priority;
            let most = if limited {
                limits.callbacks
            } else {
                usize::MAX
            };
            let end = end.filter(|_| limited);
            let (count, over) = self.call_queue(priority, most, end);
            if count > 0 || over {
                called = count > 0;
                break;
            }
        }
        self.running_priority = None;
        called
    }

    /// Returns how many of the program's callbacks were called, and whether
    /// the loop is to end.
    fn call_queue(&mut self, priority: usize, most: usize, end: Option<u64>) -> (usize, bool) {
        let mut count = 0;
        while let Some(ev) = self.active[priority].first() {
            if ev.waits_for(what::PERSIST) || ev.is(flag::FINALIZING) {
                self.deactivate(ev);
            } else {
                Inner::delete(self, ev);
                crate::debug::added(ev, false);
            }
            if !ev.is(flag::INTERNAL) {
                count += 1;
            }
            if let Some(after_next) = self.active[priority].first().and_then(Ev::next) {
                after_next.prefetch();
            }
            self.current = Some(ev);
            self.call(ev);
            self.current = None;
            self.finished = self.finished.wrapping_add(1);
            if std::mem::take(&mut self.waiters) > 0 {
                self.base().lock().tell_all();
            }
            if self.got_break {
                return (count, true);
            }
            if count >= most {
                return (count, false);
            }
            if let Some(end) = end
                && count > 0
            {
                self.cache_time();
                if self.now() >= end {
                    return (count, false);
                }
            }
            if self.go_on {
                break;
            }
        }
        (count, false)
    }

    fn call(&mut self, ev: Ev) {
        match ev.closure() {
            closure::SIGNAL => self.call_signal(ev),
            closure::FINALIZE | closure::FINALIZE_AND_FREE => {
                self.current = None;
                self.finalise(ev);
            }
            kind => {
                if kind == closure::PERSIST {
                    self.start_again(ev);
                }
                let (function, fd) = (ev.function(), ev.fd());
                let (result, argument) = (ev.result(), ev.argument());
                self.away(|| {
                    if let Some(function) = function {
                        // SAFETY: what the program has given to be called now.
                        unsafe { function(fd, result, argument) };
                    }
                });
            }
        }
    }

    /// Starts the interval of one that persists: from when it was due, or
    /// from now when something else has happened.
    fn start_again(&mut self, ev: Ev) {
        let interval = time::micros_of(self.plain(ev.interval()));
        if interval == 0 {
            return;
        }
        let now = self.now();
        let from = if ev.result() & what::TIMEOUT != 0 {
            time::micros_of(ev.timeout())
        } else {
            now
        };
        let mut deadline = from.saturating_add(interval);
        if deadline < now {
            deadline = now.saturating_add(interval);
        }
        self.add(ev, Some(Until::At(deadline)));
    }

    /// Calls a signal's callback as often as it came.
    fn call_signal(&mut self, ev: Ev) {
        let mut count = ev.calls();
        let left = &raw mut count;
        if count != 0 {
            ev.set_running_calls(left);
        }
        // SAFETY: `count` lives through the loop, and nobody else has it but
        // by way of the event, on this thread or under the lock.
        while unsafe { *left } > 0 {
            // SAFETY: as above.
            let now_left = unsafe {
                *left -= 1;
                *left
            };
            ev.set_calls(now_left);
            if now_left == 0 {
                ev.set_running_calls(std::ptr::null_mut());
            }
            let (function, fd) = (ev.function(), ev.fd());
            let (result, argument) = (ev.result(), ev.argument());
            self.away(|| {
                if let Some(function) = function {
                    // SAFETY: what the program has given to be called now.
                    unsafe { function(fd, result, argument) };
                }
            });
            if self.got_break {
                // SAFETY: as above.
                if unsafe { *left } != 0 {
                    ev.set_running_calls(std::ptr::null_mut());
                }
                return;
            }
        }
    }
}

impl Inner {
    /// Until the next deadline.
    fn patience(&mut self) -> Option<Duration> {
        let deadline = self.timers.next_deadline()?;
        let now = self.now();
        Some(Duration::from_micros(deadline.0.saturating_sub(now)))
    }

    /// Activates what the kernel has told of: of one descriptor's events the
    /// one that was added last first.
    fn gather_io(&mut self) {
        let mut batch = std::mem::take(&mut self.batch);
        while let Some(happening) = self.engine.next() {
            let (token, ready) = match happening {
                Happening::Watch(token, ready) => (token, ready),
                Happening::Stream(run) => {
                    self.run_stream(run);
                    continue;
                }
                _ => continue,
            };
            let Some(ev) = self.engine.owner(token).copied() else {
                continue;
            };
            if batch.last().is_some_and(|(last, _)| last.fd() != ev.fd()) {
                self.activate_batch(&mut batch);
            }
            batch.push((ev, result_of(ev, ready)));
        }
        self.activate_batch(&mut batch);
        self.batch = batch;
    }

    fn activate_batch(&mut self, batch: &mut Vec<(Ev, c_short)>) {
        for (ev, result) in batch.drain(..).rev() {
            self.activate(ev, result, 1);
        }
    }

    fn gather_timers(&mut self) {
        if self.timers.is_empty() {
            return;
        }
        let now = Tick(self.now());
        let mut expired = [None; AT_ONCE];
        let mut count = AT_ONCE;
        while count == AT_ONCE {
            count = 0;
            while count < AT_ONCE
                && let Some((_, _, ev)) = self.timers.pop_expired(now)
            {
                ev.prefetch();
                expired[count] = Some(ev);
                count += 1;
            }
            for ev in expired[..count].iter().copied().flatten() {
                ev.set_timer(None);
                self.delete(ev);
                crate::debug::added(ev, false);
                self.activate(ev, what::TIMEOUT, 1);
            }
        }
    }
}

fn result_of(ev: Ev, ready: Readiness) -> c_short {
    let mut result = ev.events() & what::EDGE;
    for (readiness, event) in [
        (Readiness::READ, what::READ),
        (Readiness::WRITE, what::WRITE),
        (Readiness::CLOSED, what::CLOSED),
    ] {
        if ready.any(readiness) {
            result |= event;
        }
    }
    result
}
