//! Listeners, and the connections that come to them.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll};

use ferrevent::RateGroup;
use ferrevent::asynch::Listener;
use futures::stream::{self, Stream};
use tor_general_addr::unix;
use tor_rtcompat::NetStreamListener;

use super::stream::join;
use super::{TcpStream, UnixStream};

/// Listens on a TCP port. What it accepts is in the group
/// [`relayed`](super::TorRuntime::relayed).
///
/// ```
/// use ferrevent_tor::TorRuntime;
/// use tor_rtcompat::{NetStreamListener, NetStreamProvider, ToplevelBlockOn};
///
/// let runtime = TorRuntime::new()?;
/// let any: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
/// let listener = runtime.block_on(runtime.listen(&any, &Default::default()))?;
/// println!("at {}", listener.local_addr()?);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct TcpListener {
    pub(super) of: Connections,
    pub(super) local: SocketAddr,
}

/// Listens on a unix socket.
///
/// ```
/// use ferrevent_tor::UnixListener;
/// use tor_rtcompat::NetStreamListener;
///
/// fn tell(listener: &UnixListener) -> std::io::Result<()> {
///     println!("at {:?}", listener.local_addr()?);
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct UnixListener {
    pub(super) listener: Listener,
    pub(super) local: unix::SocketAddr,
}

/// The TCP connections that come.
#[derive(Debug)]
pub(super) struct Connections {
    listener: Listener,
    links: Arc<AtomicUsize>,
}

impl Connections {
    /// What comes is in this group from its first byte on.
    pub(super) fn new(listener: Listener, group: &RateGroup, links: &Arc<AtomicUsize>) -> Self {
        let group = group.clone();
        listener.prepare(move |stream| join(stream, &group));
        Self {
            listener,
            links: Arc::clone(links),
        }
    }

    async fn next(&self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            let stream = self.listener.accept().await?;
            let Ok(Some(peer)) = stream.peer_addr().await else {
                // It has gone again.
                continue;
            };
            if let Ok(stream) = TcpStream::new(stream, &self.links).await {
                return Ok((stream, peer));
            }
        }
    }
}

impl NetStreamListener<SocketAddr> for TcpListener {
    type Stream = TcpStream;
    type Incoming = Incoming<TcpStream, SocketAddr>;

    fn incoming(self) -> Self::Incoming {
        let coming = stream::unfold(self.of, |of| async move { Some((of.next().await, of)) });
        Incoming(Box::pin(coming))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}

impl NetStreamListener<unix::SocketAddr> for UnixListener {
    type Stream = UnixStream;
    type Incoming = Incoming<UnixStream, unix::SocketAddr>;

    fn incoming(self) -> Self::Incoming {
        let coming = stream::unfold(self.listener, |listener| async move {
            let next = listener.accept().await;
            let next =
                next.and_then(|stream| Ok((UnixStream { stream }, super::unix::nameless()?)));
            Some((next, listener))
        });
        Incoming(Box::pin(coming))
    }

    fn local_addr(&self) -> io::Result<unix::SocketAddr> {
        Ok(self.local.clone())
    }
}

type Coming<S, A> = dyn Stream<Item = io::Result<(S, A)>> + Send + Sync;

/// The connections of a listener: a stream of them, as futures has it.
///
/// ```
/// use ferrevent_tor::{Incoming, TcpStream};
/// use futures::stream::StreamExt;
///
/// async fn first(mut incoming: Incoming<TcpStream, std::net::SocketAddr>) {
///     if let Some(Ok((_, peer))) = incoming.next().await {
///         println!("{peer}");
///     }
/// }
/// ```
pub struct Incoming<S, A>(Pin<Box<Coming<S, A>>>);

impl<S, A> Stream for Incoming<S, A> {
    type Item = io::Result<(S, A)>;

    fn poll_next(mut self: Pin<&mut Self>, polling: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(polling)
    }
}
