//! Starting programs on a core of their own, and ending them.

use std::ffi::OsStr;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::Place;
use super::build;
use super::peers::Invocation;
use crate::running::{Running, free_address};

/// The core of whatever is measured.
pub(crate) const SERVER_CORE: &str = "0";
/// The core of whatever puts a load on it.
pub(crate) const LOAD_CORE: &str = "1";

/// The figures mean nothing if server and load share a core.
pub(crate) fn need_two_cores() -> Result<(), String> {
    match thread::available_parallelism() {
        Ok(cores) if cores.get() >= 2 => Ok(()),
        _ => Err("the benchmarks need two cores: one for the server, one for the load".into()),
    }
}

/// A command that stays on one core.
pub(crate) fn pinned(core: &str, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args([OsStr::new("-c"), OsStr::new(core), program.as_os_str()]);
    command
}

/// Where a server is to listen: a free TCP port, or a unix socket in the benchmarks' folder.
pub(crate) struct Endpoint {
    /// As servers and the generator take it, in that folder.
    pub(crate) text: String,
    /// The socket's file.
    path: Option<PathBuf>,
}

impl Endpoint {
    pub(crate) fn fresh(place: &Place, unix: bool) -> Result<Self, String> {
        if unix {
            let path = place.target.join("socket");
            let _ = std::fs::remove_file(&path);
            return Ok(Self {
                text: "unix:socket".into(),
                path: Some(path),
            });
        }
        Ok(Self {
            text: free_address()?.to_string(),
            path: None,
        })
    }

    fn answers(&self) -> bool {
        match &self.path {
            Some(path) => UnixStream::connect(path).is_ok(),
            None => TcpStream::connect(&self.text).is_ok(),
        }
    }
}

/// Starts a server and waits until it accepts.
pub(crate) fn serve(
    place: &Place,
    server: &Invocation,
    endpoint: &Endpoint,
) -> Result<Running, String> {
    let path = build::path(place, server.binary);
    let mut running = Running(
        pinned(SERVER_CORE, &path)
            .args(&server.args)
            .current_dir(&place.target)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("{}: taskset: {error}", server.peer))?,
    );
    let patience = Instant::now() + Duration::from_secs(10);
    while !endpoint.answers() {
        if let Ok(Some(status)) = running.0.try_wait() {
            return Err(format!("{}: the server ended: {status}", server.peer));
        }
        if Instant::now() > patience {
            return Err(format!(
                "{}: nobody answers at {} after ten seconds",
                server.peer, endpoint.text
            ));
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(running)
}
