//! A stream, as its tasks see it.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Polling, Poll};

use ferrevent_core::buffer::Buffer;
use ferrevent_core::filter::Filter;
use futures_io::{AsyncRead, AsyncWrite};

use super::ask::question;
use super::cell::Cell;
use crate::Stream;

/// A stream that tasks read and write: `futures::io`'s
/// [`AsyncRead`] and [`AsyncWrite`], and by cargo feature tokio's (`tokio-io`)
/// and hyper's (`hyper`).
///
/// - A read gives what has come, however little; zero bytes are the peer's
///   end. Who does not read has the stream stop receiving, once twice
///   [`StreamConfig::input`](crate::StreamConfig::input)'s high watermark waits.
/// - A write is taken while fewer bytes wait than the high watermark of
///   [`StreamConfig::output`](crate::StreamConfig::output); then it is pending
///   until they have fallen to the low one.
/// - What was written leaves as soon as the task waits for something. A flush
///   is pending while the kernel has not taken what was written before that;
///   a close while anything is left, and ends the sending side then: reading
///   goes on.
/// - Dropped, it sends what waits, within
///   [`StreamConfig::linger`](crate::StreamConfig::linger), and closes.
///
/// All of it is cancel-safe: bytes are taken by a read, and given to a write,
/// only when its future is ready. A `write_all` that is dropped midway has
/// written a part, as everywhere.
///
/// ```
/// use futures_util::io::{AsyncReadExt, AsyncWriteExt};
///
/// # async fn example(runtime: ferrevent::asynch::Runtime) -> Result<(), Box<dyn std::error::Error>> {
/// let mut stream = runtime.connect(&"127.0.0.1:7".parse()?).await?;
/// stream.write_all(b"hello").await?;
/// let mut answer = [0; 5];
/// stream.read_exact(&mut answer).await?;
/// # Ok(())
/// # }
/// ```
pub struct AsyncStream {
    cell: Arc<Cell>,
}

impl AsyncStream {
    pub(super) fn new(cell: Arc<Cell>) -> Self {
        Self { cell }
    }

    pub(super) fn cell(&self) -> &Cell {
        &self.cell
    }

    /// Does something with the [`Stream`] below: asks for its addresses, sets
    /// its limits, looks at what TLS has agreed on. Its input is what was not
    /// moved here yet; reading it there is reading past the tasks. Dropped
    /// before it is ready, it is done all the same.
    ///
    /// # Errors
    /// When the stream is over.
    ///
    /// ```
    /// # async fn example(stream: ferrevent::asynch::AsyncStream) -> std::io::Result<()> {
    /// let sent = stream.with(|stream| stream.sent_bytes()).await?;
    /// println!("{sent} bytes went");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn with<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Stream<'_>) -> R + Send + 'static,
    ) -> io::Result<R> {
        let (answering, answer) = question();
        let taken = self
            .cell
            .call(Box::new(move |stream| answering.answer(work(stream))));
        if !taken {
            return Err(over());
        }
        answer.await.ok_or_else(over)
    }

    /// Puts a filter on the stream, as [`Stream::add_filter`]: what was not
    /// read yet comes through it, what was written before goes below it. It is
    /// ready once the filter is open. Dropped before that, the filter is there
    /// all the same.
    ///
    /// # Errors
    /// `BrokenPipe` when one of the stream's sides has ended; why the filter
    /// did not open.
    ///
    /// ```
    /// # use ferrevent::{Filter, asynch::AsyncStream};
    /// # use futures_util::io::AsyncWriteExt;
    /// async fn upgrade(stream: &mut AsyncStream, filter: Box<dyn Filter>) -> std::io::Result<()> {
    ///     stream.write_all(b"filtered from here on\r\n").await?;
    ///     stream.add_filter(filter).await
    /// }
    /// ```
    pub async fn add_filter(&mut self, filter: Box<dyn Filter>) -> io::Result<()> {
        let cell = Arc::clone(&self.cell);
        self.with(move |stream| cell.add_filter(stream, filter))
            .await??;
        std::future::poll_fn(|polling| self.cell.poll_filtered(polling)).await
    }

    /// The peer's address; none for a unix socket's nameless end.
    ///
    /// # Errors
    /// When the stream is over.
    ///
    /// ```
    /// # async fn example(stream: ferrevent::asynch::AsyncStream) -> std::io::Result<()> {
    /// println!("from {:?}", stream.peer_addr().await?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn peer_addr(&self) -> io::Result<Option<SocketAddr>> {
        self.with(|stream| stream.peer_addr()).await
    }

    /// Its own address, as [`peer_addr`](Self::peer_addr).
    ///
    /// # Errors
    /// When the stream is over.
    ///
    /// ```
    /// # async fn example(stream: ferrevent::asynch::AsyncStream) -> std::io::Result<()> {
    /// println!("at {:?}", stream.local_addr().await?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn local_addr(&self) -> io::Result<Option<SocketAddr>> {
        self.with(|stream| stream.local_addr()).await
    }

    /// Waits until there is something to read, or the peer's end; takes
    /// nothing.
    ///
    /// # Errors
    /// As a read.
    ///
    /// ```
    /// # async fn example(stream: ferrevent::asynch::AsyncStream) -> std::io::Result<()> {
    /// stream.readable().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn readable(&self) -> io::Result<()> {
        std::future::poll_fn(|polling| self.cell.poll_readable(polling)).await
    }

    /// Moves what has come to the end of a buffer, without copying, and tells
    /// how much that was: zero is the peer's end.
    ///
    /// # Errors
    /// As a read. Where the buffer's back is frozen nothing is moved, and it
    /// is as if nothing had come.
    ///
    /// ```
    /// # use ferrevent::{Buffer, asynch::AsyncStream};
    /// async fn echo(stream: AsyncStream) -> std::io::Result<()> {
    ///     let mut bytes = Buffer::new();
    ///     while stream.read_buffer(&mut bytes).await? > 0 {
    ///         stream.write_buffer(&mut bytes).await?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub async fn read_buffer(&self, into: &mut Buffer) -> io::Result<usize> {
        std::future::poll_fn(|polling| {
            self.cell.poll_read(polling, |input| {
                let len = input.len();
                // Refused where the caller has frozen it.
                into.append_buffer(input).map_or(0, |()| len)
            })
        })
        .await
    }

    /// Moves a buffer to the output, without copying, as far as there is room;
    /// ready when all of it is there. Dropped before that, what was not moved
    /// is still in the buffer.
    ///
    /// # Errors
    /// As a write.
    ///
    /// ```
    /// # use ferrevent::{Buffer, asynch::AsyncStream};
    /// async fn greet(stream: &AsyncStream) -> std::io::Result<()> {
    ///     let mut greeting = Buffer::from(&b"hello\r\n"[..]);
    ///     stream.write_buffer(&mut greeting).await
    /// }
    /// ```
    pub async fn write_buffer(&self, from: &mut Buffer) -> io::Result<()> {
        std::future::poll_fn(|polling| {
            while !from.is_empty() {
                let written = self.cell.poll_write(polling, |output, room| {
                    from.move_to(output, room).unwrap_or(0)
                });
                match written {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(frozen())),
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Pending,
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    #[inline]
    pub(super) fn poll_read_into(
        &self,
        polling: &Polling<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if into.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.cell.poll_read(polling, |input| read(input, into))
    }

    /// Gives out what has come, piece by piece, as much as there is room for.
    #[cfg(any(feature = "hyper", feature = "tokio-io"))]
    #[inline]
    pub(super) fn poll_read_chunks(
        &self,
        polling: &Polling<'_>,
        room: usize,
        mut put: impl FnMut(&[u8]),
    ) -> Poll<io::Result<()>> {
        if room == 0 {
            return Poll::Ready(Ok(()));
        }
        let read = self.cell.poll_read(polling, |input| {
            let mut taken = 0;
            while taken < room && !input.is_empty() {
                let chunk = input.chunk();
                let chunk = chunk.get(..room - taken).unwrap_or(chunk);
                put(chunk);
                let len = chunk.len();
                taken += len;
                // The front of an input is never frozen.
                if len == 0 || input.drain(len).is_err() {
                    break;
                }
            }
            taken
        });
        read.map_ok(|_| ())
    }

    #[inline]
    pub(super) fn poll_write_from(
        &self,
        polling: &Polling<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.cell
            .poll_write(polling, |output, room| append(output, from, room))
    }

    #[inline]
    pub(super) fn poll_write_slices(
        &self,
        polling: &Polling<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.cell.poll_write(polling, |output, room| {
            let mut written = 0;
            for slice in from {
                written += append(output, slice, room - written);
            }
            written
        })
    }
}

/// The front of an input is never frozen, so this cannot be refused.
#[inline]
fn read(input: &mut Buffer, into: &mut [u8]) -> usize {
    input.read(into).unwrap_or(0)
}

#[inline]
fn append(output: &mut Buffer, from: &[u8], room: usize) -> usize {
    let some = from.get(..room).unwrap_or(from);
    match output.append(some) {
        Ok(()) => some.len(),
        Err(_) => 0,
    }
}

fn frozen() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the buffer's front is frozen")
}

fn over() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the stream is over")
}

impl AsyncRead for AsyncStream {
    fn poll_read(
        self: Pin<&mut Self>,
        polling: &mut Polling<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_read_into(polling, into)
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        polling: &mut Polling<'_>,
        into: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        if into.iter().all(|slice| slice.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        self.cell.poll_read(polling, |input| {
            into.iter_mut().map(|slice| read(input, slice)).sum()
        })
    }
}

impl AsyncWrite for AsyncStream {
    fn poll_write(
        self: Pin<&mut Self>,
        polling: &mut Polling<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_from(polling, from)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        polling: &mut Polling<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_slices(polling, from)
    }

    fn poll_flush(self: Pin<&mut Self>, polling: &mut Polling<'_>) -> Poll<io::Result<()>> {
        self.cell.poll_flush(polling, false)
    }

    fn poll_close(self: Pin<&mut Self>, polling: &mut Polling<'_>) -> Poll<io::Result<()>> {
        self.cell.poll_close(polling)
    }
}

impl Drop for AsyncStream {
    fn drop(&mut self) {
        self.cell.let_go();
    }
}

impl fmt::Debug for AsyncStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncStream").finish_non_exhaustive()
    }
}
