//! Which backends there are, and their names.

use std::fmt;
use std::str::FromStr;

/// The backends there are on this system.
///
/// ```
/// use ferrevent_os::BackendKind;
///
/// let kind: BackendKind = "poll".parse()?;
/// assert_eq!(kind, BackendKind::Poll);
/// assert!("kqueue9".parse::<BackendKind>().unwrap_err().to_string().contains("poll"));
/// # Ok::<(), ferrevent_os::UnknownBackend>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BackendKind {
    /// epoll(7), Linux.
    #[cfg(target_os = "linux")]
    Epoll,
    /// I/O completion ports, Windows.
    #[cfg(windows)]
    Iocp,
    /// io_uring(7), Linux 5.13 and newer. Before 6.17 a burst may bring a
    /// stream some hundred KiB more than its high mark, since a receive that
    /// goes on cannot be capped there.
    #[cfg(target_os = "linux")]
    Uring,
    /// poll(2), everywhere.
    Poll,
    /// A completion kernel played over poll(2), with this seed: for tests.
    Simulated(u64),
}

impl BackendKind {
    /// Every backend of this system, the best first; the simulated one with
    /// the seed 1.
    ///
    /// ```
    /// use ferrevent_os::BackendKind;
    /// assert_eq!(BackendKind::ALL[0], BackendKind::default());
    /// ```
    pub const ALL: &[Self] = &[
        #[cfg(target_os = "linux")]
        Self::Uring,
        #[cfg(target_os = "linux")]
        Self::Epoll,
        #[cfg(windows)]
        Self::Iocp,
        Self::Poll,
        Self::Simulated(1),
    ];

    /// The best backend of this system for several threads: a ring that they
    /// share costs more than it saves, so on Linux it is epoll.
    ///
    /// ```
    /// use ferrevent_os::BackendKind;
    /// println!("a pool runs on {}", BackendKind::default_shared());
    /// ```
    pub fn default_shared() -> Self {
        #[cfg(target_os = "linux")]
        return Self::Epoll;
        #[cfg(not(target_os = "linux"))]
        Self::default()
    }
}

impl Default for BackendKind {
    /// The best backend of this system for one thread.
    fn default() -> Self {
        Self::ALL[0]
    }
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(target_os = "linux")]
            Self::Epoll => f.write_str("epoll"),
            #[cfg(windows)]
            Self::Iocp => f.write_str("iocp"),
            #[cfg(target_os = "linux")]
            Self::Uring => f.write_str("uring"),
            Self::Poll => f.write_str("poll"),
            Self::Simulated(1) => f.write_str("simulated"),
            Self::Simulated(seed) => write!(f, "simulated:{seed}"),
        }
    }
}

impl FromStr for BackendKind {
    type Err = UnknownBackend;

    fn from_str(name: &str) -> Result<Self, UnknownBackend> {
        let seed = name.strip_prefix("simulated:");
        if let Some(seed) = seed.and_then(|seed| seed.parse().ok()) {
            return Ok(Self::Simulated(seed));
        }
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.to_string() == name)
            .ok_or_else(|| UnknownBackend(name.to_owned()))
    }
}

/// A name that is no backend of this system.
///
/// ```
/// let error = "iocp9".parse::<ferrevent_os::BackendKind>().unwrap_err();
/// println!("{error}");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownBackend(String);

impl fmt::Display for UnknownBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no backend is called \"{}\" here; there are", self.0)?;
        for (index, kind) in BackendKind::ALL.iter().enumerate() {
            write!(f, "{} {kind}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownBackend {}
