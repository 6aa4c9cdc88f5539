//! A stream, as its handler sees it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use ferrevent_core::buffer::Buffer;
use ferrevent_core::stream::Machine;
use ferrevent_os::{Port, Token, socket};

use crate::engine::Limited;
use crate::handle::{Handle, Shared};
use crate::host::Context;
use crate::{CloseReason, StreamConfig, WriteError};

/// A stream, for the length of one callback. From elsewhere it is reached
/// through its [`Handle`].
///
/// ```
/// # use ferrevent::{EventLoop, Stream};
/// # let mut events = EventLoop::new()?;
/// events.listen("127.0.0.1:0".parse()?, || |stream: &mut Stream<'_>| {
///     println!("{:?} says {} bytes", stream.peer_addr(), stream.input().len());
///     stream.echo();
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Stream<'a> {
    pub(crate) machine: &'a mut Machine,
    pub(crate) port: Option<&'a Port>,
    pub(crate) token: Token,
    pub(crate) limited: &'a mut Option<Box<Limited>>,
    pub(crate) shared: &'a mut Option<Arc<Shared>>,
    pub(crate) context: Context<'a>,
}

impl<'a> Stream<'a> {
    /// The bytes that have come and were not taken yet.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream, buffer::Eol};
    /// # let mut events = EventLoop::new()?;
    /// events.listen("127.0.0.1:0".parse()?, || |stream: &mut Stream<'_>| {
    ///     while let Ok(Some(line)) = stream.input().read_line(Eol::Crlf, 1000) {
    ///         println!("{}", String::from_utf8_lossy(&line));
    ///     }
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn input(&mut self) -> &mut Buffer {
        self.machine.input()
    }

    /// The bytes that wait to be sent. Its front is frozen while the kernel
    /// reads it, its back once the sending side was finished.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// events.listen("127.0.0.1:0".parse()?, || |stream: &mut Stream<'_>| {
    ///     if stream.output().is_empty() {
    ///         let _ = stream.write(b"ready\r\n");
    ///     }
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn output(&mut self) -> &mut Buffer {
        self.machine.output()
    }

    /// Moves the whole input to the output, without copying. What cannot be
    /// sent any more stays where it is.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// events.listen("127.0.0.1:0".parse()?, || |stream: &mut Stream<'_>| {
    ///     stream.echo();
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn echo(&mut self) {
        let (input, output) = self.machine.buffers();
        // Refused only once the sending side was finished.
        let _ = output.append_buffer(input);
    }

    /// Copies bytes to the output.
    ///
    /// # Errors
    /// `Full` when [`StreamConfig::write_limit`] bytes wait already: write
    /// again in [`writable`](crate::Handler::writable). `Finished` and
    /// `Closed` when nothing more can be sent. Then none was taken.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream, WriteError};
    /// # let mut events = EventLoop::new()?;
    /// events.listen("127.0.0.1:0".parse()?, || |stream: &mut Stream<'_>| {
    ///     match stream.write(b"hello\r\n") {
    ///         Ok(()) => {}
    ///         // Go on in `writable`.
    ///         Err(WriteError::Full) => stream.pause(),
    ///         Err(_) => stream.close(),
    ///     }
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.machine.write(bytes)
    }

    /// Moves a whole buffer to the output, without copying.
    ///
    /// # Errors
    /// As [`write`](Self::write); the buffer is then unchanged.
    ///
    /// ```
    /// # use ferrevent::{Buffer, EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// events.listen("127.0.0.1:0".parse()?, || |stream: &mut Stream<'_>| {
    ///     let mut answer = Buffer::from(vec![b'.'; 100_000]);
    ///     if stream.write_buffer(&mut answer).is_err() {
    ///         println!("{} bytes kept for later", answer.len());
    ///     }
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write_buffer(&mut self, bytes: &mut Buffer) -> Result<(), WriteError> {
        self.machine.check_write()?;
        self.machine
            .output()
            .append_buffer(bytes)
            .map_err(|_| WriteError::Finished)
    }

    /// Sends what waits, then ends the sending side; receiving goes on.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// events.listen("127.0.0.1:0".parse()?, || |stream: &mut Stream<'_>| {
    ///     let _ = stream.write(b"that was all\r\n");
    ///     stream.finish_write();
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn finish_write(&mut self) {
        self.machine.finish_write();
    }

    /// Sends what waits, ends the sending side, and closes once the peer has
    /// ended its own, or [`StreamConfig::linger`] has passed. What the peer
    /// still sends is dropped.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// events.listen("127.0.0.1:0".parse()?, || |stream: &mut Stream<'_>| {
    ///     let _ = stream.write(b"bye\r\n");
    ///     stream.finish();
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn finish(&mut self) {
        let now = self.context.now_tick();
        self.machine.finish(now);
    }

    /// Closes at once; what waits is dropped.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// events.listen("127.0.0.1:0".parse()?, || |stream: &mut Stream<'_>| {
    ///     if stream.input().len() > 1000 {
    ///         stream.close();
    ///     }
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(&mut self) {
        self.machine.close(CloseReason::Closed);
    }

    /// Closes at once with a reason of the program's own choice.
    ///
    /// ```
    /// # use ferrevent::{CloseReason, EventLoop, Stream, Timeout};
    /// # let mut events = EventLoop::new()?;
    /// events.listen("127.0.0.1:0".parse()?, || |stream: &mut Stream<'_>| {
    ///     stream.close_because(CloseReason::TimedOut(Timeout::Read));
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close_because(&mut self, reason: CloseReason) {
        self.machine.close(reason);
    }

    /// Stops receiving until [`resume`](Self::resume).
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// events.listen("127.0.0.1:0".parse()?, || |stream: &mut Stream<'_>| {
    ///     // Until somebody calls `resume`, by way of a handle perhaps.
    ///     stream.pause();
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pause(&mut self) {
        self.machine.pause();
    }

    /// Receives again.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// events.listen("127.0.0.1:0".parse()?, || |stream: &mut Stream<'_>| {
    ///     stream.pause();
    ///     stream.resume();
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resume(&mut self) {
        self.machine.resume();
    }

    /// Has [`readable`](crate::Handler::readable) called again for bytes that
    /// were left in the input, after other streams have had their turn.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// events.listen("127.0.0.1:0".parse()?, || |stream: &mut Stream<'_>| {
    ///     // One piece at a time, so that other streams have their turn.
    ///     let _ = stream.input().drain(4096);
    ///     stream.again();
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn again(&mut self) {
        self.machine.again();
    }

    /// Its limits and timeouts.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// events.listen("127.0.0.1:0".parse()?, || |stream: &mut Stream<'_>| {
    ///     println!("receives while fewer than {} bytes wait", stream.config().input.high);
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn config(&self) -> &StreamConfig {
        self.machine.config()
    }

    /// Sets its limits and timeouts; the clocks of the timeouts start anew.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// events.listen("127.0.0.1:0".parse()?, || |stream: &mut Stream<'_>| {
    ///     let mut config = *stream.config();
    ///     config.read_timeout = Some(Duration::from_secs(30));
    ///     stream.configure(config);
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn configure(&mut self, config: StreamConfig) {
        let now = self.context.now_tick();
        self.machine.configure(now, config);
    }

    /// How many bytes have come.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// events.listen("127.0.0.1:0".parse()?, || |stream: &mut Stream<'_>| {
    ///     println!("{} bytes came", stream.received_bytes());
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn received_bytes(&self) -> u64 {
        self.machine.received_bytes()
    }

    /// How many bytes the kernel has taken.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// events.listen("127.0.0.1:0".parse()?, || |stream: &mut Stream<'_>| {
    ///     println!("{} bytes went", stream.sent_bytes());
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sent_bytes(&self) -> u64 {
        self.machine.sent_bytes()
    }

    /// Whether the peer has ended its side.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// events.listen("127.0.0.1:0".parse()?, || |stream: &mut Stream<'_>| {
    ///     if stream.has_ended() {
    ///         println!("nothing more will come");
    ///     }
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn has_ended(&self) -> bool {
        self.machine.has_ended()
    }

    /// The peer's address; none for a unix socket's nameless end, a pipe, a
    /// terminal.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// events.listen("127.0.0.1:0".parse()?, || |stream: &mut Stream<'_>| {
    ///     println!("from {:?}", stream.peer_addr());
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        socket::peer(self.port?)
    }

    /// Its own address, as [`peer_addr`](Self::peer_addr).
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// events.listen("127.0.0.1:0".parse()?, || |stream: &mut Stream<'_>| {
    ///     println!("at {:?}", stream.local_addr());
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn local_addr(&self) -> Option<SocketAddr> {
        socket::local(self.port?)
    }

    /// Has the kernel probe the connection while it is idle
    /// (`SO_KEEPALIVE`), or not.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// events.listen("127.0.0.1:0".parse()?, || |stream: &mut Stream<'_>| {
    ///     if let Err(error) = stream.set_keepalive(true) {
    ///         println!("no keepalive: {error}");
    ///     }
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_keepalive(&self, on: bool) -> io::Result<()> {
        self.with_port(|port| socket::set_keepalive(port, on))
    }

    /// Has small writes sent at once (`TCP_NODELAY`, the default), or
    /// gathered.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// events.listen("127.0.0.1:0".parse()?, || |stream: &mut Stream<'_>| {
    ///     // Many small writes that need not go at once.
    ///     let _ = stream.set_nodelay(false);
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.with_port(|port| socket::set_nodelay(port, on))
    }

    /// Lets no more than so many bytes wait unsent in the kernel
    /// (`TCP_NOTSENT_LOWAT`, tcp(7)). `u32::MAX` is no limit.
    ///
    /// # Errors
    /// Those of setsockopt(2); `NotConnected` before there is a descriptor,
    /// `Unsupported` where the system has no such option.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// events.listen("127.0.0.1:0".parse()?, || |stream: &mut Stream<'_>| {
    ///     let _ = stream.set_notsent_lowat(16_384);
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_notsent_lowat(&self, bytes: u32) -> io::Result<()> {
        self.with_port(|port| socket::set_notsent_lowat(port, bytes))
    }

    /// A handle to this stream.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// events.listen("127.0.0.1:0".parse()?, || |stream: &mut Stream<'_>| {
    ///     let handle = stream.handle();
    ///     std::thread::spawn(move || {
    ///         // Some slow work, then:
    ///         let _ = handle.write(&b"done\r\n"[..]);
    ///     });
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn handle(&mut self) -> Handle {
        let token = self.token;
        let limit = self.machine.config().write_limit;
        let shared = self
            .shared
            .get_or_insert_with(|| Arc::new(Shared::new(token, limit)));
        Handle {
            mailbox: self.context.mailbox(),
            shared: Arc::clone(shared),
        }
    }

    /// The loop that runs this stream: to connect, listen, set timers, stop.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// events.listen("127.0.0.1:0".parse()?, || |stream: &mut Stream<'_>| {
    ///     // A stream that lives no longer than a minute.
    ///     let handle = stream.handle();
    ///     let _ = stream.context().timer(Duration::from_secs(60), move |_| {
    ///         handle.close();
    ///     });
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn context(&mut self) -> &mut Context<'a> {
        &mut self.context
    }

    /// Joins this stream to another one of the same loop or pool: what one
    /// receives the other sends, both ways, under the watermarks of both; an
    /// end is passed on, and when one is over the other is finished. If that
    /// one had no end to pass on, the other's filters are told that something
    /// is missing: TLS then says no goodbye. From now on this handler is told of no bytes. Returns false, and changes
    /// nothing, when the other is over or is not of this loop or pool.
    ///
    /// ```
    /// # use ferrevent::{Address, EventLoop, Handler, Stream};
    /// struct Front(Address);
    ///
    /// impl Handler for Front {
    ///     fn opened(&mut self, stream: &mut Stream<'_>) {
    ///         let back = stream.context().connect(&self.0, |_: &mut Stream<'_>| ());
    ///         if !back.is_ok_and(|back| stream.pipe(&back)) {
    ///             stream.close();
    ///         }
    ///     }
    ///
    ///     fn readable(&mut self, _: &mut Stream<'_>) {}
    /// }
    ///
    /// let mut events = EventLoop::new()?;
    /// events.listen("127.0.0.1:0".parse()?, || Front(Address::Unix("/run/app.sock".into())))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pipe(&mut self, other: &Handle) -> bool {
        let piped = self.handle().pipe(other);
        if piped {
            self.machine.set_piped(true);
        }
        piped
    }

    fn with_port<R>(&self, work: impl FnOnce(&Port) -> io::Result<R>) -> io::Result<R> {
        match self.port {
            Some(port) => work(port),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl fmt::Debug for Stream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("token", &self.token)
            .field("machine", &self.machine)
            .finish_non_exhaustive()
    }
}
