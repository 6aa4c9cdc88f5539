//! TCP: connecting and listening.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use ferrevent::asynch::AsyncStream;
use ferrevent::{Address, Readiness};
use socket2::{Domain, Socket, Type};
use tor_rtcompat::{NetStreamProvider, TcpConnectOptions, TcpListenOptions};

use super::listener::Connections;
use super::stream::{LINK, join};
use super::{TcpListener, TcpStream, TorRuntime};

/// The kernel cuts it to what it allows.
const BACKLOG: i32 = 4096;

#[async_trait]
impl NetStreamProvider<SocketAddr> for TorRuntime {
    type Stream = TcpStream;
    type Listener = TcpListener;
    type ConnectOptions = TcpConnectOptions;
    type ListenOptions = TcpListenOptions;

    async fn connect(
        &self,
        address: &SocketAddr,
        options: &TcpConnectOptions,
    ) -> io::Result<TcpStream> {
        let common = options.common();
        let sizes = Sizes {
            send: *common.send_buffer_size(),
            receive: *common.recv_buffer_size(),
        };
        let connected = self.connect_sized(*address, sizes).await;
        let stream = connected.inspect_err(|error| *self.failure() = Some(error.to_string()))?;
        let group = self.bandwidth().clone();
        stream.with(move |stream| join(stream, &group)).await?;
        TcpStream::new(stream, &self.shared.links).await
    }

    async fn listen(
        &self,
        address: &SocketAddr,
        options: &TcpListenOptions,
    ) -> io::Result<TcpListener> {
        let common = options.common();
        let sizes = Sizes {
            send: *common.send_buffer_size(),
            receive: *common.recv_buffer_size(),
        };
        let make = || {
            let socket = sizes.socket(*address)?;
            if address.is_ipv6() {
                socket.set_only_v6(true)?;
            }
            if cfg!(unix) {
                socket.set_reuse_address(true)?;
            }
            socket.bind(&(*address).into())?;
            socket.listen(BACKLOG)?;
            socket
                .local_addr()
                .map(|local| (local.as_socket().unwrap_or(*address), socket))
        };
        let (local, socket) = make().map_err(|error| naming(&error, *address))?;
        let listener = self.tasks().listen_on(socket.into(), Some(LINK)).await?;
        Ok(TcpListener {
            of: Connections::new(listener, self.relayed(), &self.shared.links),
            local,
        })
    }
}

impl TorRuntime {
    /// Sizes of the kernel's buffers count only when they are set before the
    /// connection is made.
    async fn connect_sized(&self, address: SocketAddr, sizes: Sizes) -> io::Result<AsyncStream> {
        if sizes.are_default() {
            let (tasks, address) = (self.tasks(), Address::Socket(address));
            return tasks.connect_with(&address, None, LINK, Vec::new()).await;
        }
        let make = || {
            let socket = sizes.socket(address)?;
            socket.set_nonblocking(true)?;
            socket.set_tcp_nodelay(true)?;
            match socket.connect(&address.into()) {
                Ok(()) => Ok(socket),
                Err(error) if begins(&error) => Ok(socket),
                Err(error) => Err(error),
            }
        };
        let socket = make().map_err(|error| naming(&error, address))?;
        let watched = self.tasks().watch(socket.try_clone()?);
        watched.ready(Readiness::WRITE).await?;
        if let Some(error) = socket.take_error()? {
            return Err(naming(&error, address));
        }
        let stream = self.tasks().adopt(socket.into()).await?;
        stream.with(|stream| stream.configure(LINK)).await?;
        Ok(stream)
    }
}

/// The sizes of the kernel's buffers of a socket.
#[derive(Clone, Copy)]
struct Sizes {
    send: Option<usize>,
    receive: Option<usize>,
}

impl Sizes {
    fn are_default(self) -> bool {
        self.send.is_none() && self.receive.is_none()
    }

    fn socket(self, address: SocketAddr) -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        if let Some(bytes) = self.send {
            socket.set_send_buffer_size(bytes)?;
        }
        if let Some(bytes) = self.receive {
            socket.set_recv_buffer_size(bytes)?;
        }
        Ok(socket)
    }
}

/// Whether the attempt to connect goes on.
fn begins(error: &io::Error) -> bool {
    const EINPROGRESS: i32 = 115;
    // Windows says that it would block.
    error.kind() == io::ErrorKind::WouldBlock
        || (cfg!(target_os = "linux") && error.raw_os_error() == Some(EINPROGRESS))
}

fn naming(error: &io::Error, address: SocketAddr) -> io::Error {
    io::Error::new(error.kind(), format!("{address}: {error}"))
}
