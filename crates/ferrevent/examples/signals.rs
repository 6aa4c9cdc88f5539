//! Signals: counts SIGINT, and ends at the third.

use std::error::Error;

use ferrevent::EventLoop;

const SIGINT: i32 = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let mut events = EventLoop::new()?;
    let mut seen = 0;
    events.context().signal(SIGINT, move |context, times| {
        seen += times;
        println!("interrupted {seen} times");
        if seen >= 3 {
            context.stop(true);
        }
    })?;
    println!("press Ctrl-C three times");
    Ok(events.run()?)
}
