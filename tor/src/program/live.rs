//! The live line on a terminal, and the log that goes around it.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ferrevent::limit::Direction;

use super::state::State;
use crate::TorRuntime;

const PERIOD: Duration = Duration::from_millis(500);

/// The line stands on the terminal.
static DRAWN: AtomicBool = AtomicBool::new(false);

/// Whether there is a terminal to draw on.
pub(super) fn is_wanted() -> bool {
    io::stderr().is_terminal()
}

/// Draws the line, again and again.
pub(super) async fn draw(runtime: TorRuntime, state: std::sync::Arc<State>) {
    let mut interval = runtime.tasks().interval(PERIOD);
    let mut before = (Instant::now(), [0; 2]);
    loop {
        interval.tick().await;
        let now = Instant::now();
        let seconds = now.duration_since(before.0).as_secs_f64().max(0.001);
        let group = runtime.bandwidth();
        let moved = [Direction::Read, Direction::Write].map(|way| group.moved_bytes(way));
        let [inward, outward] = [0, 1].map(|way| {
            let bytes = moved[way].saturating_sub(before.1[way]);
            amount(bytes as f64 / seconds)
        });
        before = (now, moved);
        let (circuits, streams) = state.counts();
        let mut text = format!(
            "\r\x1b[K{} links  {circuits} circuits  {streams} streams  in {inward}/s  \
             out {outward}/s  total {} + {}",
            runtime.links().count(),
            amount(moved[0] as f64),
            amount(moved[1] as f64),
        );
        if let (Some(read), Some(write)) =
            (group.level(Direction::Read), group.level(Direction::Write))
        {
            let (read, write) = (amount(read as f64), amount(write as f64));
            text.push_str(&format!("  bucket {read} in, {write} out"));
        }
        // A terminal that is gone is no reason to stop.
        let _ = io::stderr().write_all(text.as_bytes());
        DRAWN.store(true, Ordering::Relaxed);
    }
}

/// Where the log goes: to standard error, in place of the line.
pub(super) struct Log;

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Log {
    type Writer = io::Stderr;

    fn make_writer(&'a self) -> io::Stderr {
        if DRAWN.swap(false, Ordering::Relaxed) {
            let _ = io::stderr().write_all(b"\r\x1b[K");
        }
        io::stderr()
    }
}

/// Bytes in decimal units, as network rates are given.
pub(super) fn amount(bytes: f64) -> String {
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
