//! A program that runs beside this one.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A program that is ended when this is dropped.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Sends it a signal, by name.
    pub(crate) fn signal(&self, name: &str) -> Result<(), String> {
        let pid = self.0.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status();
        match status {
            Ok(status) if status.success() => Ok(()),
            other => Err(format!("kill -s {name} {pid}: {other:?}")),
        }
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self, patience: Duration) -> Result<ExitStatus, String> {
        let end = Instant::now() + patience;
        loop {
            match self.0.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) if Instant::now() > end => {
                    return Err(format!("it did not end within {patience:?}"));
                }
                Ok(None) => thread::sleep(Duration::from_millis(5)),
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

/// Runs a program to its end; what it says is in the log.
pub(crate) fn ends(command: &mut Command, log: &Path, patience: Duration) -> Result<(), String> {
    let out = File::create(log).map_err(|error| format!("{}: {error}", log.display()))?;
    let name = command.get_program().to_string_lossy().into_owned();
    let child = command.stdin(Stdio::null()).stderr(out).spawn();
    let mut running = Running(child.map_err(|error| format!("{name}: {error}"))?);
    let status = running
        .ended(patience)
        .map_err(|error| format!("{name}: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{name}: {status}: {}", read(log)?))
}

pub(crate) fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Waits until it is so.
pub(crate) fn until(
    what: &str,
    patience: Duration,
    mut done: impl FnMut() -> bool,
) -> Result<(), String> {
    let end = Instant::now() + patience;
    while !done() {
        if Instant::now() > end {
            return Err(format!("waited in vain for {what}"));
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// So long a program may take to listen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for a program to listen.
pub(crate) fn wait_for(address: &str) -> Result<(), String> {
    let end = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_err() {
        if Instant::now() > end {
            return Err(format!("nobody answers at {address}"));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A port of 127.0.0.1 that nobody listens on.
pub(crate) fn free_port() -> Result<u16, String> {
    free_address().map(|address| address.port())
}

/// An address of this machine that nobody listens on.
pub(crate) fn free_address() -> Result<SocketAddr, String> {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    bound.map_err(|error| format!("no free port on 127.0.0.1: {error}"))
}
