//! How many descriptors a process may have.

use std::io;

/// Lets this process open as many descriptors as the system allows it: raises
/// the soft limit to the hard one (getrlimit(2), `RLIMIT_NOFILE`). Returns how
/// many that is.
///
/// The default of 1024 is a courtesy to select(2), which nothing here uses.
///
/// # Errors
/// Those of getrlimit(2) and setrlimit(2).
///
/// ```
/// let descriptors = ferrevent_os::sys::raise_descriptor_limit()?;
/// assert!(descriptors > 0);
/// # std::io::Result::Ok(())
/// ```
#[cfg(unix)]
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` lives through the call, which fills it in.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } < 0 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: `limit` lives through the call, which reads it.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(limit.rlim_cur)
}

/// Windows has no such limit.
///
/// # Errors
/// None.
///
/// ```
/// let descriptors = ferrevent_os::sys::raise_descriptor_limit()?;
/// assert!(descriptors > 0);
/// # std::io::Result::Ok(())
/// ```
#[cfg(windows)]
pub fn raise_descriptor_limit() -> io::Result<u64> {
    Ok(u64::MAX)
}
