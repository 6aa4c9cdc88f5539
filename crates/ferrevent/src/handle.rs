//! Handles: streams from anywhere.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ferrevent_core::buffer::Buffer;
use ferrevent_os::Token;

use crate::mailbox::{Command, Mailbox, Message};
use crate::{CloseReason, StreamConfig, WriteError};

/// A stream, from any thread and from other streams' callbacks. Handles keep
/// nothing alive: one that is late answers `Closed`.
///
/// ```
/// # use ferrevent::{EventLoop, Stream};
/// # let mut events = EventLoop::new()?;
/// let (one, other) = events.context().pair(
///     |stream: &mut Stream<'_>| stream.echo(),
///     |stream: &mut Stream<'_>| println!("{} bytes are back", stream.input().len()),
/// )?;
/// let thread = std::thread::spawn(move || other.write(&b"from afar"[..]));
/// # assert!(thread.join().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Handle {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) shared: Arc<Shared>,
}

/// What the handles of one stream and its loop know together.
pub(crate) struct Shared {
    pub(crate) token: Token,
    /// Bytes written and not yet taken by the kernel: those on their way to
    /// the loop, and those in the output when it was looked at last.
    queued: AtomicUsize,
    output: AtomicUsize,
    limit: AtomicUsize,
    closed: AtomicBool,
}

/// A write that was not taken, with its bytes.
///
/// ```
/// # use ferrevent::{EventLoop, Stream};
/// # let mut events = EventLoop::new()?;
/// let (one, other) = events.context().pair(
///     |stream: &mut Stream<'_>| stream.echo(),
///     |stream: &mut Stream<'_>| println!("{} bytes are back", stream.input().len()),
/// )?;
/// one.close();
/// events.poll()?;
/// let refused = one.write(&b"too late"[..]).unwrap_err();
/// assert_eq!(refused.reason, ferrevent::WriteError::Closed);
/// assert_eq!(refused.bytes, *b"too late");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub reason: WriteError,
    /// The bytes, all of them.
    pub bytes: Buffer,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl std::error::Error for Refused {}

impl Shared {
    pub(crate) fn new(token: Token, limit: usize) -> Self {
        Self {
            token,
            queued: AtomicUsize::new(0),
            output: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            closed: AtomicBool::new(false),
        }
    }

    /// Takes note of what is in the output now.
    pub(crate) fn note(&self, output: usize, limit: usize) {
        self.output.store(output, Ordering::Relaxed);
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Bytes have arrived from their way.
    pub(crate) fn arrived(&self, len: usize) {
        self.queued.fetch_sub(len, Ordering::Relaxed);
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    fn waiting(&self) -> usize {
        self.queued.load(Ordering::Relaxed) + self.output.load(Ordering::Relaxed)
    }
}

impl Handle {
    /// Writes, and tells how many bytes wait now, these included. The whole
    /// write is taken while fewer than the stream's `write_limit` wait.
    ///
    /// # Errors
    /// [`Refused`] with the bytes and the reason: `Full` when the limit is
    /// reached, `Closed` when the stream is no more.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// let (one, other) = events.context().pair(
    ///     |stream: &mut Stream<'_>| stream.echo(),
    ///     |stream: &mut Stream<'_>| println!("{} bytes are back", stream.input().len()),
    /// )?;
    /// assert_eq!(other.write(&b"hello"[..])?, 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write(&self, bytes: impl Into<Buffer>) -> Result<usize, Refused> {
        let bytes = bytes.into();
        let shared = &self.shared;
        if self.is_closed() {
            return Err(Refused {
                reason: WriteError::Closed,
                bytes,
            });
        }
        let len = bytes.len();
        let limit = shared.limit.load(Ordering::Relaxed);
        let output = shared.output.load(Ordering::Relaxed);
        let taken = shared
            .queued
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |queued| {
                (queued + output < limit).then_some(queued + len)
            });
        if taken.is_err() {
            return Err(Refused {
                reason: WriteError::Full,
                bytes,
            });
        }
        let message = Message::Write(shared.token, bytes, Arc::clone(shared));
        match self.mailbox.send(message) {
            Err(Message::Write(_, bytes, _)) => {
                shared.arrived(len);
                Err(Refused {
                    reason: WriteError::Closed,
                    bytes,
                })
            }
            _ => Ok(shared.waiting()),
        }
    }

    /// How many bytes wait to be sent, as far as is known here.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// let (one, other) = events.context().pair(
    ///     |stream: &mut Stream<'_>| stream.echo(),
    ///     |stream: &mut Stream<'_>| println!("{} bytes are back", stream.input().len()),
    /// )?;
    /// other.write(&b"hello"[..])?;
    /// assert_eq!(other.waiting(), 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn waiting(&self) -> usize {
        self.shared.waiting()
    }

    /// Sends what waits, then ends the sending side; receiving goes on.
    /// Returns false when the stream is no more.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// let (one, other) = events.context().pair(
    ///     |stream: &mut Stream<'_>| stream.echo(),
    ///     |stream: &mut Stream<'_>| println!("{} bytes are back", stream.input().len()),
    /// )?;
    /// assert!(other.finish_write());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn finish_write(&self) -> bool {
        self.command(Command::FinishWrite)
    }

    /// Sends what waits, ends the sending side, and closes once the peer has
    /// ended its own. Returns false when the stream is no more.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// let (one, other) = events.context().pair(
    ///     |stream: &mut Stream<'_>| stream.echo(),
    ///     |stream: &mut Stream<'_>| println!("{} bytes are back", stream.input().len()),
    /// )?;
    /// other.write(&b"bye"[..])?;
    /// assert!(other.finish());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn finish(&self) -> bool {
        self.command(Command::Finish)
    }

    /// Closes at once; what waits is dropped. Returns false when the stream
    /// is no more.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// let (one, other) = events.context().pair(
    ///     |stream: &mut Stream<'_>| stream.echo(),
    ///     |stream: &mut Stream<'_>| println!("{} bytes are back", stream.input().len()),
    /// )?;
    /// assert!(other.close());
    /// events.poll()?;
    /// assert!(!other.close());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(&self) -> bool {
        self.command(Command::Close(CloseReason::Closed))
    }

    /// Stops receiving. Returns false when the stream is no more.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// let (one, other) = events.context().pair(
    ///     |stream: &mut Stream<'_>| stream.echo(),
    ///     |stream: &mut Stream<'_>| println!("{} bytes are back", stream.input().len()),
    /// )?;
    /// assert!(one.pause());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pause(&self) -> bool {
        self.command(Command::Pause)
    }

    /// Receives again. Returns false when the stream is no more.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// let (one, other) = events.context().pair(
    ///     |stream: &mut Stream<'_>| stream.echo(),
    ///     |stream: &mut Stream<'_>| println!("{} bytes are back", stream.input().len()),
    /// )?;
    /// one.pause();
    /// assert!(one.resume());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resume(&self) -> bool {
        self.command(Command::Resume)
    }

    /// Has [`nudged`](crate::Handler::nudged) called, once for all that is
    /// asked before it: for a handler that has something to look at. Returns
    /// false when the stream is no more.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Handler, Stream};
    /// struct Printer(std::sync::mpsc::Receiver<String>);
    /// impl Handler for Printer {
    ///     fn nudged(&mut self, stream: &mut Stream<'_>) {
    ///         while let Ok(line) = self.0.try_recv() {
    ///             let _ = stream.write(line.as_bytes());
    ///         }
    ///     }
    ///     fn readable(&mut self, _: &mut Stream<'_>) {}
    /// }
    /// # let mut events = EventLoop::new()?;
    /// let (lines, wanted) = std::sync::mpsc::channel();
    /// let address = "127.0.0.1:7".parse()?;
    /// let handle = events.local().connect(&address, Printer(wanted))?;
    /// lines.send("hello\r\n".to_owned())?;
    /// assert!(handle.nudge());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn nudge(&self) -> bool {
        self.command(Command::Nudge)
    }

    /// Sets limits and timeouts. Returns false when the stream is no more.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// let (one, other) = events.context().pair(
    ///     |stream: &mut Stream<'_>| stream.echo(),
    ///     |stream: &mut Stream<'_>| println!("{} bytes are back", stream.input().len()),
    /// )?;
    /// let config = ferrevent::StreamConfig {
    ///     read_timeout: Some(std::time::Duration::from_secs(30)),
    ///     ..ferrevent::StreamConfig::DEFAULT
    /// };
    /// assert!(one.configure(config));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn configure(&self, config: StreamConfig) -> bool {
        self.command(Command::Configure(Box::new(config)))
    }

    /// As [`Stream::set_notsent_lowat`](crate::Stream::set_notsent_lowat).
    /// Returns false when the stream is no more; what the system refuses is
    /// not told.
    ///
    /// ```
    /// # use ferrevent::Handle;
    /// fn hold_back(handle: &Handle) -> bool {
    ///     handle.set_notsent_lowat(16_384)
    /// }
    /// ```
    pub fn set_notsent_lowat(&self, bytes: u32) -> bool {
        self.command(Command::NotsentLowat(bytes))
    }

    /// Joins this stream and another one of the same loop: what one receives
    /// the other sends, within the watermarks of both, and ends are passed
    /// on. Both are told of nothing but their close from then on. Returns
    /// false when this stream is no more, or the other is on another loop.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// # let nothing = || |_: &mut Stream<'_>| ();
    /// let (client, near) = events.context().pair(nothing(), nothing())?;
    /// let (far, server) = events.context().pair(nothing(), |stream: &mut Stream<'_>| stream.echo())?;
    /// assert!(near.pipe(&far));
    /// client.write(&b"through the pipe and back"[..])?;
    /// # let _ = server;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pipe(&self, other: &Handle) -> bool {
        Arc::ptr_eq(&self.mailbox, &other.mailbox)
            && !self.is_closed()
            && self
                .mailbox
                .send(Message::Pipe(self.shared.token, other.shared.token))
                .is_ok()
    }

    /// Whether the stream is known to be over.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// let (one, other) = events.context().pair(
    ///     |stream: &mut Stream<'_>| stream.echo(),
    ///     |stream: &mut Stream<'_>| println!("{} bytes are back", stream.input().len()),
    /// )?;
    /// assert!(!one.is_closed());
    /// one.close();
    /// events.poll()?;
    /// assert!(one.is_closed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    pub(crate) fn command(&self, command: Command) -> bool {
        !self.is_closed()
            && self
                .mailbox
                .send(Message::Command(self.shared.token, command))
                .is_ok()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("token", &self.shared.token)
            .field("waiting", &self.waiting())
            .field("closed", &self.is_closed())
            .finish()
    }
}
