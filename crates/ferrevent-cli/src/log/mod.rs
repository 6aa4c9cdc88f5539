//! The log: one line for everything that happens, and never in a
//! connection's way.

mod event;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::{Args, ValueEnum};

use crate::live;

pub(crate) use event::{Between, Compressed, Connection, Event, Side, Tls};

/// Where the log goes, and how it is written.
#[derive(Args, Clone, Default)]
#[group(skip)]
#[command(next_help_heading = "Log")]
pub(crate) struct Options {
    /// Write the log to the end of this file, not to standard error.
    ///
    /// SIGHUP opens the file anew, after it was renamed: what logrotate(8)
    /// needs. Where the file cannot be written any more, say on a full disk,
    /// connections go on and standard error is told.
    #[arg(long = "log", value_name = "FILE")]
    file: Option<PathBuf>,
    /// How a line is written.
    #[arg(
        long = "log-format",
        value_name = "FORMAT",
        value_enum,
        default_value_t
    )]
    format: Format,
}

impl Options {
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Whether standard error has the log, and in JSON: then nothing else
    /// should be written there.
    pub(crate) fn owns_stderr(&self) -> bool {
        self.file.is_none() && self.format == Format::Json
    }
}

/// How a line is written.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people: the time, the peer, the upstream, the bytes, the end.
    #[default]
    Text,
    /// For programs: one object a line, its fields in docs/relay.md.
    Json,
}

/// Where lines go.
pub(crate) struct Log {
    out: Out,
    format: Format,
    lost: u64,
}

enum Out {
    Stderr,
    File(File, PathBuf),
    Nowhere,
}

impl Log {
    /// A log as it is wanted.
    pub(crate) fn open(options: &Options) -> Result<Self, String> {
        let out = match &options.file {
            Some(path) => Out::File(open_file(path)?, path.clone()),
            None => Out::Stderr,
        };
        Ok(Self {
            out,
            format: options.format,
            lost: 0,
        })
    }

    /// A log that nobody reads.
    pub(crate) fn nowhere() -> Self {
        Self {
            out: Out::Nowhere,
            format: Format::Text,
            lost: 0,
        }
    }

    /// Opens the file anew, which may have been renamed. If that fails the
    /// old one goes on.
    pub(crate) fn reopen(&mut self) {
        let Out::File(file, path) = &mut self.out else {
            return;
        };
        match open_file(path) {
            Ok(new) => {
                *file = new;
                self.write(&Event::LogReopened);
            }
            Err(reason) => self.write(&Event::Trouble { reason: &reason }),
        }
    }

    /// Writes one line. A line that cannot be written (a full disk) is
    /// counted; the first one is told on standard error, and so is the end of
    /// the trouble.
    pub(crate) fn write(&mut self, event: &Event<'_>) {
        let now = humantime::format_rfc3339_millis(SystemTime::now());
        let line = match self.format {
            Format::Text => format!("{now} {event}\n"),
            Format::Json => event.json(&now.to_string()),
        };
        match self.put(line.as_bytes()) {
            Ok(()) if self.lost > 0 => {
                eprintln!(
                    "ferrevent: {} can be written again; {} lines are lost",
                    self.name(),
                    self.lost
                );
                self.lost = 0;
            }
            Ok(()) => {}
            Err(error) => {
                if self.lost == 0 {
                    eprintln!(
                        "ferrevent: cannot write to {}: {error}; connections go on, lines are lost until it can",
                        self.name()
                    );
                }
                self.lost += 1;
            }
        }
    }

    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        match &mut self.out {
            Out::Stderr => {
                live::Line::clear();
                io::stderr().write_all(line)
            }
            Out::File(file, _) => file.write_all(line),
            Out::Nowhere => Ok(()),
        }
    }

    fn name(&self) -> String {
        match &self.out {
            Out::Stderr => "standard error".into(),
            Out::File(_, path) => path.display().to_string(),
            Out::Nowhere => "nowhere".into(),
        }
    }
}

/// Opens a log file, to write to its end.
pub(crate) fn open_file(path: &Path) -> Result<File, String> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|error| {
            format!(
                "cannot open the log {}: {error}; give another --log, or leave it out",
                path.display()
            )
        })
}
