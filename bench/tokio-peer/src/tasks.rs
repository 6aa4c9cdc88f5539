//! What tasks and timers cost with tokio, on one thread.

use std::io;

use tokio::runtime::Builder;

#[path = "../../tasks.rs"]
mod measured;

pub(crate) fn run() -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(measured::measure(tokio::spawn, tokio::time::sleep));
    Ok(())
}
