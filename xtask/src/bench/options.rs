//! What the command line asks for.

use super::{cells, congestion, peers, wanted};

pub(crate) const USAGE: &str = "usage: cargo xtask bench [--only CELL[,CELL]] [--peers PEER[,PEER]] \
     [--rounds N] [--window-ms N] [--warmup-ms N] [--congestion NAME] [--list | --report]
       cargo xtask bench --windows [ROUNDS]
A CELL may hold `*`. --list names the cells, --report makes the report anew from the samples there are,
--congestion takes that congestion control of TCP rather than the machine's, in a network namespace.";

/// The options of `cargo xtask bench`.
pub(crate) struct Options {
    /// Patterns of cells; none means every cell.
    pub(crate) only: Vec<String>,
    /// Names of peers; none means the usual ones.
    pub(crate) peers: Vec<String>,
    /// Rounds of every cell that is not bounded by its own length.
    pub(crate) rounds: usize,
    /// Length of one measurement.
    pub(crate) window_ms: u64,
    /// Load before each measurement.
    pub(crate) warmup_ms: u64,
    /// The congestion control of TCP, if not the machine's.
    pub(crate) congestion: Option<String>,
    /// Only tells which cells there are.
    pub(crate) list: bool,
    /// Measures nothing.
    pub(crate) report: bool,
}

impl Options {
    pub(crate) fn parse(args: &[String]) -> Result<Self, String> {
        let mut options = Self {
            only: Vec::new(),
            peers: Vec::new(),
            rounds: FULL_ROUNDS,
            window_ms: 300,
            warmup_ms: 300,
            congestion: None,
            list: false,
            report: false,
        };
        let mut args = args.iter();
        while let Some(flag) = args.next() {
            match flag.as_str() {
                "--list" => options.list = true,
                "--report" => options.report = true,
                _ => options.valued(flag, args.next())?,
            }
        }
        options.check()?;
        Ok(options)
    }

    fn valued(&mut self, flag: &str, value: Option<&String>) -> Result<(), String> {
        let value = value.ok_or_else(|| format!("{flag}: no such option, or no value\n{USAGE}"))?;
        match flag {
            "--only" => self.only = names(value),
            "--peers" => self.peers = names(value),
            "--rounds" => self.rounds = number(flag, value)?,
            "--window-ms" => self.window_ms = number(flag, value)? as u64,
            "--warmup-ms" => self.warmup_ms = number(flag, value)? as u64,
            congestion::OPTION => self.congestion = Some(value.clone()),
            _ => return Err(format!("{flag}: no such option\n{USAGE}")),
        }
        Ok(())
    }

    /// True when the figures may stand as the project's own.
    pub(crate) fn is_full(&self) -> bool {
        self.peers.is_empty() && self.rounds >= FULL_ROUNDS
    }

    /// Whether a cell is asked for.
    pub(crate) fn wants(&self, cell: &str) -> bool {
        wanted(&self.only, cell)
    }

    fn check(&self) -> Result<(), String> {
        for pattern in &self.only {
            if !cells::all().iter().any(|cell| matches(pattern, cell.name)) {
                return Err(format!("{pattern}: no such cell; see --list"));
            }
        }
        for name in &self.peers {
            if peers::name(name).is_none() {
                return Err(format!("{name}: no such peer"));
            }
        }
        Ok(())
    }
}

/// Rounds of a run whose figures may stand.
pub(crate) const FULL_ROUNDS: usize = 15;

fn names(list: &str) -> Vec<String> {
    list.split(',').map(str::to_owned).collect()
}

fn number(flag: &str, text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| format!("{flag}: `{text}` is not a positive number"))
}

/// Whether `name` fits `pattern`, in which `*` stands for any characters.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(rest) = name.strip_prefix(head) else {
        return false;
    };
    rest.char_indices()
        .map(|(at, _)| at)
        .chain([rest.len()])
        .any(|at| matches(tail, &rest[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        assert!(matches("echo-*x50", "echo-tcp-64x50"));
        assert!(matches("*", ""));
        assert!(!matches("echo-*x50", "echo-tcp-64x1"));
        assert!(!matches("echo", "echo-tcp-64x1"));
    }

    #[test]
    fn what_is_unknown_is_refused() {
        let parse = |text: &str| {
            Options::parse(
                &text
                    .split_whitespace()
                    .map(str::to_owned)
                    .collect::<Vec<_>>(),
            )
        };
        assert!(parse("--only echo-tcp-64x1 --rounds 3 --peers tokio").is_ok());
        let cubic = parse("--congestion cubic --rounds 3");
        assert!(cubic.is_ok_and(|options| options.congestion.is_some()));
        assert!(parse("--only nothing").is_err());
        assert!(parse("--rounds 0").is_err());
        assert!(parse("--peers nobody").is_err());
        assert!(parse("--wat 3").is_err());
    }
}
