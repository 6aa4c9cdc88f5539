//! Streams: Ferrevent's, with what Arti asks of them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll};

use ferrevent::asynch::AsyncStream;
use ferrevent::limit::Share;
use ferrevent::{RateGroup, Stream, StreamConfig, Watermarks};
use futures::io::{AsyncRead, AsyncWrite};
use tor_rtcompat::{StreamOps, UnsupportedStreamOp};

use super::SocketOptions;

/// What waits in a link for either side: cells are small, and those that wait
/// here can no longer be put into another order.
pub(super) const LINK: StreamConfig = StreamConfig {
    input: Watermarks {
        low: 0,
        high: 64 * 1024,
    },
    output: Watermarks {
        low: 16 * 1024,
        high: 64 * 1024,
    },
    ..StreamConfig::DEFAULT
};

/// A TCP connection in a group of rate limits.
///
/// ```
/// use ferrevent_tor::TorRuntime;
/// use tor_rtcompat::{NetStreamProvider, ToplevelBlockOn};
///
/// let runtime = TorRuntime::new()?;
/// let server = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let address = server.local_addr()?;
/// let stream = runtime.block_on(runtime.connect(&address, &Default::default()))?;
/// # drop(stream);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct TcpStream {
    pub(super) stream: AsyncStream,
    options: SocketOptions,
    pub(super) links: Arc<AtomicUsize>,
}

/// A connection of unix sockets.
///
/// ```
/// # async fn name(stream: ferrevent_tor::UnixStream) {
/// println!("{stream:?}");
/// # }
/// ```
#[derive(Debug)]
pub struct UnixStream {
    pub(super) stream: AsyncStream,
}

impl TcpStream {
    /// A connection that is in its group.
    pub(super) async fn new(stream: AsyncStream, links: &Arc<AtomicUsize>) -> io::Result<Self> {
        let handle = stream.with(|stream| stream.handle()).await?;
        Ok(Self {
            stream,
            options: SocketOptions(handle),
            links: Arc::clone(links),
        })
    }
}

/// Puts a connection into a group.
pub(super) fn join(stream: &mut Stream<'_>, group: &RateGroup) {
    // The group is of the same pool, and a tree of four billion streams refuses
    // one more.
    if stream.join(group, Share::default()).is_err() {
        stream.close();
    }
}

impl StreamOps for TcpStream {
    fn set_tcp_notsent_lowat(&self, bytes: u32) -> io::Result<()> {
        self.options.set_tcp_notsent_lowat(bytes)
    }

    fn new_handle(&self) -> Box<dyn StreamOps + Send + Unpin> {
        self.options.new_handle()
    }
}

impl StreamOps for UnixStream {
    fn set_tcp_notsent_lowat(&self, _: u32) -> io::Result<()> {
        let unsupported =
            UnsupportedStreamOp::new("set_tcp_notsent_lowat", "unsupported on Unix streams");
        Err(unsupported.into())
    }
}

/// Reads and writes are those of the stream inside.
macro_rules! read_and_write {
    ($($outer:ty: $($inner:ident).+;)*) => {
        $(
            impl AsyncRead for $outer {
                fn poll_read(
                    mut self: Pin<&mut Self>,
                    polling: &mut Context<'_>,
                    into: &mut [u8],
                ) -> Poll<io::Result<usize>> {
                    Pin::new(&mut self.$($inner).+).poll_read(polling, into)
                }
            }

            impl AsyncWrite for $outer {
                fn poll_write(
                    mut self: Pin<&mut Self>,
                    polling: &mut Context<'_>,
                    from: &[u8],
                ) -> Poll<io::Result<usize>> {
                    Pin::new(&mut self.$($inner).+).poll_write(polling, from)
                }

                fn poll_flush(
                    mut self: Pin<&mut Self>,
                    polling: &mut Context<'_>,
                ) -> Poll<io::Result<()>> {
                    Pin::new(&mut self.$($inner).+).poll_flush(polling)
                }

                fn poll_close(
                    mut self: Pin<&mut Self>,
                    polling: &mut Context<'_>,
                ) -> Poll<io::Result<()>> {
                    Pin::new(&mut self.$($inner).+).poll_close(polling)
                }
            }
        )*
    };
}

read_and_write! {
    TcpStream: stream;
    UnixStream: stream;
    super::TlsStream: tcp.stream;
}
