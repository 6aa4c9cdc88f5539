//! Two connected streams in one process: one asks, the other answers.

use std::error::Error;

use ferrevent::{CloseReason, EventLoop, Handler, Stream};

struct Asker;

impl Handler for Asker {
    fn opened(&mut self, stream: &mut Stream<'_>) {
        let _ = stream.write(b"is anybody there?");
        stream.finish_write();
    }

    fn readable(&mut self, stream: &mut Stream<'_>) {
        println!(
            "answer: {}",
            String::from_utf8_lossy(stream.input().chunk())
        );
        let _ = stream.input().clear();
    }

    fn closed(&mut self, _: &mut Stream<'_>, reason: CloseReason) {
        println!("closed: {reason}");
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut events = EventLoop::new()?;
    events
        .context()
        .pair(Asker, |stream: &mut Stream<'_>| stream.echo())?;
    Ok(events.run()?)
}
