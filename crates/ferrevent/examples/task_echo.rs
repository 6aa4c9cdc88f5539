//! Echoes by a task for each connection, without a copy: `task_echo ADDR`.

use std::error::Error;
use std::io;

use ferrevent::asynch::AsyncStream;
use ferrevent::{Buffer, EventLoop};

/// Between two messages its state is about 100 bytes, as in a program that does
/// something: the memory of an idle connection is measured with it.
async fn echo(stream: AsyncStream) -> io::Result<()> {
    loop {
        let mut bytes = Buffer::new();
        if stream.read_buffer(&mut bytes).await? == 0 {
            return Ok(());
        }
        stream.write_buffer(&mut bytes).await?;
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("usage: task_echo ADDR")?;
    let address = address.parse()?;
    let mut events = EventLoop::new()?;
    let runtime = events.runtime();
    let tasks = events.local_executor();
    events.block_on(async move {
        let listener = runtime.listen(&address).await?;
        loop {
            let stream = listener.accept().await?;
            tasks.spawn(echo(stream)).detach();
        }
    })?
}
