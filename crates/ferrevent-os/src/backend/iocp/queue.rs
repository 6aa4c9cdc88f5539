//! The completion port, and the operations that are under way.
//!
//! An [`Operation`] is handed over to the kernel as a box is: nobody looks at
//! it until its completion is taken from the port, which gives it back. So
//! whatever the kernel may touch lives as long as it may, whoever closes what.

use std::io;
use std::marker::PhantomPinned;
use std::os::windows::io::{AsHandle, BorrowedHandle, OwnedHandle};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ferrevent_core::buffer::{Block, Pinned};
use socket2::SockAddr;
use windows_sys::Win32::Foundation::NTSTATUS;
use windows_sys::Win32::System::IO::{OVERLAPPED, OVERLAPPED_ENTRY};

use crate::op::Token;
use crate::sys::Sys;
use crate::sys::afd::Poll;
use crate::sys::fd::{OwnedFd, RawFd};
use crate::sys::overlapped::{Addresses, Begun};
use crate::sys::status::outcome;

/// How long the last owner waits for what was taken back to come home.
const HOMECOMING: Duration = Duration::from_secs(5);

/// What the kernel works on.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Operation {
    /// First, so that its address is the operation's.
    overlapped: Overlapped,
    pub(super) token: Token,
    pub(super) body: Body,
}

/// What the kernel may touch for as long as it works.
#[derive(Debug)]
pub(super) enum Body {
    /// A receive of no bytes: it tells only that there are some.
    Probe,
    /// A receive into this block, and then into these.
    Receive(Block, Option<More>),
    Send(Box<Sending>),
    Accept(Box<Accepting>),
    Connect(Box<SockAddr>),
    /// A wait of the driver's for the events of a watched socket.
    Poll(Box<Polling>),
}

/// The blocks behind the first, of a receive that expects much.
pub(super) type More = Box<[Block; 3]>;

#[derive(Debug)]
pub(super) enum Sending {
    Bytes(Pinned),
    /// What was read from a file.
    Block(Block, usize),
}

#[derive(Debug)]
pub(super) struct Accepting {
    pub(super) socket: OwnedFd,
    pub(super) addresses: Addresses,
}

pub(super) struct Polling {
    pub(super) fd: RawFd,
    pub(super) name: Option<InFlight>,
    pub(super) poll: Poll,
}

impl std::fmt::Debug for Polling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "poll of socket {}", self.fd)
    }
}

struct Overlapped(OVERLAPPED, PhantomPinned);

impl std::fmt::Debug for Overlapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Overlapped")
    }
}

// SAFETY: the pointers in an OVERLAPPED are the kernel's alone.
unsafe impl Send for Overlapped {}

/// The name of an operation under way: to take it back, and for nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InFlight(NonNull<OVERLAPPED>);

// SAFETY: the address is only compared, by the kernel.
unsafe impl Send for InFlight {}
// SAFETY: as above.
unsafe impl Sync for InFlight {}

impl InFlight {
    pub(super) fn of(overlapped: *mut OVERLAPPED) -> Option<Self> {
        NonNull::new(overlapped).map(Self)
    }

    pub(super) fn address(self) -> *const OVERLAPPED {
        self.0.as_ptr()
    }
}

impl Operation {
    pub(super) fn new(token: Token, body: Body) -> Box<Self> {
        // SAFETY: zeroes are a valid OVERLAPPED.
        let overlapped = unsafe { std::mem::zeroed() };
        Box::new(Self {
            overlapped: Overlapped(overlapped, PhantomPinned),
            token,
            body,
        })
    }

    /// What it was known by while it was under way.
    pub(super) fn name(&self) -> *const OVERLAPPED {
        &raw const self.overlapped.0
    }
}

/// An operation that has come home, and how it went.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) operation: Box<Operation>,
    pub(super) outcome: io::Result<()>,
    pub(super) bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Queue {
    port: OwnedHandle,
    under_way: AtomicUsize,
}

impl Queue {
    pub(super) fn new(port: OwnedHandle) -> Self {
        Self {
            port,
            under_way: AtomicUsize::new(0),
        }
    }

    pub(super) fn port(&self) -> BorrowedHandle<'_> {
        self.port.as_handle()
    }

    /// Operations whose memory is the kernel's.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Acquire)
    }

    /// Hands an operation over. `call` begins it, with the address of its body
    /// and its OVERLAPPED, which stay where they are. What is over at once
    /// (if no completion comes then: `skips`) comes back with the bytes that
    /// it moved; what was not begun comes back too.
    pub(super) fn begin(
        &self,
        operation: Box<Operation>,
        skips: bool,
        call: impl FnOnce(*mut Body, *mut OVERLAPPED) -> io::Result<Begun>,
    ) -> Result<InFlight, (Box<Operation>, io::Result<usize>)> {
        let raw = Box::into_raw(operation);
        self.under_way.fetch_add(1, Ordering::AcqRel);
        // SAFETY: the box was just taken apart; this only computes addresses.
        let (body, overlapped) = unsafe { (&raw mut (*raw).body, &raw mut (*raw).overlapped.0) };
        let begun = call(body, overlapped);
        if matches!(begun, Ok(Begun::Pending)) || (!skips && begun.is_ok()) {
            // From here on it belongs to the kernel, or to whoever takes its
            // completion: it is not looked at again.
            // SAFETY: the address of a field of a box is not null.
            return Ok(InFlight(unsafe { NonNull::new_unchecked(overlapped) }));
        }
        self.under_way.fetch_sub(1, Ordering::AcqRel);
        // SAFETY: no completion comes, so the box is still ours alone.
        let operation = unsafe { Box::from_raw(raw) };
        let bytes = operation.overlapped.0.InternalHigh;
        Err((operation, begun.map(|_| bytes)))
    }

    /// Takes what has come: the operations that are home, and how many wake-ups.
    pub(super) fn take(
        &self,
        sys: &Sys,
        entries: &mut [OVERLAPPED_ENTRY],
        timeout: Option<Duration>,
        mut home: impl FnMut(Home),
    ) -> io::Result<Taken> {
        let count = sys.completions(self.port(), entries, timeout)?;
        let mut taken = Taken {
            count,
            woken: false,
        };
        for entry in &entries[..count] {
            if entry.lpOverlapped.is_null() {
                taken.woken = true;
                continue;
            }
            let raw = entry.lpOverlapped.cast::<Operation>();
            // SAFETY: only `begin` hands addresses to the kernel, each that of
            // a box which it took apart; its one completion gives it back.
            let operation = unsafe { Box::from_raw(raw) };
            self.under_way.fetch_sub(1, Ordering::AcqRel);
            let status = operation.overlapped.0.Internal as NTSTATUS;
            home(Home {
                operation,
                outcome: outcome(status),
                bytes: entry.dwNumberOfBytesTransferred as usize,
            });
        }
        Ok(taken)
    }
}

/// What one look at the port brought.
pub(super) struct Taken {
    pub(super) count: usize,
    pub(super) woken: bool,
}

impl Drop for Queue {
    /// The last owner is gone, and with it every socket: what is under way is
    /// coming home. Its memory is the kernel's until then.
    fn drop(&mut self) {
        let end = Instant::now() + HOMECOMING;
        let sys = Sys::new(crate::sys::Clock::real(), None);
        let mut entries = [NO_ENTRY; 64];
        while self.under_way() > 0 && Instant::now() < end {
            let patience = Some(Duration::from_millis(100));
            if self.take(&sys, &mut entries, patience, drop).is_err() {
                break;
            }
        }
    }
}

pub(super) const NO_ENTRY: OVERLAPPED_ENTRY = OVERLAPPED_ENTRY {
    lpCompletionKey: 0,
    lpOverlapped: std::ptr::null_mut(),
    Internal: 0,
    dwNumberOfBytesTransferred: 0,
};
