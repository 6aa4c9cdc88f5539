//! Timers: one that fires once, one that arms itself again.

use std::cell::Cell;
use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

use ferrevent::{EventLoop, TimerId};

fn main() -> Result<(), Box<dyn Error>> {
    let mut events = EventLoop::new()?;
    let ticker: Rc<Cell<Option<TimerId>>> = Rc::default();
    let own = Rc::clone(&ticker);
    let mut ticks = 0;
    let id = events.timer(Duration::from_millis(100), move |context| {
        ticks += 1;
        println!("tick {ticks} at {:?}", context.now());
        if let Some(id) = own.get() {
            context.arm_timer(id, Duration::from_millis(100));
        }
    })?;
    ticker.set(Some(id));
    events.timer(Duration::from_millis(1050), |context| {
        println!("stopping at {:?}", context.now());
        context.stop(true);
    })?;
    Ok(events.run()?)
}
