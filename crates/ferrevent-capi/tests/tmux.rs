//! Debian's tmux, as it is, on our library and on Debian's: sessions, panes,
//! ten thousand lines, a client that comes and goes.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::service::wait;
use common::{Library, prefix, scratch, text};

const LINES: usize = 10_000;

#[test]
fn a_session_from_its_beginning_to_its_end() {
    if !Path::new("/usr/bin/tmux").exists() {
        eprintln!("skipped: tmux is not installed");
        return;
    }
    let [ours, theirs] = [Library::Ours, Library::System].map(session);
    assert_eq!(ours, theirs);
}

/// What tmux has said.
fn session(library: Library) -> Vec<String> {
    let tmux = Tmux::new(library);
    let mut said = vec![
        tmux.ask(&[
            "new-session",
            "-d",
            "-s",
            "one",
            "-x",
            "80",
            "-y",
            "24",
            "sh",
        ]),
        tmux.ask(&["list-sessions", "-F", "#{session_name} #{session_windows}"]),
    ];
    let server = tmux.ask(&["display-message", "-p", "#{pid}"]);
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", server.trim())).unwrap();
    let ours = maps.contains(&prefix().join("lib").display().to_string());
    assert_eq!(ours, library == Library::Ours, "{maps}");

    said.push(tmux.ask(&["split-window", "-d", "-t", "one", "cat"]));
    // A shell that has been started becomes what it was told to run.
    let panes = || tmux.ask(&["list-panes", "-F", "#{pane_index} #{pane_current_command}"]);
    tmux.until(|| panes() == "0 sh\n1 cat\n");
    said.push(tmux.ask(&["send-keys", "-t", "one.0", "seq 1 10000", "Enter"]));
    tmux.until(|| {
        let lines = tmux.ask(&["capture-pane", "-p", "-S", "-", "-t", "one.0"]);
        let numbers = lines
            .lines()
            .filter_map(|line| line.trim().parse::<usize>().ok());
        numbers.eq(1..=LINES)
    });
    said.push(tmux.ask(&["send-keys", "-t", "one.1", "to the cat", "Enter"]));
    tmux.until(|| {
        let lines = tmux.ask(&["capture-pane", "-p", "-t", "one.1"]);
        lines.matches("to the cat").count() == 2
    });

    let mut client = tmux.attach();
    let clients = || tmux.ask(&["list-clients", "-F", "#{client_session}"]);
    tmux.until(|| clients() == "one\n");
    said.push(tmux.ask(&["detach-client", "-s", "one"]));
    client.wait().unwrap();
    tmux.until(|| clients().is_empty());
    let mut again = tmux.attach();
    tmux.until(|| clients() == "one\n");

    said.push(tmux.ask(&["resize-window", "-t", "one", "-x", "120", "-y", "50"]));
    let size = ["display-message", "-p", "-t", "one"];
    let size = || tmux.ask(&[&size[..], &["#{window_width}x#{window_height}"]].concat());
    tmux.until(|| size() == "120x50\n");
    said.push(tmux.ask(&["new-window", "-d", "-t", "one", "echo done; exec cat"]));
    said.push(tmux.ask(&["list-windows", "-t", "one", "-F", "#{window_index}"]));
    said.push(tmux.ask(&["kill-pane", "-t", "one:0.1"]));
    said.push(tmux.ask(&["list-panes", "-t", "one:0", "-F", "#{pane_index}"]));
    said.push(tmux.ask(&["kill-server"]));
    again.wait().unwrap();
    let server = PathBuf::from(format!("/proc/{}", server.trim()));
    tmux.until(|| !server.exists());
    said
}

struct Tmux {
    library: Library,
    socket: PathBuf,
    configuration: PathBuf,
}

impl Tmux {
    fn new(library: Library) -> Self {
        let folder = scratch();
        let configuration = folder.join("tmux.conf");
        std::fs::write(&configuration, "set -g history-limit 20000\n").unwrap();
        // A path to a socket is short.
        let name = format!("ferrevent-tmux-{}-{library:?}", std::process::id());
        Self {
            library,
            socket: std::env::temp_dir().join(name),
            configuration,
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_remove("TMUX").env("TERM", "screen");
        command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
        match self.library {
            Library::Ours => command.env("LD_LIBRARY_PATH", prefix().join("lib")),
            Library::System => command.env_remove("LD_LIBRARY_PATH"),
        };
        command
    }

    fn ask(&self, arguments: &[&str]) -> String {
        let mut command = self.command("timeout");
        command.args(["60", "/usr/bin/tmux", "-f"]);
        command.arg(&self.configuration).arg("-S").arg(&self.socket);
        let output = command.args(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{arguments:?} on {:?}: {output:?}",
            self.library
        );
        text(&output.stdout)
    }

    /// A client on a terminal.
    fn attach(&self) -> Child {
        let mut command = self.command("timeout");
        let attach = format!("/usr/bin/tmux -S {} attach -t one", self.socket.display());
        command.args(["60", "script", "-qfc", &attach, "/dev/null"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        command.spawn().unwrap()
    }

    fn until(&self, there: impl Fn() -> bool) {
        wait(&format!("what {:?} was to do", self.library), there);
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        // There is none any more, unless the test has failed.
        let mut command = self.command("/usr/bin/tmux");
        command.arg("-S").arg(&self.socket).arg("kill-server");
        let _ = command.stderr(Stdio::null()).status();
        let _ = std::fs::remove_file(&self.socket);
    }
}
