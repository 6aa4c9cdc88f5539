//! The datagram sockets of a resolver.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use ferrevent_dns::LaneId;
use ferrevent_os::socket;
use ferrevent_os::sys::{Sys, would_block};

use super::shared::{Shared, State, random};
use crate::Readiness;
use crate::engine::Registration;
use crate::host::{Context, WatchId};
use crate::sys::fd::AsFd;

/// A socket that is connected to one server.
pub(super) struct Lane {
    socket: Arc<UdpSocket>,
    pub(super) watch: WatchId,
}

/// So many datagrams are taken before others have their turn.
const SHARE: usize = 32;

/// So many ports are tried before the system chooses one.
const PORTS: usize = 8;

impl Shared {
    pub(super) fn send(
        self: &Arc<Self>,
        state: &mut State,
        context: &mut Context<'_>,
        lane: LaneId,
        server: SocketAddr,
        datagram: &[u8],
    ) {
        let outcome = match state.lanes.get(&lane) {
            Some(at) => self.send_by(&at.socket, datagram),
            None => self.open_lane(context, lane, server).and_then(|at| {
                let at = state.lanes.entry(lane).or_insert(at);
                self.send_by(&at.socket, datagram)
            }),
        };
        if let Err(error) = outcome {
            let now = context.now_tick();
            state.client.lane_failed(now, lane, &error.to_string());
        }
    }

    /// What finds no room is lost, as any datagram may be, and sent again when
    /// no answer comes.
    fn send_by(&self, socket: &UdpSocket, datagram: &[u8]) -> io::Result<()> {
        match self.sys.send_datagram(socket, datagram, None) {
            Err(error) if !would_block(&error) => Err(error),
            _ => Ok(()),
        }
    }

    fn open_lane(
        self: &Arc<Self>,
        context: &mut Context<'_>,
        lane: LaneId,
        server: SocketAddr,
    ) -> io::Result<Lane> {
        let socket = Arc::new(bound_at_random(&self.sys, server)?);
        self.sys.connect_datagrams(&socket, server)?;
        let (shared, receiver) = (Arc::clone(self), Arc::clone(&socket));
        let registration = Registration::new(Readiness::READ);
        let watch = context.watch(socket.as_fd(), registration, move |context, _| {
            shared.drive(context, |state, now| {
                for _ in 0..SHARE {
                    let came = shared
                        .sys
                        .receive_datagram_from(&receiver, &mut state.datagram);
                    match came {
                        Ok((len, from)) => {
                            let datagram = &state.datagram[..len];
                            state.client.received(now, lane, from, datagram);
                        }
                        Err(error) if would_block(&error) => break,
                        Err(error) => {
                            state.client.lane_failed(now, lane, &error.to_string());
                            break;
                        }
                    }
                }
            });
        })?;
        Ok(Lane { socket, watch })
    }
}

/// Every address of this host's that is of the same family.
pub(super) fn any_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// A socket at a port that nobody can foretell (RFC 5452, section 10).
fn bound_at_random(sys: &Sys, server: SocketAddr) -> io::Result<UdpSocket> {
    let any = any_of(server.ip());
    for _ in 0..PORTS {
        let mut port = [0; 2];
        random(&mut port);
        let port = u16::from_ne_bytes(port);
        // Those below are for who has asked for them.
        if port < 1024 {
            continue;
        }
        if let Ok(fd) = socket::datagram(sys, &SocketAddr::new(any, port).into()) {
            return Ok(fd.into());
        }
    }
    socket::datagram(sys, &SocketAddr::new(any, 0).into()).map(UdpSocket::from)
}
