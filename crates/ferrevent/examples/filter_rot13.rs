//! A filter of one's own: `filter_rot13 ADDR` echoes in ROT13. What a peer
//! sends is decoded before the handler sees it, what the handler writes is
//! encoded; so the peer gets back what it sent, and only the log is clear.

use std::error::Error;
use std::io;

use ferrevent::filter::{Filter, Pass};
use ferrevent::{EventLoop, ListenOptions, Stream};

/// ROT13 needs no state. It is its own inverse.
struct Rot13;

impl Filter for Rot13 {
    fn decode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        pass.map(rotate);
        Ok(())
    }

    fn encode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        pass.map(rotate);
        Ok(())
    }
}

fn rotate(bytes: &mut [u8]) {
    for byte in bytes {
        let first = match byte {
            b'a'..=b'z' => b'a',
            b'A'..=b'Z' => b'A',
            _ => continue,
        };
        *byte = first + (*byte - first + 13) % 26;
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args()
        .nth(1)
        .ok_or("usage: filter_rot13 ADDR")?
        .parse()?;
    let mut events = EventLoop::new()?;
    events.context().listen_filtered(
        &address,
        &ListenOptions::default(),
        None,
        || vec![Box::new(Rot13)],
        || {
            Box::new(|stream: &mut Stream<'_>| {
                println!("{}", String::from_utf8_lossy(stream.input().chunk()).trim());
                stream.echo();
            })
        },
    )?;
    Ok(events.run()?)
}
