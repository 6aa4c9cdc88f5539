//! One TLS connection: a filter.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use rustls::{HandshakeKind, ProtocolVersion, SupportedCipherSuite};

use super::export::{self, Exporter, Secret};
use super::records::{Records, Sending};
use super::{TlsError, note};
use crate::Buffer;
use crate::filter::{Filter, Pass};

/// The header of a record: type, version, length.
const HEADER: usize = 5;
/// The longest record's payload, RFC 8446 section 5.2 and RFC 5246 section
/// 6.2.3: 2^14 bytes, and 2,048 for the cipher's own.
const LONGEST: usize = (1 << 14) + 2048;
/// The most of the owner's bytes in a record, RFC 8446 section 5.1: what is
/// written by 16 or 64 KiB, as most is, goes into whole ones.
const PLAIN: usize = 1 << 14;
/// What TLS 1.3 adds to a record: header, type, tag.
const OVERHEAD_13: usize = HEADER + 1 + 16;
/// And TLS 1.2, at most: header, nonce, tag.
const OVERHEAD_12: usize = HEADER + 8 + 16;
/// Less than this is gathered before it becomes a record of its own.
const GATHER: usize = 4096;
/// An alert, encrypted.
const ALERT: usize = OVERHEAD_12 + 2;

/// A TLS connection over a stream. [`Stream::tls`](crate::Stream::tls) gives
/// it out, to be asked what was agreed on.
///
/// ```
/// use ferrevent::Stream;
/// fn opened(stream: &mut Stream<'_>) {
///     if let Some(tls) = stream.tls() {
///         println!("{tls}, {:?}", tls.alpn());
///     }
/// }
/// ```
pub struct Session {
    records: Result<Box<dyn Records>, Option<TlsError>>,
    /// What the handshake has to send: bounded by its own size.
    own: Buffer,
    key: Option<Arc<CertifiedKey>>,
    name: Option<Box<str>>,
    /// What keying material is made from, and what is needed for that.
    secret: Option<Arc<Secret>>,
    server_random: Option<Box<[u8; 32]>>,
    dirty_shutdown: bool,
    started: bool,
    open: bool,
    peer_closed: bool,
    said_goodbye: bool,
    /// What is sent is not whole: goodbye is not said.
    cut: bool,
    /// So many bytes at the front of the source have been worked on: pieces of
    /// a message that is not complete, deciphered and moved together where
    /// they lie. rustls must see them again, and nothing can be sent before.
    seen: usize,
    heard: bool,
}

impl Session {
    /// What cannot begin fails as soon as the stream is worked on.
    pub(super) fn new(records: Result<Box<dyn Records>, TlsError>, dirty_shutdown: bool) -> Self {
        Self {
            records: records.map_err(Some),
            own: Buffer::new(),
            key: None,
            name: None,
            secret: None,
            server_random: None,
            dirty_shutdown,
            started: false,
            open: false,
            peer_closed: false,
            said_goodbye: false,
            cut: false,
            seen: 0,
            heard: false,
        }
    }

    fn records(&self) -> Option<&dyn Records> {
        self.records.as_deref().ok()
    }

    /// The version, once it is agreed on.
    ///
    /// ```
    /// # use ferrevent::tls::{Session, rustls};
    /// fn is_new(session: &Session) -> bool {
    ///     session.version() == Some(rustls::ProtocolVersion::TLSv1_3)
    /// }
    /// ```
    pub fn version(&self) -> Option<ProtocolVersion> {
        self.records()?.state().protocol_version()
    }

    /// The cipher suite, once it is agreed on.
    ///
    /// ```
    /// # use ferrevent::tls::Session;
    /// fn print(session: &Session) {
    ///     println!("{:?}", session.cipher().map(|suite| suite.suite()));
    /// }
    /// ```
    pub fn cipher(&self) -> Option<SupportedCipherSuite> {
        self.records()?.state().negotiated_cipher_suite()
    }

    /// The application protocol that was agreed on, RFC 7301.
    ///
    /// ```
    /// # use ferrevent::tls::Session;
    /// fn is_http2(session: &Session) -> bool {
    ///     session.alpn() == Some(b"h2")
    /// }
    /// ```
    pub fn alpn(&self) -> Option<&[u8]> {
        self.records()?.state().alpn_protocol()
    }

    /// The peer's certificates, its own first; none if it showed none.
    ///
    /// ```
    /// # use ferrevent::tls::Session;
    /// fn is_known(session: &Session) -> bool {
    ///     !session.peer_certificates().is_empty()
    /// }
    /// ```
    pub fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        let state = self.records().map(|it| it.state());
        state
            .and_then(|state| state.peer_certificates())
            .unwrap_or_default()
    }

    /// The certificates that were shown to the peer. None where none were, as
    /// when an earlier session was resumed.
    ///
    /// ```
    /// # use ferrevent::tls::Session;
    /// fn count(session: &Session) -> usize {
    ///     session.own_certificates().len()
    /// }
    /// ```
    pub fn own_certificates(&self) -> &[CertificateDer<'static>] {
        self.key.as_ref().map_or(&[], |key| &key.cert)
    }

    /// The name that the client asked a server for, RFC 6066.
    ///
    /// ```
    /// # use ferrevent::tls::Session;
    /// fn host(session: &Session) -> &str {
    ///     session.server_name().unwrap_or("any")
    /// }
    /// ```
    pub fn server_name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether an earlier session was resumed.
    ///
    /// ```
    /// # use ferrevent::tls::Session;
    /// fn is_cheap(session: &Session) -> bool {
    ///     session.is_resumed()
    /// }
    /// ```
    pub fn is_resumed(&self) -> bool {
        let kind = self.records().map(|it| it.state().handshake_kind());
        kind == Some(Some(HandshakeKind::Resumed))
    }

    /// Fills `output` with keying material for another protocol, RFC 5705 and
    /// RFC 8446 section 7.5: the peer gets the same from the same label and
    /// context. Labels are registered with IANA or begin with `EXPERIMENTAL`.
    ///
    /// # Errors
    /// [`TlsError::Protocol`] before the handshake is over;
    /// [`TlsError::Config`] where output, label or context is longer than the
    /// protocol can have it, or no output is asked for.
    ///
    /// ```
    /// # use ferrevent::tls::{Session, TlsError};
    /// fn binding(session: &Session) -> Result<[u8; 32], TlsError> {
    ///     let mut key = [0; 32];
    ///     session.export_keying_material(b"EXPORTER-Channel-Binding", None, &mut key)?;
    ///     Ok(key)
    /// }
    /// ```
    pub fn export_keying_material(
        &self,
        label: &[u8],
        context: Option<&[u8]>,
        output: &mut [u8],
    ) -> Result<(), TlsError> {
        self.exporter()?.export(label, context, output)
    }

    /// What makes keying material of this session wherever that is wanted, and
    /// whenever.
    ///
    /// # Errors
    /// [`TlsError::Protocol`] before the handshake is over.
    ///
    /// ```
    /// # use ferrevent::tls::{Exporter, Session, TlsError};
    /// fn keep(session: &Session) -> Result<Exporter, TlsError> {
    ///     session.exporter()
    /// }
    /// ```
    pub fn exporter(&self) -> Result<Exporter, TlsError> {
        match (self.open, &self.secret, self.cipher()) {
            (true, Some(secret), Some(suite)) => Ok(Exporter::new(Arc::clone(secret), suite)),
            _ => Err(rustls::Error::HandshakeNotComplete.into()),
        }
    }

    /// Lets rustls work on what lies at the front of the source.
    fn receive(&mut self, pass: &mut Pass<'_>, len: usize) -> io::Result<usize> {
        let Ok(records) = &mut self.records else {
            return Ok(0);
        };
        let (source, target) = pass.both();
        if !self.open && records.is_client() {
            look_for_random(source, &mut self.server_random);
        }
        source.make_mutable(len)?;
        let mut none = [];
        let bytes = source
            .front_mut()
            .map_or(&mut none[..], |it| &mut it[..len]);
        match records.receive(bytes, target, &mut self.own) {
            Ok(progress) => {
                if !self.open {
                    self.note();
                }
                source.drain(progress.used)?;
                self.peer_closed |= progress.peer_closed;
                Ok(progress.used)
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    /// What has come about in the handshake.
    fn note(&mut self) {
        if self.records().is_some_and(|it| !it.is_client()) {
            look_for_random(&self.own, &mut self.server_random);
        }
        let notes = note::take();
        self.key = notes.key.or(self.key.take());
        self.name = notes.name.or(self.name.take());
        if let Some(told) = notes.told {
            self.secret = Secret::new(told, self.server_random.as_deref().copied());
        }
        self.open = self
            .records()
            .is_some_and(|records| !records.state().is_handshaking());
        if self.open {
            self.server_random = None;
        }
    }

    /// The connection is over; rustls has an alert for the peer.
    fn fail(&mut self, error: rustls::Error) -> io::Error {
        let first = self.version().is_none();
        if let Ok(records) = &mut self.records {
            // The first error counts, not one in telling of it.
            let _ = records.last_words(&mut self.own);
        }
        drop(note::take());
        match error {
            rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) if first => {
                TlsError::NotTls.into()
            }
            error => TlsError::from(error).into(),
        }
    }

    /// How long the record behind the first bytes is; none if that has not
    /// come.
    fn next_record(pass: &mut Pass<'_>, skip: usize) -> io::Result<Option<usize>> {
        let end = skip + HEADER;
        if pass.available() < end {
            return Ok(None);
        }
        let (high, low) = match pass.chunk().get(end - 2..end) {
            Some(len) => (len[0], len[1]),
            None => {
                let mut head = vec![0; end];
                pass.source().copy_out(&mut head)?;
                (head[end - 2], head[end - 1])
            }
        };
        Ok(Some(HEADER + usize::from(u16::from_be_bytes([high, low]))))
    }

    fn send(&mut self, what: Sending<'_>, target: &mut Buffer, room: usize) -> io::Result<bool> {
        let Ok(records) = &mut self.records else {
            return Ok(false);
        };
        records
            .send(what, target, room)
            .map_err(|error| TlsError::from(error).into())
    }

    /// Encrypts one record's worth; false when it cannot go on.
    fn encrypt(&mut self, pass: &mut Pass<'_>) -> io::Result<bool> {
        let overhead = match self.version() {
            Some(ProtocolVersion::TLSv1_3) => OVERHEAD_13,
            _ => OVERHEAD_12,
        };
        let most = pass.available().min(PLAIN);
        let (source, target) = pass.both();
        if source.chunk().len() < most.min(GATHER) {
            source.make_contiguous(most)?;
        }
        let n = source.chunk().len().min(most);
        let sent = self.send(Sending::Data(&source.chunk()[..n]), target, n + overhead)?;
        if sent {
            source.drain(n)?;
        }
        Ok(sent)
    }
}

impl Filter for Session {
    fn decode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        if let Err(error) = &mut self.records {
            return Err(error.take().unwrap_or(TlsError::HandshakeCut).into());
        }
        while !self.peer_closed && (pass.room() > 0 || !self.open) {
            let Some(len) = Self::next_record(pass, self.seen)? else {
                break;
            };
            // What is too long is not waited for: rustls says so.
            let len = self.seen + if len > HEADER + LONGEST { HEADER } else { len };
            if pass.available() < len {
                // Garbage is recognised by its first bytes.
                if !std::mem::replace(&mut self.heard, true) {
                    self.receive(pass, HEADER)?;
                }
                break;
            }
            self.seen = len - self.receive(pass, len)?;
            self.heard = true;
        }
        if self.peer_closed {
            pass.end();
        } else if pass.is_last() && pass.room() > 0 {
            return match (self.open, self.dirty_shutdown) {
                (false, _) => Err(TlsError::HandshakeCut.into()),
                (true, false) => Err(TlsError::Truncated.into()),
                (true, true) => {
                    pass.end();
                    Ok(())
                }
            };
        }
        Ok(())
    }

    fn encode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        if let Err(error) = &mut self.records {
            return match error.take() {
                Some(error) => Err(error.into()),
                None => Ok(()),
            };
        }
        if !std::mem::replace(&mut self.started, true) {
            // A client speaks first.
            self.receive_nothing()?;
        }
        if !self.own.is_empty() {
            pass.target().append_buffer(&mut self.own)?;
        }
        if !self.open || self.seen > 0 {
            return Ok(());
        }
        while pass.room() > 0 && pass.available() > 0 {
            if !self.encrypt(pass)? {
                return Ok(());
            }
        }
        if pass.is_last() && pass.available() == 0 && !self.said_goodbye {
            self.said_goodbye =
                self.cut || self.send(Sending::CloseNotify, pass.target(), ALERT)?;
            if self.said_goodbye {
                pass.end();
            }
        }
        Ok(())
    }

    fn is_open(&self) -> bool {
        self.open
    }

    fn cut_short(&mut self) {
        self.cut = true;
    }
}

impl Session {
    fn receive_nothing(&mut self) -> io::Result<()> {
        let Ok(records) = &mut self.records else {
            return Ok(());
        };
        let mut nothing = Buffer::new();
        match records.receive(&mut [], &mut nothing, &mut self.own) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.fail(error)),
        }
    }
}

/// The server's random, once what it sent first lies in a buffer.
fn look_for_random(first: &Buffer, found: &mut Option<Box<[u8; 32]>>) {
    let mut head = [0; export::HELLO];
    if found.is_none() && matches!(first.copy_out(&mut head), Ok(export::HELLO)) {
        *found = export::server_random(&head).map(Box::new);
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version() {
            Some(ProtocolVersion::TLSv1_3) => f.write_str("TLSv1.3")?,
            Some(ProtocolVersion::TLSv1_2) => f.write_str("TLSv1.2")?,
            _ => return f.write_str("TLS, in the handshake"),
        }
        match self.cipher().map(|suite| suite.suite()) {
            Some(suite) => write!(f, " {suite:?}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("open", &self.open)
            .field("version", &self.version())
            .field("peer_closed", &self.peer_closed)
            .finish_non_exhaustive()
    }
}
