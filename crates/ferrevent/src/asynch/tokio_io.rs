//! tokio's traits for streams. Nothing of tokio runs: they are traits alone.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context as Polling, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::AsyncStream;

impl AsyncRead for AsyncStream {
    fn poll_read(
        self: Pin<&mut Self>,
        polling: &mut Polling<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = into.remaining();
        self.poll_read_chunks(polling, room, |bytes| into.put_slice(bytes))
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

    fn poll_flush(self: Pin<&mut Self>, polling: &mut Polling<'_>) -> Poll<io::Result<()>> {
        self.cell().poll_flush(polling, false)
    }

    fn poll_shutdown(self: Pin<&mut Self>, polling: &mut Polling<'_>) -> Poll<io::Result<()>> {
        self.cell().poll_close(polling)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        polling: &mut Polling<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_slices(polling, from)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
