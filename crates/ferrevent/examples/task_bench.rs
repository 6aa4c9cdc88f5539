//! What tasks, timers and datagrams cost: prints a line for each figure.

use std::error::Error;
use std::io;

use ferrevent::EventLoop;
use ferrevent::asynch::Runtime;

#[path = "../../../bench/tasks.rs"]
mod tasks;

fn main() -> Result<(), Box<dyn Error>> {
    let mut events = EventLoop::new()?;
    let runtime = events.runtime();
    let (sleeper, here) = (runtime.clone(), runtime.clone());
    events.block_on(tasks::measure(
        move |task| runtime.spawn(task),
        move |after| sleeper.sleep(after),
        async |times| datagrams(&here, times).await,
    ))??;
    Ok(())
}

async fn datagrams(runtime: &Runtime, times: u32) -> io::Result<()> {
    let any = ([127, 0, 0, 1], 0).into();
    let (one, other) = (runtime.udp(any)?, runtime.udp(any)?);
    let to = other.local_addr()?;
    let mut bytes = [0; 64];
    for _ in 0..times {
        one.send_to(&[1; 64], to).await?;
        let (len, from) = other.recv_from(&mut bytes).await?;
        other.send_to(&bytes[..len], from).await?;
        one.recv_from(&mut bytes).await?;
    }
    Ok(())
}
