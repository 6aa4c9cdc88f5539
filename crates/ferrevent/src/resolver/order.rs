//! The order in which addresses are tried.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use ferrevent_dns::sort_addresses;
use ferrevent_os::socket;

use super::lanes::any_of;
use super::shared::Shared;

/// Which port a probe names makes no difference: nothing is sent.
const PORT: u16 = 53;

impl Shared {
    pub(super) fn sort(&self, addresses: &mut [IpAddr]) {
        if addresses.len() > 1 {
            sort_addresses(addresses, |to| self.source_of(*to));
        }
    }

    /// The address of this host that one is reached from, as the system chooses it.
    fn source_of(&self, to: IpAddr) -> Option<IpAddr> {
        let own = SocketAddr::new(any_of(to), 0);
        let socket = UdpSocket::from(socket::datagram(&self.sys, &own.into()).ok()?);
        let to = SocketAddr::new(to, PORT);
        self.sys.connect_datagrams(&socket, to).ok()?;
        Some(socket.local_addr().ok()?.ip())
    }
}
