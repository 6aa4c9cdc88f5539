//! The service manager: it is told when the relay is ready, how it does and
//! when it ends (sd_notify(3)), and that it is alive (sd_watchdog_enabled(3)).

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Mutex;
use std::time::Duration;

use sd_notify::NotifyState;

/// How often the status is told, if it has changed.
pub(super) const STATUS_PERIOD: Duration = Duration::from_secs(1);

/// Who started the relay, if it wants to know.
pub(super) struct Service {
    socket: Option<UnixDatagram>,
    status: Mutex<String>,
}

impl Service {
    /// Nobody who wants to know.
    pub(super) fn none() -> Self {
        Self {
            socket: None,
            status: Mutex::default(),
        }
    }

    /// Whoever `NOTIFY_SOCKET` names.
    pub(super) fn find() -> Result<Self, String> {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Ok(Self::none());
        };
        let socket = connect(&name).map_err(|error| {
            format!(
                "cannot reach the service manager at {} (NOTIFY_SOCKET): {error}; \
                 it will not hear that the relay is ready",
                name.display()
            )
        })?;
        Ok(Self {
            socket: Some(socket),
            status: Mutex::default(),
        })
    }

    pub(super) fn is_there(&self) -> bool {
        self.socket.is_some()
    }

    /// How often it wants a sign of life: twice as often as it gets impatient.
    pub(super) fn watchdog(&self) -> Option<Duration> {
        let patience = sd_notify::watchdog_enabled()?;
        (self.is_there() && !patience.is_zero()).then_some(patience / 2)
    }

    pub(super) fn ready(&self, status: &str) {
        self.tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    pub(super) fn stopping(&self, status: &str) {
        self.tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
    }

    pub(super) fn alive(&self) {
        self.tell(&[NotifyState::Watchdog]);
    }

    /// Tells how it goes, unless that was told before.
    pub(super) fn status(&self, status: String) {
        let mut last = crate::lock(&self.status);
        if *last != status {
            self.tell(&[NotifyState::Status(&status)]);
            *last = status;
        }
    }

    /// A manager that does not listen is no reason to stop; sockets that are
    /// full only lose a status.
    fn tell(&self, states: &[NotifyState<'_>]) {
        if let Some(socket) = &self.socket {
            let lines: Vec<String> = states.iter().map(ToString::to_string).collect();
            let _ = socket.send(lines.join("\n").as_bytes());
        }
    }
}

/// A path, or with an `@` in front the name of an abstract socket.
fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    // The relay never waits for its manager.
    socket.set_nonblocking(true)?;
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        None => socket.connect(name)?,
    }
    Ok(socket)
}
