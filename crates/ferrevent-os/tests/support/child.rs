//! A second process of the same test binary, which plays a part and is spoken
//! to line by line.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// Names the part that a second process plays.
pub(crate) const PART: &str = "FERREVENT_PART";
/// Begins what is meant for the first process.
const MARK: &str = "@@ ";
/// An answer takes no longer unless something hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// The second process; it ends with this value.
pub(crate) struct Player {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl Player {
    /// Runs the test of this name in a process of its own, for a part.
    pub(crate) fn start(test: &str, part: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(PART, part)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let lines = read(child.stdout.take().unwrap());
        Self {
            child,
            stdin,
            lines,
        }
    }

    /// What it says next.
    pub(crate) fn answer(&self) -> String {
        let line = self.lines.recv_timeout(PATIENCE);
        line.expect("the other process says nothing: see above what it met")
    }

    /// Tells it something and takes its answer.
    pub(crate) fn ask(&mut self, what: &str) -> String {
        writeln!(self.stdin, "{what}").unwrap();
        self.answer()
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        // It is ours, and whatever it was asked for it has answered.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(stdout: ChildStdout) -> Receiver<String> {
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // The harness may have begun the line.
            if let Some((_, said)) = line.split_once(MARK)
                && send.send(said.to_owned()).is_err()
            {
                return;
            }
        }
    });
    lines
}

/// The part that this process plays, if it is the second one.
pub(crate) fn part() -> Option<Vec<String>> {
    let part = std::env::var(PART).ok()?;
    Some(part.split(' ').map(str::to_owned).collect())
}

/// Says something to the first process.
pub(crate) fn say(text: &str) {
    println!("{MARK}{}", text.replace('\n', " | "));
}

/// What the first process asks for, until it is gone.
pub(crate) fn questions() -> Receiver<String> {
    let (send, questions) = mpsc::channel();
    thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    questions
}
