//! Streams and handles of streams with filters.

use ferrevent_core::filter::Filter;

use crate::mailbox::Command;
use crate::{Handle, Stream, WriteError};

impl Stream<'_> {
    /// Puts a filter between the buffers and what is below them: the wire, or
    /// the filter that was added before. What is left in the input goes
    /// through it, what waits in the output goes below it: so a protocol like
    /// STARTTLS takes its command out of the input, writes its plain answer,
    /// and adds the filter, all in one callback.
    ///
    /// [`upgraded`](crate::Handler::upgraded) tells when the filter is open.
    ///
    /// # Errors
    /// When the stream is over, or one of its sides was ended or is to end.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # use ferrevent::filter::{Filter, Pass};
    /// struct Invert;
    /// impl Filter for Invert {
    ///     fn decode(&mut self, pass: &mut Pass<'_>) -> std::io::Result<()> {
    ///         pass.map(|bytes| bytes.iter_mut().for_each(|byte| *byte = !*byte));
    ///         Ok(())
    ///     }
    ///     fn encode(&mut self, pass: &mut Pass<'_>) -> std::io::Result<()> {
    ///         self.decode(pass)
    ///     }
    /// }
    /// # let mut events = EventLoop::new()?;
    /// events.listen("127.0.0.1:0".parse()?, || |stream: &mut Stream<'_>| {
    ///     if stream.input().chunk().starts_with(b"INVERT\n") {
    ///         let _ = stream.input().drain(7);
    ///         let _ = stream.write(b"OK\n");
    ///         let _ = stream.add_filter(Box::new(Invert));
    ///     }
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_filter(&mut self, filter: Box<dyn Filter>) -> Result<(), WriteError> {
        let now = self.context.now_tick();
        self.machine.add_filter(now, filter)
    }

    /// The filter of this type that was added last.
    ///
    /// ```
    /// # use ferrevent::{Filter, Stream};
    /// fn is_under<F: Filter>(stream: &Stream<'_>) -> bool {
    ///     stream.filter::<F>().is_some()
    /// }
    /// ```
    pub fn filter<F: Filter>(&self) -> Option<&F> {
        self.machine.filter()
    }

    /// As [`filter`](Self::filter), to be changed.
    ///
    /// ```
    /// # use ferrevent::{Filter, Stream};
    /// fn change<F: Filter>(stream: &mut Stream<'_>, change: impl Fn(&mut F)) {
    ///     stream.filter_mut().map(change);
    /// }
    /// ```
    pub fn filter_mut<F: Filter>(&mut self) -> Option<&mut F> {
        self.machine.filter_mut()
    }

    /// Lets filters put out what they hold back, to compress it better for
    /// example. Without such filters it does nothing: bytes always go as soon
    /// as the kernel takes them.
    ///
    /// ```
    /// # use ferrevent::Stream;
    /// fn answer(stream: &mut Stream<'_>) {
    ///     let _ = stream.write(b"as soon as can be");
    ///     stream.flush();
    /// }
    /// ```
    pub fn flush(&mut self) {
        self.machine.flush();
    }

    /// How many bytes wait for the kernel: those of the output, and those that
    /// filters have taken from it.
    ///
    /// ```
    /// # use ferrevent::Stream;
    /// fn is_idle(stream: &mut Stream<'_>) -> bool {
    ///     stream.waiting() == 0
    /// }
    /// ```
    pub fn waiting(&mut self) -> usize {
        self.machine.output().len() + self.machine.filtered_bytes()
    }

    /// Tells [`sent`](crate::Handler::sent) from now on, or no more: progress,
    /// also where much still waits.
    ///
    /// ```
    /// # use ferrevent::{Handler, Stream};
    /// struct Upload;
    /// impl Handler for Upload {
    ///     fn opened(&mut self, stream: &mut Stream<'_>) {
    ///         stream.tell_sent(true);
    ///         let _ = stream.write(&[0; 1_000_000]);
    ///     }
    ///     fn sent(&mut self, stream: &mut Stream<'_>) {
    ///         println!("{} to go", stream.waiting());
    ///     }
    ///     fn readable(&mut self, _: &mut Stream<'_>) {}
    /// }
    /// ```
    pub fn tell_sent(&mut self, on: bool) {
        self.machine.set_tells_sent(on);
    }

    /// Bytes that came over the wire: more or fewer than
    /// [`received_bytes`](Self::received_bytes) where a filter changes them.
    ///
    /// ```
    /// # use ferrevent::Stream;
    /// fn overhead(stream: &Stream<'_>) -> u64 {
    ///     stream.wire_received_bytes() - stream.received_bytes()
    /// }
    /// ```
    pub fn wire_received_bytes(&self) -> u64 {
        self.machine.wire_received_bytes()
    }

    /// Bytes of the wire that the kernel has taken.
    ///
    /// ```
    /// # use ferrevent::Stream;
    /// fn overhead(stream: &Stream<'_>) -> u64 {
    ///     stream.wire_sent_bytes() - stream.sent_bytes()
    /// }
    /// ```
    pub fn wire_sent_bytes(&self) -> u64 {
        self.machine.wire_sent_bytes()
    }
}

impl Handle {
    /// As [`Stream::add_filter`]. Returns whether the stream will hear of it.
    ///
    /// ```
    /// # use ferrevent::{Filter, Handle};
    /// fn filter(handle: &Handle, filter: Box<dyn Filter>) {
    ///     handle.add_filter(filter);
    /// }
    /// ```
    pub fn add_filter(&self, filter: Box<dyn Filter>) -> bool {
        self.command(Command::AddFilter(filter))
    }

    /// As [`Stream::flush`]. Returns whether the stream will hear of it.
    ///
    /// ```
    /// # use ferrevent::Handle;
    /// fn send(handle: &Handle) -> Result<(), ferrevent::Refused> {
    ///     handle.write(&b"as soon as can be"[..])?;
    ///     handle.flush();
    ///     Ok(())
    /// }
    /// ```
    pub fn flush(&self) -> bool {
        self.command(Command::Flush)
    }
}
