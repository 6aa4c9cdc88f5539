//! Reads whatever comes and counts it: `sink ADDR [--backend NAME] [--workers N]`. Each
//! connection's count is printed when it closes.

use std::error::Error;

use ferrevent::{CloseReason, Handler, Stream};

mod common;

struct Sink;

impl Handler for Sink {
    fn readable(&mut self, stream: &mut Stream<'_>) {
        // The front of an input is never frozen.
        let _ = stream.input().clear();
    }

    fn closed(&mut self, stream: &mut Stream<'_>, reason: CloseReason) {
        println!("{} bytes, {reason}", stream.received_bytes());
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = common::arguments()?;
    common::serve(&arguments, || Sink)
}
