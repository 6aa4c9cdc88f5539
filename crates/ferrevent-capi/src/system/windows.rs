//! Windows: only sockets can be waited for, and their errors are Winsock's.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io;
use std::os::windows::io::{FromRawSocket, IntoRawSocket};
use std::ptr;
use std::sync::LazyLock;

use ferrevent_os::sys::fd::{OwnedFd, RawFd};
use windows_sys::Win32::Foundation;
use windows_sys::Win32::Networking::WinSock;

pub(crate) use super::windows_names::{
    addrinfo, in_addr, in6_addr, iovec, sockaddr, sockaddr_in, sockaddr_in6, sockaddr_storage,
    timeval,
};
pub(crate) use WinSock::{
    IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP, IPV6_V6ONLY, SO_KEEPALIVE, SO_RCVBUF, SO_SNDBUF,
    SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET, WSAECONNREFUSED as ECONNREFUSED,
    WSAECONNRESET as ECONNRESET,
};

pub(crate) const AF_UNSPEC: c_int = WinSock::AF_UNSPEC as c_int;
pub(crate) const AF_INET: c_int = WinSock::AF_INET as c_int;
pub(crate) const AF_INET6: c_int = WinSock::AF_INET6 as c_int;
pub(crate) const AI_ADDRCONFIG: c_int = WinSock::AI_ADDRCONFIG as c_int;
pub(crate) const AI_CANONNAME: c_int = WinSock::AI_CANONNAME as c_int;
pub(crate) const AI_NUMERICHOST: c_int = WinSock::AI_NUMERICHOST as c_int;
pub(crate) const AI_PASSIVE: c_int = WinSock::AI_PASSIVE as c_int;
pub(crate) const EAI_AGAIN: c_int = WinSock::WSATRY_AGAIN;
pub(crate) const EAI_FAIL: c_int = WinSock::WSANO_RECOVERY;
pub(crate) const EAI_MEMORY: c_int = WinSock::WSA_NOT_ENOUGH_MEMORY;
pub(crate) const EAI_NODATA: c_int = WinSock::WSANO_DATA;
pub(crate) const EAI_NONAME: c_int = WinSock::WSAHOST_NOT_FOUND;
pub(crate) const EAI_SERVICE: c_int = WinSock::WSATYPE_NOT_FOUND;
/// There is none; libevent's headers have this number for it.
pub(crate) const EAI_SYSTEM: c_int = -911;

/// `evutil_socket_t`, an `intptr_t`.
pub(crate) type Socket = isize;
/// That of C's `accept` and its kin.
pub(crate) type Length = c_int;

fn own(fd: Socket) -> WinSock::SOCKET {
    fd.cast_unsigned()
}

pub(crate) fn raw(fd: Socket) -> RawFd {
    fd.cast_unsigned() as RawFd
}

fn of_raw(fd: RawFd) -> Socket {
    (fd as usize).cast_signed()
}

/// Has somebody else own it, who gives it back.
///
/// # Safety
/// It is open, and nobody else closes it meanwhile.
pub(crate) unsafe fn lend(fd: Socket) -> OwnedFd {
    // SAFETY: the caller's promise.
    unsafe { OwnedFd::from_raw_socket(raw(fd)) }
}

pub(crate) fn give_back(fd: OwnedFd) {
    let _ = fd.into_raw_socket();
}

/// Where an event of a signal has its number.
pub(crate) fn signal_of(fd: Socket) -> c_int {
    c_int::try_from(fd).unwrap_or(-1)
}

pub(crate) fn last_error() -> c_int {
    // SAFETY: always may be called.
    unsafe { WinSock::WSAGetLastError() }
}

pub(crate) fn set_last_error(error: c_int) {
    // SAFETY: always may be called.
    unsafe { WinSock::WSASetLastError(error) };
}

/// Whether a connect that does not wait goes on.
pub(crate) fn is_connecting(error: c_int) -> bool {
    matches!(
        error,
        WinSock::WSAEWOULDBLOCK
            | WinSock::WSAEINPROGRESS
            | WinSock::WSAEINTR
            | WinSock::WSAEALREADY
            | WinSock::WSAEINVAL
    )
}

/// Whether a socket that was connecting still is.
pub(crate) fn still_connects(error: c_int) -> bool {
    is_connecting(error)
}

/// Whether there was no connection to be taken.
pub(crate) fn took_none(error: c_int) -> bool {
    matches!(
        error,
        WinSock::WSAEWOULDBLOCK
            | WinSock::WSAEINTR
            | WinSock::WSAECONNABORTED
            | WinSock::WSAECONNRESET
    )
}

/// Whether sockets or memory ran out.
pub(crate) fn ran_out(error: c_int) -> bool {
    matches!(
        error,
        WinSock::WSAEMFILE | WinSock::WSAENOBUFS | WinSock::WSA_NOT_ENOUGH_MEMORY
    )
}

/// There is no telling.
pub(crate) fn is_nonblocking(_: Socket) -> Option<bool> {
    None
}

pub(crate) fn make_nonblocking(fd: Socket) -> io::Result<()> {
    set_nonblocking(fd, true)
}

fn set_nonblocking(fd: Socket, on: bool) -> io::Result<()> {
    let mut on = u32::from(on);
    // SAFETY: `on` lives through the call; a number that is no socket is an
    // error, no harm.
    if unsafe { WinSock::ioctlsocket(own(fd), WinSock::FIONBIO, &raw mut on) } == 0 {
        return Ok(());
    }
    Err(super::last())
}

/// Whatever it is, programs that are started do not get it.
pub(crate) fn close_on_exec(fd: Socket) -> io::Result<()> {
    let handle = fd as Foundation::HANDLE;
    // SAFETY: flags of whatever that number is. Some sockets are no handles of
    // the system's: then it is as it was.
    unsafe { Foundation::SetHandleInformation(handle, Foundation::HANDLE_FLAG_INHERIT, 0) };
    Ok(())
}

pub(crate) fn close(fd: Socket) -> c_int {
    // SAFETY: the caller's socket, which it gives up.
    unsafe { WinSock::closesocket(own(fd)) }
}

/// A file of C's, which is no socket.
pub(crate) fn close_file(fd: c_int) {
    // SAFETY: the caller's file, which it gives up.
    unsafe { libc::close(fd) };
}

/// A socket that does not block, or -1.
pub(crate) fn socket(making: super::Making) -> Socket {
    LazyLock::force(&STARTED);
    // SAFETY: makes a socket.
    let made = unsafe { WinSock::socket(making.family, making.kind, 0) };
    if made == WinSock::INVALID_SOCKET {
        return -1;
    }
    let fd = made.cast_signed();
    if make_nonblocking(fd).is_err() {
        close(fd);
        return -1;
    }
    if making.close_on_exec {
        let _ = close_on_exec(fd);
    }
    fd
}

/// Winsock, whether the program has begun with it or not.
pub(super) static STARTED: LazyLock<()> = LazyLock::new(|| {
    let mut data = WinSock::WSADATA::default();
    // SAFETY: `data` lives through the call.
    unsafe { WinSock::WSAStartup(0x0202, &raw mut data) };
});

/// # Safety
/// An address of that length.
pub(crate) unsafe fn connect(fd: Socket, address: *const sockaddr, length: Length) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { WinSock::connect(own(fd), address.cast(), length) }
}

/// # Safety
/// An address of that length.
pub(crate) unsafe fn bind(fd: Socket, address: *const sockaddr, length: Length) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { WinSock::bind(own(fd), address.cast(), length) }
}

pub(crate) fn listen(fd: Socket, backlog: c_int) -> c_int {
    // SAFETY: whatever that number is.
    unsafe { WinSock::listen(own(fd), backlog) }
}

/// Takes a connection, and says who it is with; -1 when there is none.
pub(crate) fn accept(
    fd: Socket,
    peer: &mut sockaddr_storage,
    length: &mut Length,
    blocks: bool,
    close_it_on_exec: bool,
) -> Socket {
    // SAFETY: room for an address, and its length.
    let made = unsafe { WinSock::accept(own(fd), ptr::from_mut(peer).cast(), length) };
    if made == WinSock::INVALID_SOCKET {
        return -1;
    }
    let made = made.cast_signed();
    // It has what the listening one has.
    let _ = set_nonblocking(made, !blocks);
    if close_it_on_exec {
        let _ = close_on_exec(made);
    }
    made
}

pub(crate) fn set_option(fd: Socket, level: c_int, option: c_int, value: c_int) -> c_int {
    let place = (&raw const value).cast();
    // SAFETY: an int that lives through the call.
    unsafe { WinSock::setsockopt(own(fd), level, option, place, size_of::<c_int>() as c_int) }
}

/// The error that a socket has come to.
pub(crate) fn error_of(fd: Socket) -> c_int {
    let mut error: c_int = 0;
    let mut length = size_of::<c_int>() as c_int;
    let place = (&raw mut error).cast();
    // SAFETY: an int that lives through the call.
    let outcome = unsafe {
        WinSock::getsockopt(
            own(fd),
            SOL_SOCKET,
            WinSock::SO_ERROR,
            place,
            &raw mut length,
        )
    };
    if outcome < 0 { last_error() } else { error }
}

/// An address that was closed is free at once; the option of that name would
/// let anybody take one that is in use.
pub(crate) fn reuse_address(_: Socket) -> c_int {
    0
}

/// There is no such option.
pub(crate) fn reuse_port(_: Socket) -> c_int {
    0
}

/// There is no such option.
pub(crate) fn defer_accept(_: Socket) -> c_int {
    0
}

/// Two sockets connected over loopback, whatever the family.
pub(crate) fn pair(_: c_int, kind: c_int, _: c_int, to: &mut [Socket; 2]) -> c_int {
    if kind != SOCK_STREAM {
        set_last_error(WinSock::WSAESOCKTNOSUPPORT);
        return -1;
    }
    match ferrevent_os::socket::pair() {
        Ok((one, other)) => {
            *to = [one, other].map(|it| of_raw(it.into_raw_socket()));
            for fd in to {
                let _ = set_nonblocking(*fd, false);
            }
            0
        }
        Err(error) => {
            set_last_error(error.raw_os_error().unwrap_or(WinSock::WSAENOBUFS));
            -1
        }
    }
}

/// What is watched and never ready: nobody knows where to send to.
pub(crate) fn never_ready() -> Socket {
    socket(super::Making {
        family: AF_INET,
        kind: SOCK_DGRAM,
        close_on_exec: true,
    })
}

fn int(length: usize) -> c_int {
    c_int::try_from(length).unwrap_or(c_int::MAX)
}

/// Reads once: so many bytes, or -1.
pub(crate) fn read(fd: Socket, room: &mut [u8]) -> isize {
    receive(fd, room)
}

/// Writes once: so many bytes, or -1.
pub(crate) fn write(fd: Socket, bytes: &[u8]) -> isize {
    send(fd, bytes)
}

/// # Safety
/// The vectors tell of bytes that stay through the call.
pub(crate) unsafe fn write_vectors(fd: Socket, vectors: &[iovec]) -> isize {
    let buffers: Vec<WinSock::WSABUF> = vectors
        .iter()
        .map(|it| WinSock::WSABUF {
            len: u32::try_from(it.iov_len).unwrap_or(u32::MAX),
            buf: it.iov_base.cast(),
        })
        .collect();
    let mut sent = 0;
    // SAFETY: the caller's promise; without an OVERLAPPED the call is over
    // when it returns.
    let answer = unsafe {
        WinSock::WSASend(
            own(fd),
            buffers.as_ptr(),
            buffers.len() as u32,
            &raw mut sent,
            0,
            ptr::null_mut(),
            None,
        )
    };
    if answer == 0 { sent as isize } else { -1 }
}

/// How many bytes wait to be read, if that can be said.
pub(crate) fn waiting(fd: Socket) -> Option<usize> {
    let mut waiting: u32 = 0;
    // SAFETY: a number that lives through the call.
    let known = unsafe { WinSock::ioctlsocket(own(fd), WinSock::FIONREAD, &raw mut waiting) } == 0;
    known.then_some(waiting as usize)
}

/// Receives once from a socket: so many bytes, or -1.
pub(crate) fn receive(fd: Socket, room: &mut [u8]) -> isize {
    // SAFETY: there is so much room.
    unsafe { WinSock::recv(own(fd), room.as_mut_ptr(), int(room.len()), 0) as isize }
}

/// Sends once.
pub(crate) fn send(fd: Socket, bytes: &[u8]) -> isize {
    // SAFETY: bytes that live through the call.
    unsafe { WinSock::send(own(fd), bytes.as_ptr(), int(bytes.len()), 0) as isize }
}

/// Receives a datagram, and says who has sent it.
pub(crate) fn receive_from(
    fd: Socket,
    room: &mut [u8],
    from: &mut sockaddr_storage,
    length: &mut Length,
) -> isize {
    let (to, most) = (room.as_mut_ptr(), int(room.len()));
    // SAFETY: room for bytes and an address, and their lengths.
    unsafe { WinSock::recvfrom(own(fd), to, most, 0, ptr::from_mut(from).cast(), length) as isize }
}

/// # Safety
/// An address of that length.
pub(crate) unsafe fn send_to(
    fd: Socket,
    bytes: &[u8],
    to: *const sockaddr,
    length: Length,
) -> isize {
    let (from, most) = (bytes.as_ptr(), int(bytes.len()));
    // SAFETY: bytes and an address that live through the call.
    unsafe { WinSock::sendto(own(fd), from, most, 0, to.cast(), length) as isize }
}

/// # Safety
/// An address of that family, and so much room.
pub(crate) unsafe fn write_address(
    family: c_int,
    from: *const c_void,
    to: *mut c_char,
    room: usize,
) -> *const c_char {
    // SAFETY: the caller's promise.
    unsafe { WinSock::inet_ntop(family, from, to.cast(), room).cast() }
}

/// # Safety
/// A string, and room for an address of that family.
pub(crate) unsafe fn read_address(family: c_int, from: *const c_char, to: *mut c_void) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { WinSock::inet_pton(family, from.cast(), to) }
}

pub(crate) fn ipv4(address: [u8; 4]) -> in_addr {
    in_addr {
        s_addr: u32::from_ne_bytes(address),
    }
}

/// Scopes are numbers here.
pub(crate) fn interface(_: &CStr) -> u32 {
    0
}
