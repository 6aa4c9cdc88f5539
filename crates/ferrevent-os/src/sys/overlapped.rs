//! Overlapped calls: Windows begins them now and tells later, through an I/O
//! completion port, that they are done.
//!
//! Each of these takes the address of an `OVERLAPPED`. The caller sees to it
//! that this, and whatever else the call is given, stays where it is until
//! the completion has been taken from the port: see `backend/iocp/queue.rs`.

use std::io::{self, IoSlice};
use std::os::windows::io::{
    AsRawHandle, BorrowedHandle, FromRawHandle, FromRawSocket, OwnedHandle,
};
use std::ptr;
use std::sync::OnceLock;
use std::time::Duration;

use socket2::{SockAddr, SockRef};
use windows_sys::Win32::Foundation::{
    ERROR_IO_PENDING, ERROR_NOT_FOUND, HANDLE, HANDLE_FLAG_INHERIT, INVALID_HANDLE_VALUE,
    SetHandleInformation, WAIT_TIMEOUT,
};
use windows_sys::Win32::Networking::WinSock;
use windows_sys::Win32::Storage::FileSystem::SetFileCompletionNotificationModes;
use windows_sys::Win32::System::IO::{
    CancelIoEx, CreateIoCompletionPort, GetQueuedCompletionStatusEx, OVERLAPPED, OVERLAPPED_ENTRY,
    PostQueuedCompletionStatus,
};
use windows_sys::Win32::System::WindowsProgramming::{
    FILE_SKIP_COMPLETION_PORT_ON_SUCCESS, FILE_SKIP_SET_EVENT_ON_HANDLE,
};
use windows_sys::core::GUID;

use super::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use super::own::{int, number};
use super::{Call, Fault, Sys, errno, gone, verdict};

/// The room AcceptEx wants for each address: sixteen bytes more than it has.
pub(crate) const ADDRESS_ROOM: usize = size_of::<WinSock::SOCKADDR_STORAGE>() + 16;

/// Where AcceptEx writes the two addresses of a connection.
#[repr(C, align(8))]
#[derive(Debug)]
pub(crate) struct Addresses([u8; 2 * ADDRESS_ROOM]);

impl Addresses {
    pub(crate) const EMPTY: Self = Self([0; 2 * ADDRESS_ROOM]);
}

/// Whether a call that was begun is over already: then no completion comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    Done,
    Pending,
}

/// Pieces of memory of one receive.
pub(crate) const MOST_PIECES: usize = 4;

impl Sys {
    /// A new completion port: `CreateIoCompletionPort`.
    pub(crate) fn completion_port(&self) -> io::Result<OwnedHandle> {
        verdict(self.strike(Call::WaiterCreate))?;
        // SAFETY: takes no memory; without a file it makes a new port.
        let raw = unsafe { CreateIoCompletionPort(INVALID_HANDLE_VALUE, ptr::null_mut(), 0, 0) };
        if raw.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just created, so open and ours alone.
        Ok(unsafe { OwnedHandle::from_raw_handle(raw) })
    }

    /// Has a socket's completions come to this port, for as long as the
    /// socket lives, and no completion for what is done at once. Says whether
    /// the latter was possible.
    pub(crate) fn associate(
        &self,
        port: BorrowedHandle<'_>,
        fd: BorrowedFd<'_>,
    ) -> io::Result<bool> {
        verdict(self.strike(Call::WaiterControl))?;
        let socket = handle(fd);
        // SAFETY: takes no memory; both handles are borrowed, so open.
        let joined = unsafe { CreateIoCompletionPort(socket, port.as_raw_handle(), 0, 0) };
        if joined.is_null() {
            return Err(io::Error::last_os_error());
        }
        let modes = FILE_SKIP_COMPLETION_PORT_ON_SUCCESS | FILE_SKIP_SET_EVENT_ON_HANDLE;
        // SAFETY: takes no memory; the handle is borrowed, so open.
        Ok(has_true_handles()
            && unsafe { SetFileCompletionNotificationModes(socket, modes as u8) } != 0)
    }

    /// Has one waiter return: `PostQueuedCompletionStatus` with this key.
    pub(crate) fn post(&self, port: BorrowedHandle<'_>, key: usize) -> io::Result<()> {
        match self.strike(Call::Wake) {
            Some(Fault::Errno(errno::EINTR)) | None => {}
            fault => verdict(fault)?,
        }
        post_raw(port, key)
    }

    /// Takes what has come to a port, and waits for it at most so long, which
    /// is rounded up to whole milliseconds: `GetQueuedCompletionStatusEx`.
    pub(crate) fn completions(
        &self,
        port: BorrowedHandle<'_>,
        entries: &mut [OVERLAPPED_ENTRY],
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        match self.strike(Call::Wait) {
            Some(Fault::Errno(errno::EINTR)) => return Ok(0),
            fault => verdict(fault)?,
        }
        const INFINITE: u32 = u32::MAX;
        let millis = timeout.map_or(INFINITE, |time| {
            u32::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(INFINITE - 1)
        });
        let mut count = 0;
        // SAFETY: `entries` has room for as many entries as it says, and both
        // live through the call.
        let answer = unsafe {
            GetQueuedCompletionStatusEx(
                port.as_raw_handle(),
                entries.as_mut_ptr(),
                u32::try_from(entries.len()).unwrap_or(u32::MAX),
                &raw mut count,
                millis.min(INFINITE),
                0,
            )
        };
        if answer != 0 {
            return Ok(count as usize);
        }
        match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(WAIT_TIMEOUT as i32) => Ok(0),
            error => Err(error),
        }
    }

    /// Begins a receive of no bytes, which is done when something is there to
    /// receive, and takes nothing: `WSARecv`. `peek` for sockets that would
    /// lose a message by it.
    ///
    /// # Safety
    /// `overlapped` must stay valid until its completion has been taken.
    pub(crate) unsafe fn begin_probe(
        &self,
        fd: BorrowedFd<'_>,
        peek: bool,
        overlapped: *mut OVERLAPPED,
    ) -> io::Result<Begun> {
        verdict(self.strike(Call::WaiterControl))?;
        let nothing = WinSock::WSABUF {
            len: 0,
            buf: ptr::null_mut(),
        };
        let mut flags = if peek { WinSock::MSG_PEEK as u32 } else { 0 };
        // SAFETY: the list of buffers is copied before the call returns, and
        // names no memory; the flags are written before it returns only.
        let answer = unsafe {
            WinSock::WSARecv(
                number(fd),
                &raw const nothing,
                1,
                ptr::null_mut(),
                &raw mut flags,
                overlapped,
                None,
            )
        };
        begun(answer == 0)
    }

    /// Begins to receive into these bytes, one piece after the other: `WSARecv`.
    ///
    /// # Safety
    /// `overlapped` and the bytes must stay valid, and be touched by nobody,
    /// until the completion has been taken.
    pub(crate) unsafe fn begin_receive(
        &self,
        fd: BorrowedFd<'_>,
        into: &[*mut [u8]],
        overlapped: *mut OVERLAPPED,
    ) -> io::Result<Begun> {
        let mut rooms = [WinSock::WSABUF {
            len: 0,
            buf: ptr::null_mut(),
        }; MOST_PIECES];
        let mut count = into.len().min(MOST_PIECES);
        for (room, piece) in rooms.iter_mut().zip(into) {
            room.len = u32::try_from(piece.len()).unwrap_or(u32::MAX);
            room.buf = piece.cast();
        }
        match self.strike(Call::Receive) {
            // Only an injected fault cuts a call short: one piece will do.
            Some(Fault::Short(limit)) => {
                let limit = u32::try_from(limit).unwrap_or(u32::MAX);
                rooms[0].len = limit.clamp(1, rooms[0].len.max(1)).min(rooms[0].len);
                count = count.min(1);
            }
            // What is begun does not ask whether it can be done at once.
            Some(Fault::Errno(errno::EINTR | errno::EAGAIN)) | None => {}
            Some(Fault::Errno(errno)) => return Err(gone(fd, errno)),
        }
        let mut flags = 0;
        // SAFETY: the list of buffers is copied before the call returns, what
        // it names is writable and nobody else's by this function's contract,
        // and the flags are written before the call returns only.
        let answer = unsafe {
            WinSock::WSARecv(
                number(fd),
                rooms.as_ptr(),
                count as u32,
                ptr::null_mut(),
                &raw mut flags,
                overlapped,
                None,
            )
        };
        begun(answer == 0)
    }

    /// Begins to send these slices in order: `WSASend`.
    ///
    /// # Safety
    /// `overlapped` and the bytes of the slices must stay valid until the
    /// completion has been taken.
    pub(crate) unsafe fn begin_send(
        &self,
        fd: BorrowedFd<'_>,
        slices: &[IoSlice<'_>],
        overlapped: *mut OVERLAPPED,
    ) -> io::Result<Begun> {
        let mut parts = slices;
        let cut;
        match self.strike(Call::Send) {
            // Only an injected fault cuts a call short: one part will do.
            Some(Fault::Short(limit)) if !slices.is_empty() => {
                cut = [IoSlice::new(
                    &slices[0][..limit.max(1).min(slices[0].len())],
                )];
                parts = &cut;
            }
            // What is begun does not ask whether it can be done at once.
            Some(Fault::Errno(errno::EINTR | errno::EAGAIN)) => {}
            fault => verdict(fault)?,
        }
        // SAFETY: IoSlice has the layout of WSABUF by its contract, and the
        // list is copied before the call returns.
        let answer = unsafe {
            WinSock::WSASend(
                number(fd),
                parts.as_ptr().cast(),
                u32::try_from(parts.len()).unwrap_or(u32::MAX),
                ptr::null_mut(),
                0,
                overlapped,
                None,
            )
        };
        begun(answer == 0)
    }

    /// Begins to take a connection into this socket: `AcceptEx`. The faults of
    /// [`Call::Accept`] strike when the connection is handed on.
    ///
    /// # Safety
    /// `overlapped` and `addresses` must stay valid until the completion has
    /// been taken.
    pub(crate) unsafe fn begin_accept(
        &self,
        listener: BorrowedFd<'_>,
        into: &OwnedFd,
        addresses: *mut Addresses,
        overlapped: *mut OVERLAPPED,
    ) -> io::Result<Begun> {
        let accept = extensions()?.accept;
        let room = ADDRESS_ROOM as u32;
        // SAFETY: `addresses` has room for both addresses, and no more than
        // those is asked for; it stays valid by this function's contract.
        let answer = unsafe {
            accept(
                number(listener),
                number(into.as_fd()),
                addresses.cast(),
                0,
                room,
                room,
                ptr::null_mut(),
                overlapped,
            )
        };
        begun(answer != 0)
    }

    /// Takes a connection that waits, of a listener in non-blocking mode:
    /// `accept`. The faults of [`Call::Accept`] strike when it is handed on.
    pub(crate) fn accept_queued(&self, listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
        // SAFETY: without room for an address none is written.
        let raw = unsafe { WinSock::accept(number(listener), ptr::null_mut(), ptr::null_mut()) };
        if raw == WinSock::INVALID_SOCKET {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened, so open and ours alone.
        let socket = unsafe { OwnedFd::from_raw_socket(raw as RawFd) };
        // Children would inherit it. SAFETY: takes no memory, and it is open.
        let kept = unsafe { SetHandleInformation(raw as HANDLE, HANDLE_FLAG_INHERIT, 0) };
        if kept == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(socket)
    }

    /// Makes what AcceptEx filled a whole socket: without
    /// `SO_UPDATE_ACCEPT_CONTEXT` it has no names and no shutdown.
    pub(crate) fn accepted(
        &self,
        listener: BorrowedFd<'_>,
        socket: BorrowedFd<'_>,
    ) -> io::Result<()> {
        verdict(self.strike(Call::SocketOption))?;
        let listener = number(listener);
        set_option(socket, WinSock::SO_UPDATE_ACCEPT_CONTEXT, Some(&listener))
    }

    /// Begins to connect a socket that is bound: `ConnectEx`.
    ///
    /// # Safety
    /// `overlapped` and `address` must stay valid until the completion has
    /// been taken.
    pub(crate) unsafe fn begin_connect(
        &self,
        fd: BorrowedFd<'_>,
        address: *const SockAddr,
        overlapped: *mut OVERLAPPED,
    ) -> io::Result<Begun> {
        match self.strike(Call::Connect) {
            // An interrupted connect goes on by itself.
            Some(Fault::Errno(errno::EINTR)) => {}
            fault => verdict(fault)?,
        }
        let connect = extensions()?.connect;
        // SAFETY: the address stays valid by this function's contract.
        let answer = unsafe {
            connect(
                number(fd),
                (*address).as_ptr().cast(),
                (*address).len(),
                ptr::null(),
                0,
                ptr::null_mut(),
                overlapped,
            )
        };
        begun(answer != 0)
    }

    /// Makes what ConnectEx connected a whole socket:
    /// `SO_UPDATE_CONNECT_CONTEXT`.
    pub(crate) fn connected(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        verdict(self.strike(Call::SocketOption))?;
        set_option::<()>(fd, WinSock::SO_UPDATE_CONNECT_CONTEXT, None)
    }

    /// Takes a call back, or with a null pointer all of this socket's: their
    /// completions still come. One that is over already is no error.
    pub(crate) fn cancel(&self, socket: RawFd, overlapped: *const OVERLAPPED) -> io::Result<()> {
        // SAFETY: the address is only compared with those of calls that are
        // under way; a number that is no socket any more is an error, and of
        // another socket no such call is under way.
        let answer = unsafe { CancelIoEx(socket as HANDLE, overlapped) };
        if answer != 0 {
            return Ok(());
        }
        match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(ERROR_NOT_FOUND as i32) => Ok(()),
            error => Err(error),
        }
    }
}

/// Has one waiter of a port return.
pub(crate) fn post_raw(port: BorrowedHandle<'_>, key: usize) -> io::Result<()> {
    // SAFETY: takes no memory; the handle is borrowed, so open.
    let answer = unsafe { PostQueuedCompletionStatus(port.as_raw_handle(), 0, key, ptr::null()) };
    if answer == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Binds a socket to any address of the family it is to connect to, as
/// ConnectEx demands, unless it is bound already.
pub(crate) fn bind_for(fd: BorrowedFd<'_>, address: &SockAddr) -> io::Result<()> {
    let socket = SockRef::from(&fd);
    if socket.local_addr().is_ok() {
        return Ok(());
    }
    let any = match address.as_socket() {
        Some(to) if to.is_ipv6() => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
        _ => std::net::SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, 0)),
    };
    socket.bind(&any.into())
}

fn begun(at_once: bool) -> io::Result<Begun> {
    if at_once {
        return Ok(Begun::Done);
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(ERROR_IO_PENDING as i32) => Ok(Begun::Pending),
        error => Err(error),
    }
}

fn handle(fd: BorrowedFd<'_>) -> HANDLE {
    fd.as_raw_fd() as HANDLE
}

fn set_option<T>(fd: BorrowedFd<'_>, name: i32, value: Option<&T>) -> io::Result<()> {
    let len = value.map_or(0, |_| int(size_of::<T>()));
    let start = value.map_or(ptr::null(), |value| ptr::from_ref(value).cast());
    // SAFETY: `start` points to `len` readable bytes, or both say nothing.
    let answer = unsafe { WinSock::setsockopt(number(fd), WinSock::SOL_SOCKET, name, start, len) };
    if answer == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Whether sockets are true handles of the kernel: a layered provider that
/// makes its own would miss what is done at once.
fn has_true_handles() -> bool {
    static TRUE: OnceLock<bool> = OnceLock::new();
    *TRUE.get_or_init(|| {
        // Streams are TCP's alone; other protocols, which nobody uses here, may
        // have no such handles.
        let asked = [WinSock::IPPROTO_TCP, 0];
        let mut len = 0;
        // SAFETY: the list ends with a zero; without room it only says how much
        // it needs.
        unsafe { WinSock::WSAEnumProtocolsW(asked.as_ptr(), ptr::null_mut(), &raw mut len) };
        // SAFETY: zeroes are a valid value of this plain structure.
        let empty: WinSock::WSAPROTOCOL_INFOW = unsafe { std::mem::zeroed() };
        let mut protocols = vec![empty; len as usize / size_of::<WinSock::WSAPROTOCOL_INFOW>() + 1];
        let mut room = u32::try_from(size_of_val(&protocols[..])).unwrap_or(0);
        // SAFETY: as above, and `protocols` has `room` bytes of room.
        let count = unsafe {
            WinSock::WSAEnumProtocolsW(asked.as_ptr(), protocols.as_mut_ptr(), &raw mut room)
        };
        usize::try_from(count).is_ok_and(|count| {
            let known = &protocols[..count.min(protocols.len())];
            !known.is_empty()
                && known
                    .iter()
                    .all(|one| one.dwServiceFlags1 & WinSock::XP1_IFS_HANDLES != 0)
        })
    })
}

type AcceptEx = unsafe extern "system" fn(
    WinSock::SOCKET,
    WinSock::SOCKET,
    *mut core::ffi::c_void,
    u32,
    u32,
    u32,
    *mut u32,
    *mut OVERLAPPED,
) -> windows_sys::core::BOOL;

type ConnectEx = unsafe extern "system" fn(
    WinSock::SOCKET,
    *const WinSock::SOCKADDR,
    i32,
    *const core::ffi::c_void,
    u32,
    *mut u32,
    *mut OVERLAPPED,
) -> windows_sys::core::BOOL;

/// The calls that are not in the library but in the provider.
struct Extensions {
    accept: AcceptEx,
    connect: ConnectEx,
}

fn extensions() -> io::Result<&'static Extensions> {
    static EXTENSIONS: OnceLock<Extensions> = OnceLock::new();
    if let Some(extensions) = EXTENSIONS.get() {
        return Ok(extensions);
    }
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    let accept = extension(socket.as_fd(), &WinSock::WSAID_ACCEPTEX)?;
    let connect = extension(socket.as_fd(), &WinSock::WSAID_CONNECTEX)?;
    // SAFETY: each address is that of the function which its name stands for.
    let fresh = unsafe {
        Extensions {
            accept: std::mem::transmute::<usize, AcceptEx>(accept),
            connect: std::mem::transmute::<usize, ConnectEx>(connect),
        }
    };
    Ok(EXTENSIONS.get_or_init(|| fresh))
}

/// The address of a function of the provider; never null.
fn extension(fd: BorrowedFd<'_>, name: &GUID) -> io::Result<usize> {
    let mut address = 0_usize;
    let mut written = 0;
    // SAFETY: the name is read and the address written, each of the size that
    // is given, before the call returns.
    let answer = unsafe {
        WinSock::WSAIoctl(
            number(fd),
            WinSock::SIO_GET_EXTENSION_FUNCTION_POINTER,
            ptr::from_ref(name).cast(),
            size_of::<GUID>() as u32,
            (&raw mut address).cast(),
            size_of::<usize>() as u32,
            &raw mut written,
            ptr::null_mut(),
            None,
        )
    };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    if address == 0 {
        return Err(io::ErrorKind::Unsupported.into());
    }
    Ok(address)
}
