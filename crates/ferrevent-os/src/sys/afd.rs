//! The driver below Winsock, asked which of a socket's events have come about:
//! as WSAPoll asks it, but with a completion in the end.

use std::io;
use std::os::windows::io::{AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::ptr;

use windows_sys::Wdk::Foundation::OBJECT_ATTRIBUTES;
use windows_sys::Wdk::Storage::FileSystem::{FILE_OPEN, NtCreateFile};
use windows_sys::Wdk::System::IO::NtDeviceIoControlFile;
use windows_sys::Win32::Foundation::{HANDLE, STATUS_PENDING, STATUS_SUCCESS, UNICODE_STRING};
use windows_sys::Win32::Networking::WinSock;
use windows_sys::Win32::Storage::FileSystem::{FILE_SHARE_READ, FILE_SHARE_WRITE, SYNCHRONIZE};
use windows_sys::Win32::System::IO::{CancelIoEx, CreateIoCompletionPort, OVERLAPPED};

use super::fd::RawFd;
use super::status::outcome;
use super::{Call, Sys, verdict};
use crate::port::Readiness;

const POLL: u32 = 0x0001_2024;

const RECEIVE: u32 = 0x001;
const RECEIVE_EXPEDITED: u32 = 0x002;
const SEND: u32 = 0x004;
const DISCONNECT: u32 = 0x008;
const ABORT: u32 = 0x010;
const LOCAL_CLOSE: u32 = 0x020;
const ACCEPT: u32 = 0x080;
const CONNECT_FAIL: u32 = 0x100;

/// What is asked and what is answered, in one place.
#[repr(C)]
pub(crate) struct Poll {
    timeout: i64,
    sockets: u32,
    exclusive: u32,
    socket: HANDLE,
    events: u32,
    status: i32,
}

// SAFETY: the handle in it is only a number to this process.
unsafe impl Send for Poll {}

impl Poll {
    /// To wait for any of these on a socket, for ever. `socket` is one that
    /// [`base`] gave.
    pub(crate) fn new(socket: RawFd, interest: Readiness) -> Self {
        Self {
            timeout: i64::MAX,
            sockets: 1,
            exclusive: 0,
            socket: socket as HANDLE,
            events: events(interest),
            status: 0,
        }
    }

    /// What the driver answered; `None` when the socket was closed.
    pub(crate) fn answer(&self) -> Option<Readiness> {
        if self.sockets == 0 {
            return Some(Readiness::NONE);
        }
        if self.events & LOCAL_CLOSE != 0 {
            return None;
        }
        let mut ready = Readiness::NONE;
        for (bits, name) in [
            (RECEIVE | ACCEPT | DISCONNECT, Readiness::READ),
            (RECEIVE_EXPEDITED, Readiness::PRIORITY),
            (SEND, Readiness::WRITE),
            (DISCONNECT, Readiness::CLOSED),
            (ABORT | CONNECT_FAIL, Readiness::ERROR),
        ] {
            if self.events & bits != 0 {
                ready = ready.with(name);
            }
        }
        Some(ready)
    }
}

impl Sys {
    /// Opens the driver, with its completions going to this port.
    pub(crate) fn open_driver(&self, port: BorrowedHandle<'_>) -> io::Result<OwnedHandle> {
        verdict(self.strike(Call::WaiterCreate))?;
        let mut name: Vec<u16> = r"\Device\Afd\Ferrevent".encode_utf16().collect();
        let bytes = u16::try_from(name.len() * 2).unwrap_or(0);
        let name = UNICODE_STRING {
            Length: bytes,
            MaximumLength: bytes,
            Buffer: name.as_mut_ptr(),
        };
        // SAFETY: zeroes are a valid value of these plain structures.
        let (mut attributes, mut status): (OBJECT_ATTRIBUTES, _) =
            unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        attributes.Length = size_of::<OBJECT_ATTRIBUTES>() as u32;
        attributes.ObjectName = &raw const name;
        let mut handle: HANDLE = ptr::null_mut();
        // SAFETY: everything that is pointed to lives through the call.
        let answer = unsafe {
            NtCreateFile(
                &raw mut handle,
                SYNCHRONIZE,
                &raw const attributes,
                &raw mut status,
                ptr::null(),
                0,
                FILE_SHARE_READ | FILE_SHARE_WRITE,
                FILE_OPEN,
                0,
                ptr::null(),
                0,
            )
        };
        outcome(answer)?;
        // SAFETY: just opened, so open and ours alone.
        let driver = unsafe { OwnedHandle::from_raw_handle(handle) };
        // SAFETY: takes no memory; both handles are open.
        let joined = unsafe { CreateIoCompletionPort(handle, port.as_raw_handle(), 0, 0) };
        if joined.is_null() {
            return Err(io::Error::last_os_error());
        }
        Ok(driver)
    }

    /// Begins to wait for a socket's events. A completion comes even if it is
    /// over at once.
    ///
    /// # Safety
    /// `poll` and `overlapped` must stay valid until the completion has been
    /// taken.
    pub(crate) unsafe fn begin_poll(
        &self,
        driver: BorrowedHandle<'_>,
        poll: *mut Poll,
        overlapped: *mut OVERLAPPED,
    ) -> io::Result<()> {
        verdict(self.strike(Call::WaiterControl))?;
        // An OVERLAPPED begins with what the kernel calls its status block.
        // SAFETY: all of it stays valid by this function's contract.
        let answer = unsafe {
            (*overlapped).Internal = STATUS_PENDING as usize;
            NtDeviceIoControlFile(
                driver.as_raw_handle(),
                ptr::null_mut(),
                None,
                overlapped.cast(),
                overlapped.cast(),
                POLL,
                poll.cast(),
                size_of::<Poll>() as u32,
                poll.cast(),
                size_of::<Poll>() as u32,
            )
        };
        match answer {
            STATUS_SUCCESS | STATUS_PENDING => Ok(()),
            other => outcome(other),
        }
    }

    /// Takes a wait back; its completion still comes.
    pub(crate) fn cancel_poll(&self, driver: BorrowedHandle<'_>, overlapped: *const OVERLAPPED) {
        // SAFETY: the address is only compared with those of calls that are
        // under way. If there is none, its completion is under way already.
        unsafe { CancelIoEx(driver.as_raw_handle(), overlapped) };
    }
}

/// The socket that the driver knows: layered providers put their own before it.
pub(crate) fn base(socket: RawFd) -> io::Result<RawFd> {
    let mut base: WinSock::SOCKET = 0;
    let mut written = 0;
    // SAFETY: `base` is written before the call returns; a number that is no
    // socket is an error, no harm.
    let answer = unsafe {
        WinSock::WSAIoctl(
            socket as WinSock::SOCKET,
            WinSock::SIO_BASE_HANDLE,
            ptr::null(),
            0,
            (&raw mut base).cast(),
            size_of::<WinSock::SOCKET>() as u32,
            &raw mut written,
            ptr::null_mut(),
            None,
        )
    };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(base as RawFd)
}

fn events(interest: Readiness) -> u32 {
    // What is an error is told whatever is asked.
    let mut bits = ABORT | CONNECT_FAIL | LOCAL_CLOSE;
    for (readiness, more) in [
        (Readiness::READ, RECEIVE | ACCEPT | DISCONNECT),
        (Readiness::WRITE, SEND),
        (Readiness::CLOSED, DISCONNECT),
        (Readiness::PRIORITY, RECEIVE_EXPEDITED),
    ] {
        if interest.any(readiness) {
            bits |= more;
        }
    }
    bits
}
