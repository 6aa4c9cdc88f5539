//! What tasks and timers cost with tokio, on one thread.

use std::io;

use tokio::net::UdpSocket;
use tokio::runtime::Builder;

#[path = "../../tasks.rs"]
mod measured;

pub(crate) fn run() -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measured::measure(tokio::spawn, tokio::time::sleep, datagrams))
}

async fn datagrams(times: u32) -> io::Result<()> {
    let one = UdpSocket::bind("127.0.0.1:0").await?;
    let other = UdpSocket::bind("127.0.0.1:0").await?;
    let to = other.local_addr()?;
    let mut bytes = [0; 64];
    for _ in 0..times {
        one.send_to(&[1; 64], to).await?;
        let (len, from) = other.recv_from(&mut bytes).await?;
        other.send_to(&bytes[..len], from).await?;
        one.recv_from(&mut bytes).await?;
    }
    Ok(())
}
