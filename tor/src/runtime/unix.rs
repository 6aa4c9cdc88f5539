//! Unix sockets. Where the system has none they are refused.

use std::io;

use async_trait::async_trait;
use tor_general_addr::unix::SocketAddr;
use tor_rtcompat::{NetStreamProvider, UnixConnectOptions, UnixListenOptions};

use super::{TorRuntime, UnixListener, UnixStream};

#[async_trait]
impl NetStreamProvider<SocketAddr> for TorRuntime {
    type Stream = UnixStream;
    type Listener = UnixListener;
    type ConnectOptions = UnixConnectOptions;
    type ListenOptions = UnixListenOptions;

    async fn connect(
        &self,
        address: &SocketAddr,
        _: &UnixConnectOptions,
    ) -> io::Result<UnixStream> {
        let stream = self.tasks().connect(&path_of(address)?).await?;
        Ok(UnixStream { stream })
    }

    async fn listen(
        &self,
        address: &SocketAddr,
        _: &UnixListenOptions,
    ) -> io::Result<UnixListener> {
        let listener = self.tasks().listen(&path_of(address)?).await?;
        Ok(UnixListener {
            listener,
            local: address.clone(),
        })
    }
}

#[cfg(unix)]
fn path_of(address: &SocketAddr) -> io::Result<ferrevent::Address> {
    let path = address.as_pathname();
    let path = path.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::Unsupported,
            "a unix socket is reached by its path",
        )
    })?;
    Ok(ferrevent::Address::Unix(path.to_owned()))
}

#[cfg(not(unix))]
fn path_of(_: &SocketAddr) -> io::Result<ferrevent::Address> {
    Err(tor_general_addr::unix::NoAfUnixSocketSupport::default().into())
}

/// Whoever connects by a unix socket has no name there.
#[cfg(unix)]
pub(super) fn nameless() -> io::Result<SocketAddr> {
    SocketAddr::from_pathname("")
}

#[cfg(not(unix))]
pub(super) fn nameless() -> io::Result<SocketAddr> {
    Err(tor_general_addr::unix::NoAfUnixSocketSupport::default().into())
}
