//! What runs under valgrind, and what is done to it.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};

use super::load;
use crate::echo;
use crate::running::wait_for;

/// A program and its load.
pub(super) struct Scene {
    pub(super) name: &'static str,
    pub(super) program: &'static str,
    /// `LISTEN` is where it is to listen, `ECHO` an address that echoes.
    arguments: &'static [&'static str],
    act: Act,
}

enum Act {
    /// It ends by itself.
    Nothing,
    /// It wants three interrupts.
    Interrupts,
    /// A server: gets this load, then SIGTERM, which kills it.
    Load(fn(&str) -> Result<(), String>),
    /// The same, but SIGTERM lets it end in order.
    LoadThenDrain(fn(&str) -> Result<(), String>),
}

macro_rules! scene {
    ($name:literal, $program:literal, [$($argument:literal),*], $act:expr) => {
        Scene { name: $name, program: $program, arguments: &[$($argument),*], act: $act }
    };
}

pub(super) const SCENES: &[Scene] = &[
    scene!("pair", "target/debug/examples/pair", [], Act::Nothing),
    scene!("timers", "target/debug/examples/timers", [], Act::Nothing),
    scene!("wakes", "target/debug/examples/wakes", [], Act::Nothing),
    scene!(
        "blocked",
        "target/debug/examples/blocked",
        ["--seconds", "1"],
        Act::Nothing
    ),
    scene!(
        "signals",
        "target/debug/examples/signals",
        [],
        Act::Interrupts
    ),
    scene!(
        "echo",
        "target/debug/examples/echo",
        ["LISTEN"],
        Act::Load(load::echo)
    ),
    scene!(
        "echo on poll",
        "target/debug/examples/echo",
        ["LISTEN", "--backend", "poll"],
        Act::Load(load::echo)
    ),
    scene!(
        "echo on a pool",
        "target/debug/examples/echo",
        ["LISTEN", "--workers", "2"],
        Act::Load(load::echo)
    ),
    scene!(
        "sink",
        "target/debug/examples/sink",
        ["LISTEN"],
        Act::Load(load::send)
    ),
    scene!(
        "sink on a pool",
        "target/debug/examples/sink",
        ["LISTEN", "--workers", "2"],
        Act::Load(load::send)
    ),
    scene!(
        "pump",
        "target/debug/examples/pump",
        ["LISTEN"],
        Act::Load(load::receive)
    ),
    scene!(
        "pump on a pool",
        "target/debug/examples/pump",
        ["LISTEN", "--workers", "2"],
        Act::Load(load::receive)
    ),
    scene!(
        "line_chat",
        "target/debug/examples/line_chat",
        ["LISTEN"],
        Act::Load(load::chat)
    ),
    scene!(
        "relay",
        "target/debug/ferrevent",
        ["relay", "LISTEN", "ECHO"],
        Act::LoadThenDrain(load::echo)
    ),
    scene!(
        "relay on a pool",
        "target/debug/ferrevent",
        ["relay", "LISTEN", "ECHO", "--workers", "2"],
        Act::LoadThenDrain(load::echo)
    ),
];

impl Scene {
    /// What the program is called with.
    pub(super) fn arguments(&self, listen: &str) -> Result<Vec<String>, String> {
        let argument = |text: &&str| match *text {
            "LISTEN" => Ok(listen.to_owned()),
            "ECHO" => echo::upstream().map(|address| address.to_string()),
            other => Ok(other.to_owned()),
        };
        self.arguments.iter().map(argument).collect()
    }

    /// Puts the load on it, and has it end.
    pub(super) fn drive(&self, child: &mut Child, listen: &str) -> Result<(), String> {
        match self.act {
            Act::Nothing => Ok(()),
            Act::Interrupts => interrupt(child),
            Act::Load(load) | Act::LoadThenDrain(load) => {
                wait_for(listen)?;
                load(listen)?;
                signal(child, "-TERM")
            }
        }
    }

    /// Whether it ended as it should have.
    pub(super) fn check_end(&self, status: ExitStatus) -> Result<(), String> {
        const SIGTERM: i32 = 15;
        let right = match self.act {
            Act::Load(_) => status.signal() == Some(SIGTERM),
            _ => status.success(),
        };
        if right {
            Ok(())
        } else {
            Err(format!("it ended with {status}"))
        }
    }
}

/// An interrupt after each line that it prints, while it wants one.
fn interrupt(child: &mut Child) -> Result<(), String> {
    let Some(output) = child.stdout.take() else {
        return Err("it has no output".into());
    };
    for line in BufReader::new(output).lines() {
        let line = line.map_err(|error| error.to_string())?;
        if !line.contains("interrupted 3 times") {
            signal(child, "-INT")?;
        }
    }
    Ok(())
}

fn signal(child: &Child, which: &str) -> Result<(), String> {
    let status = Command::new("kill")
        .args([which, &child.id().to_string()])
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        _ => Err(format!("cannot send it {which}")),
    }
}
