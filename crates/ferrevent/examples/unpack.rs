//! `unpack ADDR zstd|lz4|gzip|deflate`: prints what compressed data the peers
//! send, and answers each with how much it was. Try it with
//!
//! ```sh
//! zstd -c FILE | nc -N 127.0.0.1 7000
//! ```

use std::error::Error;
use std::io::{self, Write};

use ferrevent::compress::{Bounds, CompressError, Compression};
use ferrevent::{CloseReason, EventLoop, Handler, ListenOptions, Stream};

struct Unpack;

impl Handler for Unpack {
    fn readable(&mut self, stream: &mut Stream<'_>) {
        let mut out = io::stdout().lock();
        while !stream.input().is_empty() {
            let chunk = stream.input().chunk();
            let len = chunk.len();
            if out.write_all(chunk).is_err() || stream.input().drain(len).is_err() {
                return stream.close();
            }
        }
        // What comes faster than it can be printed waits at the peer.
        let _ = out.flush();
    }

    fn ended(&mut self, stream: &mut Stream<'_>) {
        if let Some(it) = stream.compression() {
            let answer = format!(
                "{} bytes from {}\n",
                it.tally().received().plain,
                it.tally().received().packed
            );
            let _ = stream.write(answer.as_bytes());
        }
        stream.finish();
    }

    fn closed(&mut self, _: &mut Stream<'_>, reason: CloseReason) {
        match CompressError::of(&reason) {
            Some(CompressError::Truncated(_)) => eprintln!("cut short"),
            Some(error) => eprintln!("{error}"),
            None => {}
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let usage = "usage: unpack ADDR zstd|lz4|gzip|deflate";
    let mut args = std::env::args().skip(1);
    let address = args.next().ok_or(usage)?.parse()?;
    let asked: Compression = args.next().ok_or(usage)?.parse()?;
    // What goes back is plain; what `zstd --ultra --long=27` makes is taken too.
    let how = Compression::receiving(asked.format()).bounds(Bounds {
        window: 128 << 20,
        ..Bounds::DEFAULT
    });
    let mut events = EventLoop::new()?;
    events.context().listen_filtered(
        &address,
        &ListenOptions::default(),
        None,
        move || vec![how.filter()],
        || Box::new(Unpack),
    )?;
    Ok(events.run()?)
}
