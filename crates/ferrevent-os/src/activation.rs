//! Sockets that a service manager opened and passed to this process, by
//! systemd's protocol: `sd_listen_fds(3)`.

use std::io;

use socket2::SockRef;

use crate::socket;
use crate::sys::fd::OwnedFd;

/// A descriptor that was passed.
///
/// ```
/// for passed in ferrevent_os::activation::take()? {
///     println!("{}: {}", passed.name, passed.address());
/// }
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Passed {
    /// `FileDescriptorName=` of the socket unit, which is the unit's name
    /// unless it says another; `unknown` when none was passed.
    pub name: String,
    /// The descriptor, close-on-exec.
    pub fd: OwnedFd,
}

impl Passed {
    /// Where it is bound, as a user writes it; in words if it is no socket.
    ///
    /// ```
    /// # use ferrevent_os::activation::Passed;
    /// let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let address = socket.local_addr()?;
    /// let passed = Passed { name: "web".into(), fd: socket.into() };
    /// assert_eq!(passed.address(), address.to_string());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn address(&self) -> String {
        match SockRef::from(&self.fd).local_addr() {
            Ok(address) => socket::describe(&address),
            Err(_) => "no socket".into(),
        }
    }
}

/// Takes what was passed to this process (`LISTEN_PID`), in order. They are
/// given out once; later calls, and processes to which nothing was passed, get
/// nothing.
///
/// # Errors
/// `InvalidInput` when the variables contradict each other, and those of
/// fcntl(2) when a descriptor they speak of is not open.
///
/// ```
/// // Nobody passed anything to this example.
/// assert!(ferrevent_os::activation::take()?.is_empty());
/// # std::io::Result::Ok(())
/// ```
#[cfg(unix)]
pub fn take() -> io::Result<Vec<Passed>> {
    use std::os::fd::FromRawFd;
    use std::sync::atomic::{AtomicBool, Ordering};

    static TAKEN: AtomicBool = AtomicBool::new(false);
    let passed = sd_notify::listen_fds_with_names()?;
    if TAKEN.swap(true, Ordering::AcqRel) {
        return Ok(Vec::new());
    }
    Ok(passed
        .map(|(raw, name)| Passed {
            name,
            // SAFETY: it is open, because its close-on-exec flag was just set.
            // The service manager made it for this process and says so by
            // LISTEN_PID; nothing else here owns it, and the flag above sees
            // to it that it is given out once.
            fd: unsafe { OwnedFd::from_raw_fd(raw) },
        })
        .collect())
}

/// Nobody passes sockets in this way here.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn take() -> io::Result<Vec<Passed>> {
    Ok(Vec::new())
}
