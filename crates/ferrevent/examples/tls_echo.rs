//! Echoes over TLS: `tls_echo ADDR CERT KEY`, both files PEM.

use std::error::Error;

use ferrevent::tls::{Certificates, Server, TlsError};
use ferrevent::{CloseReason, EventLoop, Handler, Stream};

struct Echo;

impl Handler for Echo {
    fn opened(&mut self, stream: &mut Stream<'_>) {
        if let (Some(peer), Some(tls)) = (stream.peer_addr(), stream.tls()) {
            println!("{peer}: {tls}");
        }
    }

    fn readable(&mut self, stream: &mut Stream<'_>) {
        stream.echo();
    }

    fn closed(&mut self, stream: &mut Stream<'_>, reason: CloseReason) {
        match TlsError::of(&reason) {
            Some(error) => println!("refused: {error}"),
            None => println!("{} bytes, {reason}", stream.received_bytes()),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, certificate, key] = &arguments[..] else {
        return Err("usage: tls_echo ADDR CERT KEY".into());
    };
    let server = Server::builder()
        .certificates(Certificates::from_files(certificate, key)?)
        .build()?;
    let mut events = EventLoop::new()?;
    events
        .context()
        .listen_tls(&address.parse()?, &server, || Echo)?;
    Ok(events.run()?)
}
