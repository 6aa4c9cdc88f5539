//! rustls's unbuffered connections, client and server alike.

use rustls::CommonState;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus,
};

use crate::Buffer;

/// What one round of work came to.
#[derive(Default)]
pub(super) struct Progress {
    /// So many bytes of what was given are done with.
    pub(super) used: usize,
    /// The peer has said that it sends nothing more.
    pub(super) peer_closed: bool,
}

/// What is to be sent of one's own.
#[derive(Clone, Copy)]
pub(super) enum Sending<'a> {
    Data(&'a [u8]),
    CloseNotify,
}

/// Either side of a connection. It is an object lest a program that is only
/// ever one of them has to carry the other's handshake.
pub(super) trait Records: Send + Sync {
    fn state(&self) -> &CommonState;

    fn is_client(&self) -> bool;

    /// Works on records: plaintext goes to one buffer, what the handshake has
    /// to send to the other.
    fn receive(
        &mut self,
        records: &mut [u8],
        plain: &mut Buffer,
        own: &mut Buffer,
    ) -> Result<Progress, rustls::Error>;

    /// After an error: the alert for the peer. The bytes that caused it must
    /// not be looked at again, and so nothing but what is ready is asked for.
    fn last_words(&mut self, own: &mut Buffer) -> Result<(), rustls::Error>;

    /// Encrypts; false when nothing can be sent yet.
    fn send(
        &mut self,
        what: Sending<'_>,
        target: &mut Buffer,
        room: usize,
    ) -> Result<bool, rustls::Error>;
}

impl<P: Process + Send + Sync> Records for P {
    fn state(&self) -> &CommonState {
        self.common()
    }

    fn is_client(&self) -> bool {
        P::CLIENT
    }

    fn receive(
        &mut self,
        records: &mut [u8],
        plain: &mut Buffer,
        own: &mut Buffer,
    ) -> Result<Progress, rustls::Error> {
        receive(self, records, plain, own)
    }

    fn last_words(&mut self, own: &mut Buffer) -> Result<(), rustls::Error> {
        while self.common().wants_write() {
            say(self, own)?;
        }
        Ok(())
    }

    fn send(
        &mut self,
        what: Sending<'_>,
        target: &mut Buffer,
        room: usize,
    ) -> Result<bool, rustls::Error> {
        send(self, what, target, room)
    }
}

trait Process {
    const CLIENT: bool;
    type Data;
    fn common(&self) -> &CommonState;
    fn process<'c, 'i>(&'c mut self, records: &'i mut [u8])
    -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Process for UnbufferedClientConnection {
    const CLIENT: bool = true;
    type Data = ClientConnectionData;
    fn common(&self) -> &CommonState {
        self
    }
    fn process<'c, 'i>(
        &'c mut self,
        records: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(records)
    }
}

impl Process for UnbufferedServerConnection {
    const CLIENT: bool = false;
    type Data = ServerConnectionData;
    fn common(&self) -> &CommonState {
        self
    }
    fn process<'c, 'i>(
        &'c mut self,
        records: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(records)
    }
}

fn receive<P: Process>(
    connection: &mut P,
    records: &mut [u8],
    plain: &mut Buffer,
    own: &mut Buffer,
) -> Result<Progress, rustls::Error> {
    let mut progress = Progress::default();
    let mut only_traffic = true;
    loop {
        let status = connection.process(&mut records[progress.used..]);
        let mut used = status.discard;
        only_traffic &= matches!(status.state, Ok(ConnectionState::ReadTraffic(_)));
        let blocked = match status.state? {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let record = record?;
                    used += record.discard;
                    append(plain, record.payload)?;
                }
                false
            }
            ConnectionState::EncodeTlsData(encode) => {
                put(encode, own)?;
                false
            }
            ConnectionState::TransmitTlsData(transmit) => {
                transmit.done();
                false
            }
            ConnectionState::PeerClosed => {
                progress.peer_closed = true;
                false
            }
            // Early data is never accepted; everything else waits for bytes.
            _ => true,
        };
        progress.used += used;
        // Behind the last byte of mere traffic there is nothing to be told.
        let over =
            only_traffic && progress.used == records.len() && !connection.common().wants_write();
        if blocked || over {
            return Ok(progress);
        }
    }
}

/// Puts out one thing that is ready.
fn say<P: Process>(connection: &mut P, own: &mut Buffer) -> Result<(), rustls::Error> {
    match connection.process(&mut []).state? {
        ConnectionState::EncodeTlsData(encode) => put(encode, own),
        _ => Err(rustls::Error::General("nothing is ready".into())),
    }
}

fn put<Data>(mut encode: EncodeTlsData<'_, Data>, own: &mut Buffer) -> Result<(), rustls::Error> {
    let mut room = 0;
    loop {
        match encode.encode(reserve(own, room)?) {
            Ok(written) => return commit(own, written),
            Err(EncodeError::InsufficientSize(needs)) if room == 0 => {
                room = needs.required_size;
            }
            Err(error) => return Err(rustls::Error::General(error.to_string())),
        }
    }
}

fn send<P: Process>(
    connection: &mut P,
    what: Sending<'_>,
    target: &mut Buffer,
    room: usize,
) -> Result<bool, rustls::Error> {
    let status = connection.process(&mut []);
    let ConnectionState::WriteTraffic(mut traffic) = status.state? else {
        return Ok(false);
    };
    let mut room = room;
    loop {
        let into = reserve(target, room)?;
        let outcome = match what {
            Sending::Data(bytes) => traffic.encrypt(bytes, into),
            Sending::CloseNotify => traffic.queue_close_notify(into),
        };
        match outcome {
            Ok(written) => {
                commit(target, written)?;
                return Ok(true);
            }
            Err(EncryptError::InsufficientSize(needs)) if needs.required_size > room => {
                room = needs.required_size;
            }
            Err(error) => return Err(rustls::Error::General(error.to_string())),
        }
    }
}

fn append(buffer: &mut Buffer, bytes: &[u8]) -> Result<(), rustls::Error> {
    buffer.append(bytes).map_err(refused)
}

fn reserve(buffer: &mut Buffer, n: usize) -> Result<&mut [u8], rustls::Error> {
    buffer
        .reserve(n)
        .map(|room| &mut room[..n])
        .map_err(refused)
}

fn commit(buffer: &mut Buffer, n: usize) -> Result<(), rustls::Error> {
    buffer.commit(n).map_err(refused)
}

/// Only a frozen or overlong buffer refuses bytes.
fn refused(error: crate::buffer::BufferError) -> rustls::Error {
    rustls::Error::General(error.to_string())
}
