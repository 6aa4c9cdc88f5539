//! `struct event_config`, the environment, and which backend comes of them.

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr::NonNull;

use ferrevent::BackendKind;

use super::base::Limits;
use crate::system::timeval;
use crate::{memory, system, time};

/// `struct event_config`.
#[derive(Debug, Default)]
pub(crate) struct Config {
    avoided: Vec<CString>,
    required: c_int,
    flags: c_int,
    interval: Option<u64>,
    /// The most callbacks of a turn, and from which priority on.
    callbacks: Option<usize>,
    from_priority: usize,
}

const NO_LOCK: c_int = 0x01;
const IGNORE_ENVIRONMENT: c_int = 0x02;
const STARTUP_IOCP: c_int = 0x04;
const NO_CACHE_TIME: c_int = 0x08;

/// What a backend can do (`EV_FEATURE_*`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Features(pub(super) c_int);

impl Features {
    const EDGE: c_int = 0x01;
    /// As fast with many descriptors as with few.
    const CONSTANT: c_int = 0x02;
    /// Files that epoll(7) refuses.
    const FILES: c_int = 0x04;
    const EARLY_CLOSE: c_int = 0x08;

    pub(super) fn of(kind: BackendKind) -> Self {
        Self(match kind {
            #[cfg(target_os = "linux")]
            BackendKind::Epoll | BackendKind::Uring => {
                Self::EDGE | Self::CONSTANT | Self::EARLY_CLOSE
            }
            #[cfg(windows)]
            BackendKind::Iocp => Self::CONSTANT | Self::EARLY_CLOSE,
            // There are no files but sockets.
            _ if cfg!(windows) => 0,
            _ => Self::FILES | Self::EARLY_CLOSE,
        })
    }

    pub(super) fn have_edges(self) -> bool {
        self.0 & Self::EDGE != 0
    }
}

/// The backends in the order of preference; io_uring only when asked for.
#[cfg(target_os = "linux")]
pub(super) const KINDS: [BackendKind; 2] = [BackendKind::Epoll, BackendKind::Poll];
#[cfg(windows)]
pub(super) const KINDS: [BackendKind; 2] = [BackendKind::Iocp, BackendKind::Poll];

/// Whether a backend's kernel completes operations by itself.
fn completes(kind: BackendKind) -> bool {
    match kind {
        #[cfg(target_os = "linux")]
        BackendKind::Epoll => false,
        BackendKind::Poll => false,
        _ => true,
    }
}

impl Config {
    /// The first backend that is neither avoided nor lacks what is required.
    pub(super) fn choose(&self) -> Option<BackendKind> {
        let usable = |kind: &BackendKind| {
            let name = kind.to_string();
            let avoided = self
                .avoided
                .iter()
                .any(|it| it.as_bytes() == name.as_bytes());
            let forbidden = self.environment(&format!("EVENT_NO{}", name.to_uppercase()));
            let lacking = self.required & !Features::of(*kind).0;
            // There, the flag asks for the one mechanism.
            let unlike = cfg!(windows) && self.flags & STARTUP_IOCP != 0 && !completes(*kind);
            !avoided && forbidden.is_none() && lacking == 0 && !unlike
        };
        let asked = self.environment("FERREVENT_BACKEND");
        let asked = asked.and_then(|name| name.to_str().ok()?.parse().ok());
        asked.into_iter().chain(KINDS).find(usable)
    }

    /// Whether bufferevents hand their bytes to the kernel, which tells when they
    /// have moved.
    pub(super) fn moves_bytes(&self, kind: BackendKind) -> bool {
        let asked = self.flags & STARTUP_IOCP != 0;
        completes(kind) && (asked || self.environment("FERREVENT_COMPLETIONS").is_some())
    }

    pub(super) fn shows_method(&self) -> bool {
        self.environment("EVENT_SHOW_METHOD").is_some()
    }

    pub(super) fn wants_lock(&self) -> bool {
        self.flags & NO_LOCK == 0
    }

    pub(super) fn caches_time(&self) -> bool {
        self.flags & NO_CACHE_TIME == 0
    }

    pub(super) fn limits(&self) -> Limits {
        let limited = self.interval.is_some() || self.callbacks.is_some();
        Limits {
            time: self.interval,
            callbacks: self.callbacks.unwrap_or(usize::MAX),
            from_priority: if limited {
                self.from_priority
            } else {
                usize::MAX
            },
        }
    }

    /// A variable of the environment, which a program with another's rights
    /// does not heed.
    fn environment(&self, name: &str) -> Option<CString> {
        if self.flags & IGNORE_ENVIRONMENT != 0 {
            return None;
        }
        let name = CString::new(name).ok()?;
        system::environment(&name)
    }
}

#[unsafe(no_mangle)]
extern "C" fn event_config_new() -> Option<NonNull<Config>> {
    memory::place(Config::default())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn event_config_free(config: Option<NonNull<Config>>) {
    if let Some(config) = config {
        // SAFETY: it was made by `event_config_new`, and is used no more.
        unsafe { memory::displace(config) };
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn event_config_avoid_method(
    config: Option<&mut Config>,
    method: *const c_char,
) -> c_int {
    let (Some(config), false) = (config, method.is_null()) else {
        return -1;
    };
    // SAFETY: the caller's string.
    config
        .avoided
        .push(unsafe { CStr::from_ptr(method) }.to_owned());
    0
}

#[unsafe(no_mangle)]
extern "C" fn event_config_require_features(config: Option<&mut Config>, features: c_int) -> c_int {
    let Some(config) = config else { return -1 };
    config.required = features;
    0
}

#[unsafe(no_mangle)]
extern "C" fn event_config_set_flag(config: Option<&mut Config>, flag: c_int) -> c_int {
    let Some(config) = config else { return -1 };
    config.flags |= flag;
    0
}

/// A hint that only completion ports heed.
#[unsafe(no_mangle)]
extern "C" fn event_config_set_num_cpus_hint(config: Option<&mut Config>, _: c_int) -> c_int {
    if config.is_some() { 0 } else { -1 }
}

#[unsafe(no_mangle)]
extern "C" fn event_config_set_max_dispatch_interval(
    config: Option<&mut Config>,
    interval: Option<&timeval>,
    callbacks: c_int,
    from_priority: c_int,
) -> c_int {
    let Some(config) = config else { return -1 };
    config.interval = interval.map(|interval| time::micros_of(*interval));
    config.callbacks = usize::try_from(callbacks).ok();
    config.from_priority = usize::try_from(from_priority).unwrap_or(0);
    0
}
