//! Who waits for an answer. Its callback is called by the loop, even if the
//! resolver is gone by then.

use std::ffi::{c_short, c_void};
use std::ptr::NonNull;

use ferrevent_dns::{Answer, LookupId, Question, ResolveError};

use super::Resolver;
use super::lookup::{Lookup, Want};
use crate::event::{Base, Ev};
use crate::layout::Event;
use crate::system::Socket;
use crate::{debug, memory};

/// `struct evdns_request` and `struct evdns_getaddrinfo_request`.
pub(super) struct Inner {
    event: Event,
    /// Until it has an outcome.
    resolver: Option<Resolver>,
    question: Question,
    lookup: Option<LookupId>,
    /// Until it is told.
    want: Option<Want>,
    outcome: Option<Outcome>,
}

pub(super) enum Outcome {
    Came(Result<Answer, ResolveError>),
    Canceled,
    ShutDown,
}

/// One whose callback has not returned.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Waiter(NonNull<Inner>);

impl Waiter {
    pub(super) fn new(resolver: Resolver, base: Option<Base>, lookup: Lookup) -> Option<Self> {
        let made = memory::place(Inner {
            event: Event::BLANK,
            resolver: Some(resolver),
            question: lookup.question,
            lookup: None,
            want: Some(lookup.want),
            outcome: None,
        });
        let waiter = Self(made?);
        let argument = waiter.0.as_ptr().cast();
        waiter.event().prepare(base, -1, 0, call, argument);
        Some(waiter)
    }

    fn event(self) -> Ev {
        // SAFETY: a field of what is there.
        Ev::from_room(unsafe { NonNull::new_unchecked(&raw mut (*self.0.as_ptr()).event) })
    }

    /// Works on what is inside, with the lock of the resolver held, or when it
    /// has an outcome.
    fn with<R>(self, work: impl FnOnce(&mut Inner) -> R) -> R {
        // SAFETY: it is there; only who holds the lock has a reference, and no
        // longer than this, where its event is not used.
        work(unsafe { &mut *self.0.as_ptr() })
    }

    pub(super) fn question<'a>(self) -> &'a Question {
        // SAFETY: it is there, and its question does not change.
        unsafe { &(*self.0.as_ptr()).question }
    }

    pub(super) fn lookup(self) -> Option<LookupId> {
        self.with(|it| it.lookup)
    }

    pub(super) fn set_lookup(self, lookup: Option<LookupId>) {
        self.with(|it| it.lookup = lookup);
    }

    /// Has its callback called.
    fn finish(self, outcome: Outcome) {
        self.with(|it| {
            it.resolver = None;
            it.outcome = Some(outcome);
        });
        self.event().schedule();
    }

    pub(super) fn take(self, outcome: Result<Answer, ResolveError>) {
        self.finish(Outcome::Came(outcome));
    }

    /// It is not wanted any more; false when its callback is on its way already.
    pub(super) fn cancel(self) -> bool {
        let Some(resolver) = self.with(|it| it.resolver) else {
            return false;
        };
        resolver.locked(|| {
            let waited = resolver.forget(self);
            if waited {
                self.finish(Outcome::Canceled);
            }
            waited
        })
    }

    /// The resolver ends.
    pub(super) fn end(self, tells: bool) {
        if tells || self.with(|it| it.want.as_ref().is_some_and(Want::is_always_told)) {
            self.finish(Outcome::ShutDown);
        } else {
            self.displace();
        }
    }

    fn displace(self) {
        self.event().stop();
        debug::gone(self.event());
        // SAFETY: made by `new`, and nobody refers to it any more.
        unsafe { memory::displace(self.0) };
    }
}

unsafe extern "C" fn call(_: Socket, _: c_short, waiter: *mut c_void) {
    let Some(waiter) = NonNull::new(waiter.cast()).map(Waiter) else {
        return;
    };
    if let (Some(want), Some(outcome)) = waiter.with(|it| (it.want.take(), it.outcome.take())) {
        want.tell(outcome);
    }
    // Its own callback may cancel it, for nothing.
    waiter.displace();
}
