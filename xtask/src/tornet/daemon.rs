//! A tor that runs, in a folder of its own: a node of the network, or a client.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{at, make};
use crate::running::{Running, until};

/// What every tor of a network is given.
#[derive(Clone, Default)]
pub(crate) struct Setup {
    /// Of the environment. There is no LD_LIBRARY_PATH but one that is said here.
    pub(crate) variables: Vec<(&'static str, OsString)>,
    /// The port of 127.0.0.1 at which exits ask for names, if it is not 53.
    pub(crate) names: Option<u16>,
}

pub(crate) struct Daemon {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    setup: Setup,
    running: Option<Running>,
}

/// So long it may take to hear a signal.
const PATIENCE: Duration = Duration::from_secs(60);

impl Daemon {
    /// One that has yet to be configured and started; its folder is made anew.
    pub(super) fn new(network: &Path, name: &str, setup: &Setup) -> Result<Self, String> {
        let folder = network.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|error| at(&folder, &error))?;
        }
        make(&folder)?;
        Ok(Self {
            name: name.to_owned(),
            folder,
            setup: setup.clone(),
            running: None,
        })
    }

    pub(crate) fn start(&mut self) -> Result<(), String> {
        let path = self.folder.join(OUTPUT);
        let out = File::options().create(true).append(true).open(&path);
        let out = out.map_err(|error| at(&path, &error))?;
        let error = out.try_clone().map_err(|error| at(&path, &error))?;
        let child = self
            .command()
            .args([Path::new("-f"), &self.folder.join(CONFIGURATION)])
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(error)
            .spawn();
        self.running = Some(Running(child.map_err(|error| format!("tor: {error}"))?));
        Ok(())
    }

    /// Tor, as it is set up in this network, without a configuration.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new("tor");
        command
            .env_remove("LD_LIBRARY_PATH")
            .envs(
                self.setup
                    .variables
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .arg("--defaults-torrc")
            .arg(self.folder.with_file_name(DEFAULTS));
        command
    }

    pub(crate) fn configuration(&self) -> Result<String, String> {
        let path = self.folder.join(CONFIGURATION);
        fs::read_to_string(&path).map_err(|error| at(&path, &error))
    }

    pub(crate) fn configure(&self, text: &str) -> Result<(), String> {
        let path = self.folder.join(CONFIGURATION);
        fs::write(&path, text).map_err(|error| at(&path, &error))
    }

    /// Has it read its configuration anew (SIGHUP).
    pub(crate) fn reload(&self) -> Result<(), String> {
        let heard = || self.log().matches("Received reload signal").count();
        let before = heard();
        self.running()?.signal("HUP")?;
        let what = format!("{} to hear SIGHUP", self.name);
        until(&what, PATIENCE, || heard() > before)
    }

    /// Ends it as people do (SIGTERM); it must say that all was well.
    pub(crate) fn end(&mut self) -> Result<(), String> {
        self.running()?.signal("TERM")?;
        let ended = self.running.as_mut().map(|it| it.ended(PATIENCE));
        match ended {
            Some(Ok(status)) if !status.success() => {
                Err(format!("{} ended with {status}", self.name))
            }
            Some(Err(error)) => Err(format!("{}: {error}", self.name)),
            _ => {
                self.running = None;
                Ok(())
            }
        }
    }

    /// Ends it at once (SIGKILL).
    pub(crate) fn kill(&mut self) {
        self.running = None;
    }

    /// Whether it is to run.
    pub(crate) fn is_started(&self) -> bool {
        self.running.is_some()
    }

    /// Whether it has ended without having been told to.
    pub(crate) fn has_ended(&mut self) -> bool {
        let Some(running) = &mut self.running else {
            return false;
        };
        !matches!(running.0.try_wait(), Ok(None))
    }

    pub(crate) fn pid(&self) -> Result<u32, String> {
        self.running().map(|it| it.0.id())
    }

    fn running(&self) -> Result<&Running, String> {
        let running = self.running.as_ref();
        running.ok_or_else(|| format!("{} does not run", self.name))
    }

    /// What it has said of note; nothing, before it has begun to.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join(LOG)).unwrap_or_default()
    }

    /// The ends of its log, and of what it or its libraries have said otherwise.
    pub(crate) fn last_words(&self) -> String {
        let mut text = String::new();
        for file in [LOG, OUTPUT] {
            let path = self.folder.join(file);
            let said = fs::read_to_string(&path).unwrap_or_default();
            let lines: Vec<&str> = said.lines().collect();
            if lines.is_empty() {
                continue;
            }
            text.push_str(&format!("{} ends with\n", path.display()));
            for line in &lines[lines.len().saturating_sub(LAST)..] {
                text.push_str(&format!("    {line}\n"));
            }
        }
        text
    }
}

const CONFIGURATION: &str = "torrc";
/// In the network's folder: nothing, in place of the system's.
pub(super) const DEFAULTS: &str = "defaults";
pub(super) const LOG: &str = "notice.log";
const OUTPUT: &str = "output";
/// So many lines of a log are shown.
const LAST: usize = 8;
