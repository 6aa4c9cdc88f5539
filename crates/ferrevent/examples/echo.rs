//! Sends back whatever it receives: `echo ADDR [--backend NAME]`.

use std::error::Error;

use ferrevent::{Handler, Stream};

mod common;

struct Echo;

impl Handler for Echo {
    fn readable(&mut self, stream: &mut Stream<'_>) {
        stream.echo();
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = common::arguments()?;
    let mut events = common::event_loop(&arguments)?;
    events.listen(arguments.address, || Echo)?;
    Ok(events.run()?)
}
