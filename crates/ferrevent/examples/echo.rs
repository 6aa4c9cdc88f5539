//! Sends back whatever it receives: `echo ADDR [--backend NAME] [--workers N]`.

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
    common::serve(&arguments, || Echo)
}
