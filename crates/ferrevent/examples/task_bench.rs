//! What tasks and timers cost: prints a line for each figure.

use std::error::Error;

use ferrevent::EventLoop;

#[path = "../../../bench/tasks.rs"]
mod tasks;

fn main() -> Result<(), Box<dyn Error>> {
    let mut events = EventLoop::new()?;
    let runtime = events.runtime();
    let sleeper = runtime.clone();
    events.block_on(tasks::measure(
        move |task| runtime.spawn(task),
        move |after| sleeper.sleep(after),
    ))?;
    Ok(())
}
