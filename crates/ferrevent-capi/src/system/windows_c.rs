//! What C has besides sockets, as Windows has it: time, files, the environment.

use std::ffi::{CStr, CString, c_int};
use std::io;
use std::ptr::{self, NonNull};
use std::sync::LazyLock;
use std::time::{Instant, SystemTime};

use super::windows_names::timeval;

/// A variable of the environment.
pub(crate) fn environment(name: &CStr) -> Option<CString> {
    // SAFETY: a string that outlives the call; the answer is copied before
    // anything can change the environment on this thread.
    unsafe {
        let value = NonNull::new(libc::getenv(name.as_ptr()))?;
        Some(CStr::from_ptr(value.as_ptr()).to_owned())
    }
}

/// Microseconds of the monotonic clock, which begins when it is first asked.
pub(crate) fn monotonic() -> u64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    /// A time is never 0.
    const FIRST: u64 = 1_000_000;
    let since = u64::try_from(BEGAN.elapsed().as_micros()).unwrap_or(u64::MAX);
    since.saturating_add(FIRST)
}

/// Microseconds since 1970.
pub(crate) fn real() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}

/// Seconds and microseconds of a `struct timeval`.
pub(crate) fn parts_of(time: timeval) -> (i64, i64) {
    (time.tv_sec.into(), time.tv_usec.into())
}

/// No later than can be said.
pub(crate) fn timeval_of(seconds: i64, micros: i64) -> timeval {
    timeval {
        tv_sec: i32::try_from(seconds).unwrap_or(i32::MAX),
        tv_usec: i32::try_from(micros).unwrap_or(0),
    }
}

/// The date of now.
pub(crate) fn date() -> libc::tm {
    // SAFETY: all zeros is a valid `tm`, which lives through the calls.
    unsafe {
        let mut now: libc::tm = std::mem::zeroed();
        let seconds = libc::time(ptr::null_mut());
        libc::gmtime_s(&raw mut now, &raw const seconds);
        now
    }
}

/// Fills it with random bytes: how many.
pub(crate) fn random(bytes: &mut [u8]) -> io::Result<usize> {
    getrandom::fill(bytes).map_err(io::Error::other)?;
    Ok(bytes.len())
}

/// A part of a file, read into memory.
pub(crate) struct FilePart(Vec<u8>);

impl FilePart {
    pub(crate) fn new(fd: c_int, offset: usize, length: usize) -> Option<Self> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).ok()?;
        bytes.resize(length, 0);
        let at = i64::try_from(offset).ok()?;
        let mut filled = 0;
        // SAFETY: a file of the program's, and the room that is left.
        unsafe {
            let before = libc::lseek64(fd, 0, libc::SEEK_CUR);
            if before < 0 || libc::lseek64(fd, at, libc::SEEK_SET) != at {
                return None;
            }
            while filled < length {
                let left = &mut bytes[filled..];
                let most = u32::try_from(left.len().min(1 << 30)).ok()?;
                let got = libc::read(fd, left.as_mut_ptr().cast(), most);
                match usize::try_from(got) {
                    Ok(0) | Err(_) => break,
                    Ok(got) => filled += got,
                }
            }
            libc::lseek64(fd, before, libc::SEEK_SET);
        }
        (filled == length).then_some(Self(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

pub(crate) fn size_of_file(fd: c_int) -> Option<i64> {
    // SAFETY: a file of the program's; it stands where it did.
    unsafe {
        let before = libc::lseek64(fd, 0, libc::SEEK_CUR);
        let end = libc::lseek64(fd, 0, libc::SEEK_END);
        libc::lseek64(fd, before, libc::SEEK_SET);
        (before >= 0 && end >= 0).then_some(end)
    }
}
