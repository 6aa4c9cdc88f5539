//! Echoes datagrams: `udp_echo ADDR`. Try `nc -u 127.0.0.1 7000`.

use std::error::Error;
use std::io;

use ferrevent::EventLoop;
use ferrevent::asynch::AsyncUdp;

/// Sends back whatever comes, to whoever sent it.
pub(crate) async fn echo(socket: &AsyncUdp) -> io::Result<()> {
    let mut bytes = vec![0; 65_536];
    loop {
        let (len, from) = socket.recv_from(&mut bytes).await?;
        socket.send_to(&bytes[..len], from).await?;
    }
}

#[allow(dead_code, reason = "the tests have their own")]
fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("usage: udp_echo ADDR")?;
    let mut events = EventLoop::new()?;
    let socket = events.runtime().udp(address.parse()?)?;
    println!("{}", socket.local_addr()?);
    events.block_on(async move { echo(&socket).await })??;
    Ok(())
}
