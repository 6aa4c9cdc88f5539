//! Unix.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{FromRawFd, IntoRawFd};
use std::ptr::{self, NonNull};

use ferrevent_os::sys::fd::{OwnedFd, RawFd};
pub(crate) use libc::{
    AF_INET, AF_INET6, AF_UNSPEC, AI_ADDRCONFIG, AI_CANONNAME, AI_NUMERICHOST, AI_PASSIVE,
    EAI_AGAIN, EAI_FAIL, EAI_MEMORY, EAI_NODATA, EAI_NONAME, EAI_SERVICE, EAI_SYSTEM, ECONNREFUSED,
    ECONNRESET, IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP, IPV6_V6ONLY, SO_KEEPALIVE, SO_RCVBUF,
    SO_SNDBUF, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET, addrinfo, freeaddrinfo, getaddrinfo, in_addr,
    in6_addr, iovec, sockaddr, sockaddr_in, sockaddr_in6, sockaddr_storage, timeval,
};

/// `evutil_socket_t`: any descriptor.
pub(crate) type Socket = c_int;
/// That of C's `accept` and its kin.
pub(crate) type Length = libc::socklen_t;

pub(crate) fn raw(fd: Socket) -> RawFd {
    fd
}

/// Has somebody else own it, who gives it back.
///
/// # Safety
/// It is open, and nobody else closes it meanwhile.
pub(crate) unsafe fn lend(fd: Socket) -> OwnedFd {
    // SAFETY: the caller's promise.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

pub(crate) fn give_back(fd: OwnedFd) {
    let _ = fd.into_raw_fd();
}

/// Where an event of a signal has its number.
pub(crate) fn signal_of(fd: Socket) -> c_int {
    fd
}

pub(crate) fn last_error() -> c_int {
    // SAFETY: the place of this thread's.
    unsafe { *libc::__errno_location() }
}

pub(crate) fn set_last_error(error: c_int) {
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = error };
}

/// Whether a connect(2) that does not wait goes on.
pub(crate) fn is_connecting(error: c_int) -> bool {
    matches!(error, libc::EINPROGRESS | libc::EINTR)
}

/// Whether a socket that was connecting still is.
pub(crate) fn still_connects(error: c_int) -> bool {
    is_connecting(error) || error == libc::EAGAIN
}

/// Whether there was no connection to be taken.
pub(crate) fn took_none(error: c_int) -> bool {
    matches!(error, libc::EAGAIN | libc::EINTR | libc::ECONNABORTED)
}

/// Whether descriptors or memory ran out.
pub(crate) fn ran_out(error: c_int) -> bool {
    matches!(
        error,
        libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM
    )
}

/// Whether calls with it return at once; `None` for what is not open.
pub(crate) fn is_nonblocking(fd: Socket) -> Option<bool> {
    // SAFETY: reads the flags of whatever that number is.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    (flags >= 0).then_some(flags & libc::O_NONBLOCK != 0)
}

pub(crate) fn make_nonblocking(fd: Socket) -> io::Result<()> {
    add_flag(fd, libc::F_GETFL, libc::F_SETFL, libc::O_NONBLOCK)
}

pub(crate) fn close_on_exec(fd: Socket) -> io::Result<()> {
    add_flag(fd, libc::F_GETFD, libc::F_SETFD, libc::FD_CLOEXEC)
}

fn add_flag(fd: Socket, read: c_int, write: c_int, flag: c_int) -> io::Result<()> {
    // SAFETY: flags of whatever that number is.
    let outcome = unsafe {
        let flags = libc::fcntl(fd, read);
        if flags >= 0 && flags & flag == 0 {
            libc::fcntl(fd, write, flags | flag)
        } else {
            flags
        }
    };
    if outcome < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

pub(crate) fn close(fd: Socket) -> c_int {
    // SAFETY: the caller's descriptor, which it gives up.
    unsafe { libc::close(fd) }
}

/// A file of C's, which is a descriptor like others.
pub(crate) fn close_file(fd: c_int) {
    close(fd);
}

/// A socket that does not block, or -1.
pub(crate) fn socket(making: super::Making) -> Socket {
    let mut kind = making.kind | libc::SOCK_NONBLOCK;
    if making.close_on_exec {
        kind |= libc::SOCK_CLOEXEC;
    }
    // SAFETY: makes a socket.
    unsafe { libc::socket(making.family, kind, 0) }
}

/// # Safety
/// An address of that length.
pub(crate) unsafe fn connect(fd: Socket, address: *const sockaddr, length: Length) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { libc::connect(fd, address, length) }
}

/// # Safety
/// An address of that length.
pub(crate) unsafe fn bind(fd: Socket, address: *const sockaddr, length: Length) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { libc::bind(fd, address, length) }
}

pub(crate) fn listen(fd: Socket, backlog: c_int) -> c_int {
    // SAFETY: whatever that number is.
    unsafe { libc::listen(fd, backlog) }
}

/// Takes a connection, and says who it is with; -1 when there is none.
pub(crate) fn accept(
    fd: Socket,
    peer: &mut sockaddr_storage,
    length: &mut Length,
    blocks: bool,
    close_on_exec: bool,
) -> Socket {
    let mut flags = 0;
    if !blocks {
        flags |= libc::SOCK_NONBLOCK;
    }
    if close_on_exec {
        flags |= libc::SOCK_CLOEXEC;
    }
    // SAFETY: room for an address, and its length.
    unsafe { libc::accept4(fd, ptr::from_mut(peer).cast(), length, flags) }
}

pub(crate) fn set_option(fd: Socket, level: c_int, option: c_int, value: c_int) -> c_int {
    let place = (&raw const value).cast::<c_void>();
    // SAFETY: an int that lives through the call.
    unsafe { libc::setsockopt(fd, level, option, place, size_of::<c_int>() as u32) }
}

/// The error that a socket has come to.
pub(crate) fn error_of(fd: Socket) -> c_int {
    let mut error: c_int = 0;
    let mut length = size_of::<c_int>() as u32;
    let place = (&raw mut error).cast::<c_void>();
    // SAFETY: an int that lives through the call.
    let outcome =
        unsafe { libc::getsockopt(fd, SOL_SOCKET, libc::SO_ERROR, place, &raw mut length) };
    if outcome < 0 { last_error() } else { error }
}

/// Several sockets may listen on the address of one that was closed.
pub(crate) fn reuse_address(fd: Socket) -> c_int {
    set_option(fd, SOL_SOCKET, libc::SO_REUSEADDR, 1)
}

pub(crate) fn reuse_port(fd: Socket) -> c_int {
    set_option(fd, SOL_SOCKET, libc::SO_REUSEPORT, 1)
}

pub(crate) fn defer_accept(fd: Socket) -> c_int {
    set_option(fd, IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, 1)
}

pub(crate) fn pair(family: c_int, kind: c_int, protocol: c_int, to: &mut [Socket; 2]) -> c_int {
    // SAFETY: room for two descriptors.
    unsafe { libc::socketpair(family, kind, protocol, to.as_mut_ptr()) }
}

/// What is watched and never ready.
pub(crate) fn never_ready() -> Socket {
    // SAFETY: makes a descriptor: an eventfd that nobody writes to.
    unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) }
}

/// Reads once: so many bytes, or -1.
pub(crate) fn read(fd: Socket, room: &mut [u8]) -> isize {
    // SAFETY: there is so much room.
    unsafe { libc::read(fd, room.as_mut_ptr().cast(), room.len()) }
}

/// Writes once: so many bytes, or -1.
pub(crate) fn write(fd: Socket, bytes: &[u8]) -> isize {
    // SAFETY: so many bytes that stay through the call.
    unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) }
}

/// # Safety
/// The vectors tell of bytes that stay through the call.
pub(crate) unsafe fn write_vectors(fd: Socket, vectors: &[iovec]) -> isize {
    // SAFETY: the caller's promise.
    unsafe { libc::writev(fd, vectors.as_ptr(), vectors.len() as c_int) }
}

/// How many bytes wait to be read, if that can be said.
pub(crate) fn waiting(fd: Socket) -> Option<usize> {
    let mut waiting: c_int = 0;
    // SAFETY: an int that lives through the call.
    let known = unsafe { libc::ioctl(fd, libc::FIONREAD, &raw mut waiting) } >= 0;
    usize::try_from(waiting).ok().filter(|_| known)
}

/// Receives once from a socket: so many bytes, or -1.
pub(crate) fn receive(fd: Socket, room: &mut [u8]) -> isize {
    // SAFETY: there is so much room.
    unsafe { libc::recv(fd, room.as_mut_ptr().cast(), room.len(), 0) }
}

/// Sends once, without a signal when the peer has gone.
pub(crate) fn send(fd: Socket, bytes: &[u8]) -> isize {
    let from = bytes.as_ptr().cast::<c_void>();
    // SAFETY: bytes that live through the call.
    unsafe { libc::send(fd, from, bytes.len(), libc::MSG_NOSIGNAL) }
}

/// Receives a datagram, and says who has sent it.
pub(crate) fn receive_from(
    fd: Socket,
    room: &mut [u8],
    from: &mut sockaddr_storage,
    length: &mut Length,
) -> isize {
    let to = room.as_mut_ptr().cast::<c_void>();
    // SAFETY: room for bytes and an address, and their lengths.
    unsafe { libc::recvfrom(fd, to, room.len(), 0, ptr::from_mut(from).cast(), length) }
}

/// # Safety
/// An address of that length.
pub(crate) unsafe fn send_to(
    fd: Socket,
    bytes: &[u8],
    to: *const sockaddr,
    length: Length,
) -> isize {
    // SAFETY: bytes and an address that live through the call.
    unsafe { libc::sendto(fd, bytes.as_ptr().cast(), bytes.len(), 0, to, length) }
}

unsafe extern "C" {
    fn inet_ntop(family: c_int, from: *const c_void, to: *mut c_char, room: u32) -> *const c_char;
    fn inet_pton(family: c_int, from: *const c_char, to: *mut c_void) -> c_int;
    fn secure_getenv(name: *const c_char) -> *mut c_char;
}

/// # Safety
/// An address of that family, and so much room.
pub(crate) unsafe fn write_address(
    family: c_int,
    from: *const c_void,
    to: *mut c_char,
    room: usize,
) -> *const c_char {
    let room = u32::try_from(room).unwrap_or(u32::MAX);
    // SAFETY: the caller's promise.
    unsafe { inet_ntop(family, from, to, room) }
}

/// # Safety
/// A string, and room for an address of that family.
pub(crate) unsafe fn read_address(family: c_int, from: *const c_char, to: *mut c_void) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { inet_pton(family, from, to) }
}

pub(crate) fn ipv4(address: [u8; 4]) -> in_addr {
    in_addr {
        s_addr: u32::from_ne_bytes(address),
    }
}

/// The number of an interface by its name; 0 for none.
pub(crate) fn interface(name: &CStr) -> u32 {
    // SAFETY: a string.
    unsafe { libc::if_nametoindex(name.as_ptr()) }
}

/// The length of the address of an entry.
pub(crate) fn length_of(entry: &addrinfo) -> Length {
    entry.ai_addrlen
}

/// The same, as an entry has it.
pub(crate) fn info_length(length: Length) -> Length {
    length
}

pub(crate) fn lookup_error(error: c_int) -> *const c_char {
    // SAFETY: answers every number with a string that stays.
    unsafe { libc::gai_strerror(error) }
}

/// A variable of the environment, which a program with another's rights does
/// not heed.
pub(crate) fn environment(name: &CStr) -> Option<CString> {
    // SAFETY: a string that outlives the call; the answer is copied before
    // anything can change the environment on this thread.
    unsafe {
        let value = NonNull::new(secure_getenv(name.as_ptr()))?;
        Some(CStr::from_ptr(value.as_ptr()).to_owned())
    }
}

/// Microseconds of the monotonic clock.
pub(crate) fn monotonic() -> u64 {
    clock(libc::CLOCK_MONOTONIC)
}

/// Microseconds since 1970.
pub(crate) fn real() -> u64 {
    clock(libc::CLOCK_REALTIME)
}

fn clock(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` lives through the call, which fills it in; these clocks
    // are there on every Linux.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    let micros = time.tv_sec * 1_000_000 + time.tv_nsec / 1000;
    u64::try_from(micros).unwrap_or(0)
}

/// Seconds and microseconds of a `struct timeval`.
pub(crate) fn parts_of(time: timeval) -> (i64, i64) {
    (time.tv_sec, time.tv_usec)
}

pub(crate) fn timeval_of(seconds: i64, micros: i64) -> timeval {
    timeval {
        tv_sec: seconds,
        tv_usec: micros,
    }
}

/// The date of now.
pub(crate) fn date() -> libc::tm {
    // SAFETY: all zeros is a valid `tm`, which lives through the calls.
    unsafe {
        let mut now: libc::tm = std::mem::zeroed();
        let seconds = libc::time(ptr::null_mut());
        libc::gmtime_r(&raw const seconds, &raw mut now);
        now
    }
}

/// Fills it with random bytes, or some of it: how many.
pub(crate) fn random(bytes: &mut [u8]) -> io::Result<usize> {
    // SAFETY: so much room.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    usize::try_from(got).map_err(|_| io::Error::last_os_error())
}

/// A part of a file, mapped into memory. The mapping begins at a page, which
/// is before the part.
pub(crate) struct FilePart {
    place: *mut c_void,
    mapped: usize,
    start: usize,
    length: usize,
}

// SAFETY: a mapping that is only read.
unsafe impl Send for FilePart {}
// SAFETY: as above.
unsafe impl Sync for FilePart {}

impl FilePart {
    pub(crate) fn new(fd: c_int, offset: usize, length: usize) -> Option<Self> {
        // SAFETY: asks for a number.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()?;
        let start = offset % page;
        let mapped = length + start;
        let place = if length == 0 {
            ptr::null_mut()
        } else {
            let from = i64::try_from(offset - start).ok()?;
            // SAFETY: a mapping of its own, wherever there is room.
            let place = unsafe {
                libc::mmap(
                    ptr::null_mut(),
                    mapped,
                    libc::PROT_READ,
                    libc::MAP_PRIVATE,
                    fd,
                    from,
                )
            };
            if place == libc::MAP_FAILED {
                return None;
            }
            place
        };
        Some(Self {
            place,
            mapped,
            start,
            length,
        })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        if self.place.is_null() {
            return &[];
        }
        // SAFETY: the mapping stays as long as this does.
        unsafe { std::slice::from_raw_parts(self.place.cast::<u8>().add(self.start), self.length) }
    }
}

impl Drop for FilePart {
    fn drop(&mut self) {
        if !self.place.is_null() {
            // SAFETY: the mapping that was made, and nobody reads it any more.
            unsafe { libc::munmap(self.place, self.mapped) };
        }
    }
}

pub(crate) fn size_of_file(fd: c_int) -> Option<i64> {
    // SAFETY: all zeros is a valid `stat`, and it lives through the call.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        (libc::fstat(fd, &raw mut stat) == 0).then_some(stat.st_size)
    }
}

/// Where the system's hosts are listed.
pub(crate) fn hosts() -> CString {
    c"/etc/hosts".to_owned()
}
