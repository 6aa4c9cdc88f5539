//! Programs that run until the test has done with them.

#![allow(dead_code, reason = "no test program uses all of it")]

use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use super::Library;

pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Ended by a signal, as it is ended by people.
pub(crate) struct Service {
    child: Child,
    signal: &'static str,
}

impl Service {
    pub(crate) fn start(command: &mut Command, signal: &'static str) -> Self {
        let child = command.spawn().unwrap();
        Self { child, signal }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it runs on the library that it was to run on.
    pub(crate) fn demand(&self, library: Library, folder: &std::path::Path) {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.id())).unwrap();
        let ours = maps.contains(&folder.display().to_string());
        assert!(maps.contains("libevent"), "{maps}");
        assert_eq!(ours, library == Library::Ours, "{maps}");
    }

    /// Sends it a signal, by its option of kill(1).
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args([signal, &id]).status();
    }

    /// Ends it, and tells how it ended.
    pub(crate) fn end(mut self) -> ExitStatus {
        self.stop();
        self.child.wait().unwrap()
    }

    fn stop(&mut self) {
        // The number of one that has ended may be another's.
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        self.signal(self.signal);
        let begun = Instant::now();
        while let Ok(None) = self.child.try_wait() {
            if begun.elapsed() > PATIENCE {
                let _ = self.child.kill();
                assert!(thread::panicking(), "it does not end at {}", self.signal);
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A port of loopback that nobody has.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Waits until it is so.
pub(crate) fn wait(what: &str, there: impl Fn() -> bool) {
    let begun = Instant::now();
    while !there() {
        assert!(begun.elapsed() < PATIENCE, "{what} does not come");
        thread::sleep(Duration::from_millis(20));
    }
}
