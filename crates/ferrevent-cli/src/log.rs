//! The access log: one line a connection, and never in a connection's way.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

/// Where lines go.
pub(crate) struct Log {
    out: Box<dyn Write + Send>,
    name: String,
    lost: u64,
}

impl Log {
    /// A log to standard error, or to the end of a file.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, String> {
        let Some(path) = path else {
            return Ok(Self::to(Box::new(io::stderr()), "standard error".into()));
        };
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|error| {
                format!(
                    "cannot open the log {}: {error}; give another --log, or leave it out",
                    path.display()
                )
            })?;
        Ok(Self::to(Box::new(file), path.display().to_string()))
    }

    /// A log that nobody reads.
    pub(crate) fn nowhere() -> Self {
        Self::to(Box::new(io::sink()), "nowhere".into())
    }

    fn to(out: Box<dyn Write + Send>, name: String) -> Self {
        Self { out, name, lost: 0 }
    }

    /// Writes one line with the time in front. A line that cannot be written
    /// (a full disk) is counted; the first one is told on standard error, and
    /// so is the end of the trouble.
    pub(crate) fn line(&mut self, text: &str) {
        let now = humantime::format_rfc3339_millis(SystemTime::now());
        match self.out.write_all(format!("{now} {text}\n").as_bytes()) {
            Ok(()) if self.lost > 0 => {
                eprintln!(
                    "ferrevent: {} can be written again; {} lines are lost",
                    self.name, self.lost
                );
                self.lost = 0;
            }
            Ok(()) => {}
            Err(error) => {
                if self.lost == 0 {
                    eprintln!(
                        "ferrevent: cannot write to {}: {error}; connections go on, lines are lost until it can",
                        self.name
                    );
                }
                self.lost += 1;
            }
        }
    }
}
