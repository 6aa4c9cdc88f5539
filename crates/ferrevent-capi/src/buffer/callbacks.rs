//! Functions that are told of what was added to a buffer and taken from it.

use std::ffi::{c_int, c_short, c_void};
use std::ptr::NonNull;

use super::{Buf, Held, gone};
use crate::event::{Base, Ev};
use crate::memory;
use crate::system::Socket;

/// `struct evbuffer_cb_info`.
#[repr(C)]
pub(crate) struct Info {
    before: usize,
    added: usize,
    deleted: usize,
}

const _: () = assert!(size_of::<Info>() == 24);

type TellFn = unsafe extern "C" fn(Buf, *const Info, *mut c_void);
/// Of before libevent 2: the lengths before and after.
pub(super) type OldTellFn = unsafe extern "C" fn(Buf, usize, usize, *mut c_void);

/// `struct evbuffer_cb_entry`.
pub(crate) struct Entry {
    tell: Tell,
    argument: *mut c_void,
    flags: u32,
}

#[derive(Clone, Copy)]
enum Tell {
    New(TellFn),
    Old(OldTellFn),
}

const ENABLED: u32 = 1;
/// Flags that the program may change.
const USERS: u32 = 0xffff;

/// What few buffers have.
#[derive(Default)]
pub(crate) struct Callbacks {
    /// The one that was added last first.
    entries: Vec<NonNull<Entry>>,
    added: usize,
    deleted: usize,
    /// Tells them from the base's loop, instead of at once.
    deferred: Option<Ev>,
    /// Where room is that was given to the program, or 0.
    pub(super) reserved: usize,
}

impl Callbacks {
    pub(super) fn forget_all(&mut self) {
        for entry in self.entries.drain(..) {
            // SAFETY: made by `add`, and the list is the only way to it.
            unsafe { memory::displace(entry) };
        }
        if let Some(ev) = self.deferred.take() {
            ev.drop_deferred();
        }
    }

    fn add(&mut self, tell: Tell, argument: *mut c_void) -> Option<NonNull<Entry>> {
        let entry = memory::place(Entry {
            tell,
            argument,
            flags: ENABLED,
        })?;
        self.entries.insert(0, entry);
        Some(entry)
    }

    fn remove(&mut self, entry: NonNull<Entry>) -> bool {
        let Some(place) = self.entries.iter().position(|other| *other == entry) else {
            return false;
        };
        self.entries.remove(place);
        // SAFETY: as above.
        unsafe { memory::displace(entry) };
        true
    }
}

impl Held {
    /// Something was added or taken: tells those who want to know, now or by
    /// the loop.
    #[inline]
    pub(super) fn changed(&mut self, added: usize, deleted: usize) {
        gone::tell();
        if let Some(callbacks) = &mut self.callbacks
            && !callbacks.entries.is_empty()
        {
            callbacks.added += added;
            callbacks.deleted += deleted;
            match callbacks.deferred {
                Some(ev) => drop(ev.schedule()),
                None => self.tell(),
            }
        }
        if let Some(owner) = self.owner {
            owner.buffer_changed(self.buf(), added, deleted);
        }
    }

    pub(super) fn callbacks(&mut self) -> &mut Callbacks {
        self.callbacks.get_or_insert_default()
    }

    fn tell(&mut self) {
        let callbacks = self.callbacks();
        let (added, deleted) = (callbacks.added, callbacks.deleted);
        if added == 0 && deleted == 0 {
            return;
        }
        callbacks.added = 0;
        callbacks.deleted = 0;
        let entries = callbacks.entries.clone();
        let after = self.buffer.len();
        let info = Info {
            before: (after + deleted).saturating_sub(added),
            added,
            deleted,
        };
        let buf = self.buf();
        for entry in entries {
            // One that another has removed is gone.
            if !self.callbacks().entries.contains(&entry) {
                continue;
            }
            // SAFETY: it is in the list, so it is there.
            let (tell, argument, flags) = unsafe {
                (
                    entry.as_ref().tell,
                    entry.as_ref().argument,
                    entry.as_ref().flags,
                )
            };
            if flags & ENABLED == 0 {
                continue;
            }
            // SAFETY: what the program has given to be called now.
            unsafe {
                match tell {
                    Tell::New(tell) => tell(buf, &raw const info, argument),
                    Tell::Old(tell) => tell(buf, info.before, after, argument),
                }
            }
        }
    }

    /// Replaces all by one of before libevent 2, or by none.
    pub(super) fn replace(&mut self, tell: Option<OldTellFn>, argument: *mut c_void) {
        let callbacks = self.callbacks();
        let deferred = callbacks.deferred.take();
        callbacks.forget_all();
        callbacks.deferred = deferred;
        if let Some(tell) = tell {
            callbacks.add(Tell::Old(tell), argument);
        }
    }
}

unsafe extern "C" fn deferred(_: Socket, _: c_short, buf: *mut c_void) {
    if let Some(buf) = NonNull::new(buf.cast()) {
        Buf(buf).hold().tell();
    }
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_defer_callbacks(buf: Buf, base: Option<Base>) -> c_int {
    if base.is_none() {
        return -1;
    }
    let Some(ev) = Ev::deferred(base, 0, deferred, buf.0.as_ptr().cast()) else {
        return -1;
    };
    let mut held = buf.hold();
    if let Some(before) = held.callbacks().deferred.replace(ev) {
        before.drop_deferred();
    }
    0
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_add_cb(
    buf: Buf,
    tell: TellFn,
    argument: *mut c_void,
) -> Option<NonNull<Entry>> {
    buf.hold().callbacks().add(Tell::New(tell), argument)
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_remove_cb_entry(buf: Buf, entry: Option<NonNull<Entry>>) -> c_int {
    let removed = entry.is_some_and(|entry| buf.hold().callbacks().remove(entry));
    if removed { 0 } else { -1 }
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_remove_cb(buf: Buf, tell: TellFn, argument: *mut c_void) -> c_int {
    let mut held = buf.hold();
    let found = held.callbacks().entries.iter().copied().find(|entry| {
        // SAFETY: it is in the list, so it is there.
        let entry = unsafe { entry.as_ref() };
        let same = matches!(entry.tell, Tell::New(other) if std::ptr::fn_addr_eq(other, tell));
        same && entry.argument == argument
    });
    let removed = found.is_some_and(|entry| held.callbacks().remove(entry));
    if removed { 0 } else { -1 }
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_cb_set_flags(buf: Buf, entry: Option<NonNull<Entry>>, flags: u32) -> c_int {
    change_flags(buf, entry, |it| it | flags & USERS)
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_cb_clear_flags(
    buf: Buf,
    entry: Option<NonNull<Entry>>,
    flags: u32,
) -> c_int {
    change_flags(buf, entry, |it| it & !(flags & USERS))
}

fn change_flags(buf: Buf, entry: Option<NonNull<Entry>>, change: impl Fn(u32) -> u32) -> c_int {
    let mut held = buf.hold();
    let Some(entry) = entry.filter(|entry| held.callbacks().entries.contains(entry)) else {
        return -1;
    };
    // SAFETY: it is in the list, so it is there, and the buffer is held.
    unsafe { (*entry.as_ptr()).flags = change((*entry.as_ptr()).flags) };
    0
}
