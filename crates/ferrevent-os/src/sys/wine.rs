//! What Wine does otherwise than Windows, and how it is made up for.
//!
//! Its server looks at every socket that has news, and takes a pending error
//! with the look. While no receive stands (one is just being begun, or WSAPoll
//! looks on) nobody is told of that error, and the next receive sees an end as
//! if the peer had finished. The server remembers that there was one, though.

use std::sync::OnceLock;

use windows_sys::Win32::Networking::WinSock;
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleA, GetProcAddress};
use windows_sys::s;

use super::fd::{AsRawFd, BorrowedFd};
use super::own::polled;

/// Whether the end that was just received is a reset which Wine took. Windows
/// never loses one, and is not asked.
pub(crate) fn lost_a_reset(fd: BorrowedFd<'_>) -> bool {
    if !is_here() {
        return false;
    }
    let mut entry = polled(fd.as_raw_fd(), WinSock::POLLRDNORM);
    // SAFETY: one valid WSAPOLLFD for the whole call, which does not wait.
    let answer = unsafe { WinSock::WSAPoll(&raw mut entry, 1, 0) };
    answer > 0 && entry.revents & WinSock::POLLERR != 0
}

/// Whether this process runs under Wine: only its system library has the name.
fn is_here() -> bool {
    static HERE: OnceLock<bool> = OnceLock::new();
    *HERE.get_or_init(|| {
        // SAFETY: both names end with a zero, and that library is never unloaded.
        unsafe {
            let library = GetModuleHandleA(s!("ntdll.dll"));
            !library.is_null() && GetProcAddress(library, s!("wine_get_version")).is_some()
        }
    })
}
