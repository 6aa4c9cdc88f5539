//! A link that shows what it says first: the versions that both ends speak.

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use futures::io::{AsyncRead, AsyncWrite};
use tor_rtcompat::{CertifiedConn, StreamOps};

use crate::TlsStream;

/// A link with an ear on it.
pub(super) struct Tap {
    link: TlsStream,
    heard: Heard,
}

/// What was sent and received first.
#[derive(Clone, Default)]
pub(super) struct Heard(Arc<Mutex<[Vec<u8>; 2]>>);

/// A VERSIONS cell is not longer.
const ENOUGH: usize = 128;

impl Tap {
    pub(super) fn new(link: TlsStream) -> (Self, Heard) {
        let heard = Heard::default();
        let tap = Self {
            link,
            heard: heard.clone(),
        };
        (tap, heard)
    }
}

impl Heard {
    /// The link protocol that both have agreed on: the highest that both offer
    /// (tor-spec, "Negotiating and initializing channels").
    pub(super) fn link_protocol(&self) -> Option<u16> {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let [ours, theirs] = [versions(&heard[0])?, versions(&heard[1])?];
        ours.into_iter().filter(|it| theirs.contains(it)).max()
    }

    fn note(&self, side: usize, bytes: &[u8]) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = ENOUGH.saturating_sub(heard[side].len());
        heard[side].extend(bytes.iter().take(room));
    }
}

/// The versions in the first cell: a circuit of two bytes, a command, a length,
/// and two bytes for each.
fn versions(first: &[u8]) -> Option<Vec<u16>> {
    const VERSIONS: u8 = 7;
    let (head, rest) = first.split_at_checked(5)?;
    let len = usize::from(u16::from_be_bytes([head[3], head[4]]));
    if head[2] != VERSIONS {
        return None;
    }
    let pairs = rest.get(..len)?.chunks_exact(2);
    Some(
        pairs
            .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
            .collect(),
    )
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        polling: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let len = ready!(Pin::new(&mut self.link).poll_read(polling, into))?;
        self.heard.note(1, &into[..len]);
        Poll::Ready(Ok(len))
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        polling: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let len = ready!(Pin::new(&mut self.link).poll_write(polling, from))?;
        self.heard.note(0, &from[..len]);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(mut self: Pin<&mut Self>, polling: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.link).poll_flush(polling)
    }

    fn poll_close(mut self: Pin<&mut Self>, polling: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.link).poll_close(polling)
    }
}

impl StreamOps for Tap {
    fn set_tcp_notsent_lowat(&self, bytes: u32) -> io::Result<()> {
        self.link.set_tcp_notsent_lowat(bytes)
    }

    fn new_handle(&self) -> Box<dyn StreamOps + Send + Unpin> {
        self.link.new_handle()
    }
}

impl CertifiedConn for Tap {
    fn export_keying_material(
        &self,
        len: usize,
        label: &[u8],
        context: Option<&[u8]>,
    ) -> io::Result<Vec<u8>> {
        self.link.export_keying_material(len, label, context)
    }

    fn peer_certificate(&self) -> io::Result<Option<Cow<'_, [u8]>>> {
        self.link.peer_certificate()
    }

    fn own_certificate(&self) -> io::Result<Option<Cow<'_, [u8]>>> {
        self.link.own_certificate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let cell = [0, 0, 7, 0, 6, 0, 3, 0, 4, 0, 5, 99];
        assert_eq!(versions(&cell), Some(vec![3, 4, 5]));
        assert_eq!(versions(&cell[..9]), None, "it has not come whole");
        assert_eq!(versions(b"HTTP/1.1"), None);
        let heard = Heard::default();
        heard.note(0, &[0, 0, 7, 0, 4, 0, 4, 0, 5]);
        assert_eq!(heard.link_protocol(), None);
        heard.note(1, &cell);
        assert_eq!(heard.link_protocol(), Some(5));
    }
}
