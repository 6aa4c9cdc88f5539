//! The live line on a terminal, like pv's.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often the line is drawn.
pub(crate) const PERIOD: Duration = Duration::from_millis(500);

/// Whether there is a terminal to draw on.
pub(crate) fn is_wanted() -> bool {
    io::stderr().is_terminal()
}

/// What was moved when the line was drawn last.
pub(crate) struct Line {
    drawn: Instant,
    bytes: (u64, u64),
}

impl Line {
    pub(crate) fn new() -> Self {
        Self {
            drawn: Instant::now(),
            bytes: (0, 0),
        }
    }

    /// Draws the line over the one before; `levels` tells how full the buckets
    /// of the limit are, in hundredths.
    pub(crate) fn draw(
        &mut self,
        connections: usize,
        inward: u64,
        outward: u64,
        levels: Option<[Option<u64>; 2]>,
    ) {
        let seconds = self.drawn.elapsed().as_secs_f64().max(0.001);
        let rate = |now: u64, before: u64| per_second(now.saturating_sub(before), seconds);
        let mut text = format!(
            "\r\x1b[K{connections} connections  in {}/s  out {}/s  total {} + {}",
            rate(inward, self.bytes.0),
            rate(outward, self.bytes.1),
            amount(inward as f64),
            amount(outward as f64),
        );
        if let Some([up, down]) = levels {
            let level = |level: Option<u64>| match level {
                Some(level) => format!("{level} %"),
                None => "free".to_owned(),
            };
            text.push_str(&format!("  left up {}, down {}", level(up), level(down)));
        }
        // A terminal that is gone is no reason to stop.
        let _ = io::stderr().write_all(text.as_bytes());
        self.drawn = Instant::now();
        self.bytes = (inward, outward);
    }

    /// Takes the line away, before another is written.
    pub(crate) fn clear() {
        if is_wanted() {
            let _ = io::stderr().write_all(b"\r\x1b[K");
        }
    }
}

fn per_second(bytes: u64, seconds: f64) -> String {
    amount(bytes as f64 / seconds)
}

/// Bytes in decimal units, as network rates are given.
pub(crate) fn amount(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{value:.0} B")
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::amount;

    #[test]
    fn amounts_have_fitting_units() {
        assert_eq!(amount(999.0), "999 B");
        assert_eq!(amount(1500.0), "1.5 kB");
        assert_eq!(amount(2.34e9), "2.3 GB");
        assert_eq!(amount(5e15), "5000.0 TB");
    }
}
