//! Sends for ever to whoever connects: `pump ADDR [--backend NAME] [--workers N]
//! [--chunk BYTES]`. The chunk is one piece of memory that all share.

use std::error::Error;

use ferrevent::{Buffer, Handler, Stream};

mod common;

struct Pump {
    chunk: bytes::Bytes,
}

impl Pump {
    fn send(&self, stream: &mut Stream<'_>) {
        // Refused only once the stream is over.
        let _ = stream.write_buffer(&mut Buffer::from(self.chunk.clone()));
    }
}

impl Handler for Pump {
    fn opened(&mut self, stream: &mut Stream<'_>) {
        self.send(stream);
    }

    fn readable(&mut self, stream: &mut Stream<'_>) {
        let _ = stream.input().clear();
    }

    fn writable(&mut self, stream: &mut Stream<'_>) {
        self.send(stream);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = common::arguments()?;
    let chunk = bytes::Bytes::from(vec![b'p'; arguments.chunk]);
    common::serve(&arguments, move || Pump {
        chunk: chunk.clone(),
    })
}
