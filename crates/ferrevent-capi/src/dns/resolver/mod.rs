//! The resolver: `ferrevent-dns` on an event base.

mod address_info;
mod asking;
mod channel;
#[cfg_attr(windows, path = "interfaces_windows.rs")]
mod interfaces;
mod lookup;
mod names;
mod servers;
mod settings;
mod shared;
mod waiter;

use std::collections::BTreeMap;
use std::ffi::{c_int, c_short, c_void};
use std::ptr::NonNull;

use ferrevent_core::timer::Tick;
use ferrevent_dns::LookupId;

use crate::event::{Base, Ev, what};
use crate::layout::Event;
use crate::system::{self, Socket};
use crate::thread::Lock;
use crate::util::socket;
use crate::{debug, memory, time};
use asking::Asking;
use settings::Settings;
use waiter::Waiter;

pub(crate) use address_info::look_up_peer;

/// `struct evdns_base`.
pub(crate) struct Inner {
    base: Option<Base>,
    lock: Lock,
    /// The program's, and one for each of what the loop may still call.
    references: u32,
    settings: Settings,
    asking: Asking,
    /// Who waits for an answer.
    waiters: BTreeMap<LookupId, Waiter>,
    /// Who waits to ask: for a server, or for `evdns_base_resume`.
    held: Vec<Waiter>,
    suspended: bool,
    /// Its deadline, and for when it is set.
    timer: Event,
    alarm: Option<Tick>,
    /// Keeps a loop going that has nameservers.
    alive: Event,
    alive_fd: Socket,
    is_alive: bool,
    /// What comes by the sockets.
    room: Box<[u8]>,
}

/// A resolver that the program has not freed, or that the loop may still call.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Resolver(NonNull<Inner>);

/// The longest datagram there is.
const LONGEST: usize = 65_535;

/// Flags of `evdns_base_new`.
mod flag {
    use std::ffi::c_int;

    pub(super) const INITIALIZE: c_int = 1;
    pub(super) const DISABLE_WHEN_INACTIVE: c_int = 0x8000;
    pub(super) const NO_DEFAULT: c_int = 0x10000;
    pub(super) const ALL: c_int = INITIALIZE | DISABLE_WHEN_INACTIVE | NO_DEFAULT;
}

impl Resolver {
    fn new(base: Option<Base>, keeps_alive: bool) -> Option<Self> {
        let mut settings = Settings::default();
        // Libevent's sockets are open as long as their servers are known.
        settings.config.keep_sockets = keeps_alive;
        let made = memory::place(Inner {
            base,
            lock: Lock::recursive()?,
            references: 1,
            asking: Asking::new(&settings),
            settings,
            waiters: BTreeMap::new(),
            held: Vec::new(),
            suspended: false,
            timer: Event::BLANK,
            alarm: None,
            alive: Event::BLANK,
            alive_fd: -1,
            is_alive: false,
            room: vec![0; LONGEST].into_boxed_slice(),
        });
        let resolver = Self(made?);
        let argument = resolver.argument();
        resolver.timer().prepare(base, -1, 0, deadline, argument);
        // It is never ready, and keeps the loop.
        let fd = if keeps_alive {
            system::never_ready()
        } else {
            -1
        };
        let alive = resolver.alive();
        alive.prepare(base, fd, what::READ | what::PERSIST, never, argument);
        resolver.with(|it| it.alive_fd = fd);
        Some(resolver)
    }

    fn argument(self) -> *mut c_void {
        self.0.as_ptr().cast()
    }

    /// # Safety
    /// What `argument` has answered, of one that is there.
    unsafe fn of_argument(argument: *mut c_void) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { NonNull::new_unchecked(argument.cast()) })
    }

    fn timer(self) -> Ev {
        // SAFETY: a field of what is there.
        Ev::from_room(unsafe { NonNull::new_unchecked(&raw mut (*self.0.as_ptr()).timer) })
    }

    fn alive(self) -> Ev {
        // SAFETY: as above.
        Ev::from_room(unsafe { NonNull::new_unchecked(&raw mut (*self.0.as_ptr()).alive) })
    }

    fn lock(self) {
        // SAFETY: it is there, and its lock does not change.
        unsafe { (*self.0.as_ptr()).lock.lock() };
    }

    fn unlock(self) {
        // SAFETY: as above.
        unsafe { (*self.0.as_ptr()).lock.unlock() };
    }

    /// Works on what is inside, with the lock held.
    fn with<R>(self, work: impl FnOnce(&mut Inner) -> R) -> R {
        // SAFETY: it is there; only who holds the lock has a reference, and no
        // longer than this, where nothing of it is used by another way and the
        // program is not called.
        work(unsafe { &mut *self.0.as_ptr() })
    }

    /// Takes the lock for as long as it takes.
    fn locked<R>(self, work: impl FnOnce() -> R) -> R {
        self.lock();
        let result = work();
        self.unlock();
        result
    }

    fn base(self) -> Option<Base> {
        self.with(|it| it.base)
    }

    fn refer(self) {
        self.with(|it| it.references += 1);
    }

    /// Gives up a reference, and the lock.
    fn release(self) {
        let left = self.with(|it| {
            it.references -= 1;
            it.references
        });
        self.unlock();
        if left == 0 {
            // SAFETY: made by `new`, and nobody refers to it any more.
            unsafe { memory::displace(self.0) };
        }
    }

    /// Ends it: what is not answered is told so, or forgotten.
    fn end(self, tells: bool) {
        self.lock();
        let (mut waiters, held) = self.with(|it| {
            (
                std::mem::take(&mut it.waiters),
                std::mem::take(&mut it.held),
            )
        });
        while let Some((_, waiter)) = waiters.pop_first() {
            waiter.end(tells);
        }
        for waiter in held {
            waiter.end(tells);
        }
        // What the loop may still call finds nothing to do.
        let (asking, fd) = self.with(|it| {
            it.settings = Settings::default();
            (it.alarm, it.is_alive) = (None, false);
            let asking = std::mem::replace(&mut it.asking, Asking::new(&it.settings));
            (asking, std::mem::replace(&mut it.alive_fd, -1))
        });
        asking.close();
        self.alive().stop();
        if fd >= 0 {
            socket::evutil_closesocket(fd);
        }
        self.timer().stop();
        debug::gone(self.alive());
        debug::gone(self.timer());
        // The loop may be about to call back, if that is another thread's.
        if self.is_shared() && self.timer().finish(finished) {
            return self.unlock();
        }
        self.release();
    }

    /// Whether other threads may be about to call what is ended here.
    fn is_shared(self) -> bool {
        // SAFETY: it is there, and its lock does not change.
        unsafe { (*self.0.as_ptr()).lock.is_some() }
    }
}

fn now() -> Tick {
    Tick(time::monotonic())
}

unsafe extern "C" fn deadline(_: Socket, _: c_short, resolver: *mut c_void) {
    // SAFETY: its own event calls it, which is deleted before it is gone.
    let resolver = unsafe { Resolver::of_argument(resolver) };
    resolver.lock();
    resolver.refer();
    resolver.with(|it| {
        it.alarm = None;
        it.asking.client.timed_out(now());
    });
    resolver.act();
    resolver.release();
}

unsafe extern "C" fn never(_: Socket, _: c_short, _: *mut c_void) {}

unsafe extern "C" fn finished(_: Ev, resolver: *mut c_void) {
    // SAFETY: as above, and its last call.
    let resolver = unsafe { Resolver::of_argument(resolver) };
    resolver.lock();
    resolver.release();
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn evdns_base_new(base: Option<Base>, flags: c_int) -> Option<Resolver> {
    let mut flags = flags;
    if flags & !flag::ALL != 0 {
        super::warn("evdns_base_new: there are no such flags; the system's nameservers are taken");
        flags = flag::INITIALIZE;
    }
    let resolver = Resolver::new(base, flags & flag::DISABLE_WHEN_INACTIVE == 0)?;
    if flags & flag::INITIALIZE != 0 {
        settings::initialize(resolver, flags & flag::NO_DEFAULT == 0);
    }
    Some(resolver)
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn evdns_base_free(resolver: Option<Resolver>, tells: c_int) {
    let resolver = resolver.or_else(|| shared::GLOBAL.load());
    if let Some(resolver) = resolver {
        shared::forget(resolver);
        resolver.end(tells != 0);
    }
}
