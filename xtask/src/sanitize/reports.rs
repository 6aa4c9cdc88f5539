//! What the runtimes report goes into files: a program that a test has started
//! and killed is not heard otherwise.

use std::fs;
use std::path::PathBuf;

/// Where one run's reports are.
pub(super) struct Reports {
    pub(super) folder: PathBuf,
}

impl Reports {
    /// An empty folder for them.
    pub(super) fn of(name: &str) -> Result<Self, String> {
        let folder = PathBuf::from(format!("target/sanitize/reports-{name}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)
            .and_then(|()| folder.canonicalize())
            .map(|folder| Self { folder })
            .map_err(|error| format!("{}: {error}", folder.display()))
    }

    /// The variables that the runtimes take their options from.
    pub(super) fn options(&self) -> [(&'static str, String); 3] {
        let log = format!("log_path={}/report", self.folder.display());
        [
            (
                "ASAN_OPTIONS",
                format!("{log}:detect_stack_use_after_return=1:strict_string_checks=1"),
            ),
            ("LSAN_OPTIONS", log.clone()),
            ("TSAN_OPTIONS", format!("{log}:second_deadlock_stack=1")),
        ]
    }

    /// All reports.
    pub(super) fn text(&self) -> Result<String, String> {
        let told = |error: std::io::Error| format!("{}: {error}", self.folder.display());
        let mut text = String::new();
        for file in fs::read_dir(&self.folder).map_err(told)? {
            let path = file.map_err(told)?.path();
            text.push_str(&fs::read_to_string(path).map_err(told)?);
        }
        Ok(text)
    }
}
