//! A question that came to a port, until it is answered.

use std::ffi::c_int;
use std::io;
use std::ptr::NonNull;

use super::message::{self, Asked, Entry, Question, flag};
use super::port::Port;
use crate::layout::{DnsQuestion, DnsRequest};
use crate::memory;
use crate::shared::Handle;
use crate::system::{self, Length, Socket, sockaddr, sockaddr_storage};

/// `struct evdns_server_request`.
#[repr(C)]
pub(super) struct Inner {
    /// What the program sees, and may change the flags of.
    seen: DnsRequest,
    port: Port,
    id: u16,
    asker: Asker,
    questions: Vec<Question>,
    shown: Shown,
    /// Answers, authorities, and what is added.
    sections: [Vec<Entry>; 3],
    /// From when it is answered.
    answer: Option<Vec<u8>>,
}

/// A request that the program has neither answered nor dropped, or whose
/// answer waits to be sent.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Request(NonNull<Inner>);

/// Who asks.
#[derive(Clone, Copy)]
pub(super) struct Asker {
    pub(super) address: sockaddr_storage,
    pub(super) length: Length,
}

/// Codes of answers that are the library's own.
pub(super) const NOT_IMPLEMENTED: c_int = 4;
/// The highest code that has room in an answer.
const MOST: c_int = 15;
/// Of who asks, the answer keeps these.
const KEPT: u16 = flag::OPCODE | flag::RECURSION_DESIRED | flag::CHECKING_DISABLED;
/// The flags that are the program's to set.
const SETTABLE: u16 = flag::AUTHORITATIVE | flag::RECURSION_AVAILABLE;

impl Request {
    /// `None` when there is no room.
    pub(super) fn new(port: Port, asked: Asked, asker: Asker) -> Option<Self> {
        let shown = Shown::new(&asked.questions);
        let made = memory::place(Inner {
            seen: DnsRequest {
                flags: (asked.flags & KEPT).into(),
                count: asked.questions.len() as c_int,
                questions: shown.places.as_ptr(),
            },
            port,
            id: asked.id,
            asker,
            questions: asked.questions,
            shown,
            sections: [const { Vec::new() }; 3],
            answer: None,
        });
        made.map(Self)
    }

    pub(super) fn port(self) -> Port {
        // SAFETY: it is there, and its port does not change.
        unsafe { self.0.as_ref().port }
    }

    /// Works on what is inside, with the lock of the port held.
    fn with<R>(self, work: impl FnOnce(&mut Inner) -> R) -> R {
        // SAFETY: it is there; only who holds the lock has a reference, and no
        // longer than this, where the program is not called.
        work(unsafe { &mut *self.0.as_ptr() })
    }

    /// Frees it; its port has lost it.
    pub(super) fn displace(self) {
        // SAFETY: made by `new`, and the program has given it up.
        unsafe { memory::displace(self.0) };
    }

    /// Adds a record to a section; false when there is no such section, or it
    /// is answered already.
    pub(super) fn add(self, section: c_int, entry: Entry) -> bool {
        let port = self.port();
        port.lock();
        let added = self.with(|it| {
            let section = usize::try_from(section).ok();
            let section = section.and_then(|place| it.sections.get_mut(place));
            match section {
                Some(section) if it.answer.is_none() => section.push(entry),
                _ => return false,
            }
            true
        });
        port.unlock();
        added
    }

    /// Writes the answer; false when there is one already, or no such code.
    fn answer(self, code: c_int) -> bool {
        self.with(|it| {
            if it.answer.is_some() || !(0..=MOST).contains(&code) {
                return false;
            }
            let flags = it.seen.flags as u16 | flag::ANSWER | code as u16;
            it.answer = Some(message::write(it.id, flags, &it.questions, &it.sections));
            it.sections = [const { Vec::new() }; 3];
            true
        })
    }

    /// Sends the answer.
    pub(super) fn send(self, fd: Socket) -> io::Result<()> {
        self.with(|it| {
            let answer = it.answer.as_deref().unwrap_or_default();
            let to = (&raw const it.asker.address).cast::<sockaddr>();
            // SAFETY: an address of that length.
            if unsafe { system::send_to(fd, answer, to, it.asker.length) } < 0 {
                return Err(system::last());
            }
            Ok(())
        })
    }

    /// Answers it: 0 when that is sent, 1 when it will be, and -1, with the
    /// request as it was, when there is no such code or it is answered already.
    pub(super) fn respond(self, code: c_int) -> c_int {
        let port = self.port();
        port.lock();
        if !self.answer(code) {
            port.unlock();
            return -1;
        }
        if port.send_or_keep(self) {
            self.displace();
            port.release();
            return 0;
        }
        port.unlock();
        1
    }
}

/// The questions as C programs see them.
struct Shown {
    places: Vec<*const DnsQuestion>,
    /// Where they are: type, class and the name's bytes, one after another.
    _words: Vec<u32>,
}

impl Shown {
    fn new(questions: &[Question]) -> Self {
        let mut words: Vec<u32> = Vec::new();
        let mut starts = Vec::new();
        for question in questions {
            starts.push(words.len());
            words.extend([question.kind, question.class].map(u32::from));
            for piece in question.text.as_bytes_with_nul().chunks(4) {
                let mut word = [0; 4];
                word[..piece.len()].copy_from_slice(piece);
                words.push(u32::from_ne_bytes(word));
            }
        }
        let first = words.as_mut_ptr();
        let places = starts.iter().map(|start| {
            let place = first.wrapping_add(*start);
            place.cast_const().cast::<DnsQuestion>()
        });
        Self {
            places: places.collect(),
            _words: words,
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn evdns_server_request_set_flags(request: Option<Request>, flags: c_int) {
    let Some(request) = request else { return };
    let port = request.port();
    port.lock();
    request.with(|it| it.seen.flags = it.seen.flags & !c_int::from(SETTABLE) | flags);
    port.unlock();
}

#[unsafe(no_mangle)]
extern "C" fn evdns_server_request_respond(request: Option<Request>, code: c_int) -> c_int {
    request.map_or(-1, |request| request.respond(code))
}

#[unsafe(no_mangle)]
extern "C" fn evdns_server_request_drop(request: Option<Request>) -> c_int {
    let Some(request) = request else { return -1 };
    let port = request.port();
    port.lock();
    port.forget(request);
    request.displace();
    port.release();
    0
}

/// The length of the address that was written, or -1 when there is no room.
#[unsafe(no_mangle)]
unsafe extern "C" fn evdns_server_request_get_requesting_addr(
    request: Option<Request>,
    to: *mut sockaddr,
    room: c_int,
) -> c_int {
    let Some(request) = request else { return -1 };
    // It does not change.
    let asker = request.with(|it| it.asker);
    let length = asker.length as c_int;
    if to.is_null() || room < length {
        return -1;
    }
    let from = (&raw const asker.address).cast::<u8>();
    // SAFETY: the caller's room, of more bytes than are written.
    unsafe { from.copy_to_nonoverlapping(to.cast(), asker.length as usize) };
    length
}
