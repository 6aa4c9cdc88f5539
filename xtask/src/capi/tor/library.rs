//! Which libevent a tor runs on, and whether it does.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::Variable;
use crate::tornet::Daemon;

/// Debian's, or ours on one of its backends.
#[derive(Clone, PartialEq)]
pub(super) enum Library {
    Debian,
    Ours { folder: PathBuf, backend: String },
}

impl Library {
    /// That of an option of the command.
    pub(super) fn named(name: &str, folder: &Path) -> Option<Self> {
        match name {
            "debian" => Some(Self::Debian),
            "epoll" | "uring" | "poll" => Some(Self::Ours {
                folder: folder.to_owned(),
                backend: name.to_owned(),
            }),
            _ => None,
        }
    }

    pub(super) fn variables(&self) -> Vec<Variable> {
        match self {
            Self::Debian => Vec::new(),
            Self::Ours { folder, backend } => vec![
                ("LD_LIBRARY_PATH", folder.into()),
                ("FERREVENT_BACKEND", backend.into()),
            ],
        }
    }

    /// What a process that waits by this library has open (proc_pid_fd(5)).
    fn waits_by(&self) -> &'static str {
        match self {
            Self::Ours { backend, .. } if backend == "uring" => "anon_inode:[io_uring]",
            Self::Ours { backend, .. } if backend == "poll" => "",
            _ => "anon_inode:[eventpoll]",
        }
    }

    /// An error unless it is the only libevent in the process (proc_pid_maps(5)), and the
    /// process waits as it was asked to.
    pub(super) fn demand(&self, tor: &Daemon) -> Result<(), String> {
        let path = format!("/proc/{}/maps", tor.pid()?);
        let maps = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let loaded = || {
            let files = maps.lines().filter_map(|line| line.split_once('/'));
            let files = files.map(|(_, file)| Path::new("/").join(file));
            files.filter(|file| file.to_string_lossy().contains("/libevent"))
        };
        if loaded().next().is_none() {
            return Err(format!("{}: {path} names no libevent", tor.name));
        }
        let wrong = loaded().find(|file| match self {
            Self::Debian => !file.starts_with("/usr/lib") && !file.starts_with("/lib"),
            Self::Ours { folder, .. } => !file.starts_with(folder),
        });
        if let Some(file) = wrong {
            return Err(format!("{}: {path} names {}", tor.name, file.display()));
        }
        // tor tells of its method only before it opens its log.
        let path = format!("/proc/{}/fd", tor.pid()?);
        let open = fs::read_dir(&path).map_err(|error| format!("{path}: {error}"))?;
        let open: Vec<_> = open
            .flatten()
            .filter_map(|entry| fs::read_link(entry.path()).ok())
            .map(|file| file.to_string_lossy().into_owned())
            .filter(|file| ["anon_inode:[io_uring]", "anon_inode:[eventpoll]"].contains(&&**file))
            .collect();
        let wanted = self.waits_by();
        if open.iter().all(|file| file == wanted) && open.is_empty() == wanted.is_empty() {
            return Ok(());
        }
        Err(format!("{}: {path} has {open:?}, not {wanted}", tor.name))
    }
}

impl fmt::Display for Library {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Debian => to.write_str("debian"),
            Self::Ours { backend, .. } => to.write_str(backend),
        }
    }
}
