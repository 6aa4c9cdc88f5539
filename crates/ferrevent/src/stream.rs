//! A stream, as its handler sees it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use ferrevent_core::buffer::Buffer;
use ferrevent_os::{Port, socket};

use crate::event_loop::{Context, StreamCore};
use crate::handle::{Handle, Shared};
use crate::{CloseReason, StreamConfig, WriteError};

/// A stream, for the length of one callback. From elsewhere it is reached
/// through its [`Handle`].
pub struct Stream<'a> {
    pub(crate) core: &'a mut StreamCore,
    pub(crate) context: Context<'a>,
    pub(crate) shared: &'a mut Option<Arc<Shared>>,
}

impl<'a> Stream<'a> {
    /// The bytes that have come and were not taken yet.
    pub fn input(&mut self) -> &mut Buffer {
        self.core.machine.input()
    }

    /// The bytes that wait to be sent. Its front is frozen while the kernel
    /// reads it, its back once the sending side was finished.
    pub fn output(&mut self) -> &mut Buffer {
        self.core.machine.output()
    }

    /// Moves the whole input to the output, without copying. What cannot be
    /// sent any more stays where it is.
    pub fn echo(&mut self) {
        let (input, output) = self.core.machine.buffers();
        // Refused only once the sending side was finished.
        let _ = output.append_buffer(input);
    }

    /// Copies bytes to the output.
    ///
    /// # Errors
    /// `Full` when [`StreamConfig::write_limit`] bytes wait already: write
    /// again in [`writable`](crate::Handler::writable). `Finished` and
    /// `Closed` when nothing more can be sent. Then none was taken.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.core.machine.write(bytes)
    }

    /// Moves a whole buffer to the output, without copying.
    ///
    /// # Errors
    /// As [`write`](Self::write); the buffer is then unchanged.
    pub fn write_buffer(&mut self, bytes: &mut Buffer) -> Result<(), WriteError> {
        self.core.machine.check_write()?;
        self.core
            .machine
            .output()
            .append_buffer(bytes)
            .map_err(|_| WriteError::Finished)
    }

    /// Sends what waits, then ends the sending side; receiving goes on.
    pub fn finish_write(&mut self) {
        self.core.machine.finish_write();
    }

    /// Sends what waits, ends the sending side, and closes once the peer has
    /// ended its own, or [`StreamConfig::linger`] has passed. What the peer
    /// still sends is dropped.
    pub fn finish(&mut self) {
        let now = self.context.now_tick();
        self.core.machine.finish(now);
    }

    /// Closes at once; what waits is dropped.
    pub fn close(&mut self) {
        self.core.machine.close(CloseReason::Closed);
    }

    /// Closes at once with a reason of the program's own choice.
    pub fn close_because(&mut self, reason: CloseReason) {
        self.core.machine.close(reason);
    }

    /// Stops receiving until [`resume`](Self::resume).
    pub fn pause(&mut self) {
        self.core.machine.pause();
    }

    /// Receives again.
    pub fn resume(&mut self) {
        self.core.machine.resume();
    }

    /// Has [`readable`](crate::Handler::readable) called again for bytes that
    /// were left in the input, after other streams have had their turn.
    pub fn again(&mut self) {
        self.core.machine.again();
    }

    /// Its limits and timeouts.
    pub fn config(&self) -> &StreamConfig {
        self.core.machine.config()
    }

    /// Sets its limits and timeouts; the clocks of the timeouts start anew.
    pub fn configure(&mut self, config: StreamConfig) {
        let now = self.context.now_tick();
        self.core.machine.configure(now, config);
    }

    /// How many bytes have come.
    pub fn received_bytes(&self) -> u64 {
        self.core.machine.received_bytes()
    }

    /// How many bytes the kernel has taken.
    pub fn sent_bytes(&self) -> u64 {
        self.core.machine.sent_bytes()
    }

    /// Whether the peer has ended its side.
    pub fn has_ended(&self) -> bool {
        self.core.machine.has_ended()
    }

    /// The peer's address; none for a unix socket's nameless end, a pipe, a
    /// terminal.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        socket::peer(self.core.port()?)
    }

    /// Its own address, as [`peer_addr`](Self::peer_addr).
    pub fn local_addr(&self) -> Option<SocketAddr> {
        socket::local(self.core.port()?)
    }

    /// Has the kernel probe the connection while it is idle
    /// (`SO_KEEPALIVE`), or not.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn set_keepalive(&self, on: bool) -> io::Result<()> {
        self.with_port(|port| socket::set_keepalive(port, on))
    }

    /// Has small writes sent at once (`TCP_NODELAY`, the default), or
    /// gathered.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.with_port(|port| socket::set_nodelay(port, on))
    }

    /// A handle to this stream.
    pub fn handle(&mut self) -> Handle {
        let token = self.core.token();
        let limit = self.core.machine.config().write_limit;
        let shared = self
            .shared
            .get_or_insert_with(|| Arc::new(Shared::new(token, limit)));
        Handle {
            mailbox: self.context.mailbox(),
            shared: Arc::clone(shared),
        }
    }

    /// The loop that runs this stream: to connect, listen, set timers, stop.
    pub fn context(&mut self) -> &mut Context<'a> {
        &mut self.context
    }

    fn with_port<R>(&self, work: impl FnOnce(&Port) -> io::Result<R>) -> io::Result<R> {
        match self.core.port() {
            Some(port) => work(port),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl fmt::Debug for Stream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("token", &self.core.token())
            .field("machine", &self.core.machine)
            .finish_non_exhaustive()
    }
}
