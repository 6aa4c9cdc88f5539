//! What the command line asks for.

use std::time::Duration;

pub(crate) const USAGE: &str =
    "usage: cargo xtask soak [--minutes N] [--backend NAME] [--workers N] \
     [--connections N] [--rate-mb N] [--seed N] [--only SLOT:NUMBER]
Without --backend every backend of this system has its turn, without --workers a single loop (0)
and a pool of two. Ten minutes and more write their reports to docs/soak.";

/// The options of `cargo xtask soak`.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Length of the load on each backend; fractions are allowed.
    pub(crate) minutes: f64,
    /// None means every one.
    pub(crate) backend: Option<String>,
    /// Each number of workers has its turn; 0 is a single loop.
    pub(crate) workers: Vec<usize>,
    /// Connections open at the same time.
    pub(crate) connections: usize,
    /// The most megabytes a second that go up and down together.
    pub(crate) rate_mb: u64,
    /// Decides everything that is random.
    pub(crate) seed: u64,
    /// A single connection of the whole traffic, by its name in a complaint.
    pub(crate) only: Option<String>,
    /// Every setting at the same time, not one after the other.
    pub(crate) together: bool,
}

impl Options {
    pub(crate) fn parse(args: &[String]) -> Result<Self, String> {
        let mut options = Self {
            minutes: FULL_MINUTES,
            backend: None,
            workers: vec![0, 2],
            connections: 300,
            rate_mb: 50,
            seed: SEED,
            only: None,
            together: false,
        };
        for pair in args.chunks(2) {
            let [flag, value] = pair else {
                return Err(format!("{}: no such option, or no value\n{USAGE}", pair[0]));
            };
            match flag.as_str() {
                "--minutes" => {
                    options.minutes = number(flag, value)?;
                    if !(options.minutes > 0.0 && options.minutes < 100_000.0) {
                        return Err(format!("--minutes: {value} is no length of time"));
                    }
                }
                "--backend" => options.backend = Some(value.clone()),
                "--workers" => options.workers = vec![number(flag, value)?],
                "--connections" => options.connections = number(flag, value)?,
                "--rate-mb" => options.rate_mb = number(flag, value)?,
                "--only" => options.only = Some(value.clone()),
                "--seed" => options.seed = number(flag, value)?,
                _ => return Err(format!("{flag}: no such option\n{USAGE}")),
            }
        }
        Ok(options)
    }

    /// What CI has time for.
    pub(crate) fn smoke() -> Self {
        Self {
            minutes: 3.0 / 60.0,
            backend: None,
            workers: vec![0, 2],
            connections: 50,
            rate_mb: 5,
            seed: SEED,
            only: None,
            together: true,
        }
    }

    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs_f64(self.minutes * 60.0)
    }

    /// Long enough for its report to stand as the project's own.
    pub(crate) fn is_full(&self) -> bool {
        self.minutes >= FULL_MINUTES && self.only.is_none()
    }
}

const FULL_MINUTES: f64 = 10.0;
const SEED: u64 = 20_091_124;

fn number<T: std::str::FromStr>(flag: &str, text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("{flag}: `{text}` is not a number that fits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, String> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        Options::parse(&words)
    }

    #[test]
    fn every_option_is_understood() {
        let options = parse("--minutes 0.5 --backend poll --workers 3 --seed 9").unwrap();
        assert_eq!(options.time(), Duration::from_secs(30));
        assert_eq!(options.backend.as_deref(), Some("poll"));
        assert_eq!(options.workers, [3]);
        assert_eq!(options.seed, 9);
        assert!(!options.is_full());
        assert!(parse("").unwrap().is_full());
    }

    #[test]
    fn what_is_unknown_is_refused() {
        assert!(parse("--minutes").is_err());
        assert!(parse("--minutes 0").is_err());
        assert!(parse("--minutes NaN").is_err());
        assert!(parse("--workers many").is_err());
        assert!(parse("--wat 3").is_err());
    }
}
