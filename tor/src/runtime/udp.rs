//! UDP.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use ferrevent::asynch::AsyncUdp;
use tor_rtcompat::UdpProvider;

use super::TorRuntime;

/// A UDP socket that is connected to nobody.
///
/// ```
/// use tor_rtcompat::{ToplevelBlockOn, UdpProvider, UdpSocket};
///
/// let runtime = ferrevent_tor::TorRuntime::new()?;
/// let any = ([127, 0, 0, 1], 0).into();
/// let socket = runtime.block_on(runtime.bind(&any))?;
/// println!("at {}", socket.local_addr()?);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct UdpSocket(AsyncUdp);

#[async_trait]
impl UdpProvider for TorRuntime {
    type UdpSocket = UdpSocket;

    async fn bind(&self, address: &SocketAddr) -> io::Result<UdpSocket> {
        Ok(UdpSocket(self.tasks().udp(*address)?))
    }
}

#[async_trait]
impl tor_rtcompat::UdpSocket for UdpSocket {
    async fn recv(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.recv_from(into).await
    }

    async fn send(&self, bytes: &[u8], to: &SocketAddr) -> io::Result<usize> {
        self.0.send_to(bytes, *to).await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}
