//! What a program does when something happens to a stream.

use crate::{CloseReason, Stream, Timeout};

/// The owner of one stream. Its methods are called one at a time and never
/// inside one another, so its fields are the stream's context.
///
/// Every method but [`readable`](Self::readable) has a default that suits a
/// simple server: when the peer ends, finish; when a time limit passes, close.
/// A closure that takes a `&mut Stream<'_>` is a handler too: it is
/// `readable`.
///
/// A handler that panics ends its own stream, with
/// [`CloseReason::Panicked`]; the loop and the other streams go on.
///
/// ```
/// use ferrevent::{CloseReason, Handler, Stream};
///
/// /// Counts lines.
/// #[derive(Default)]
/// struct Lines(usize);
///
/// impl Handler for Lines {
///     fn readable(&mut self, stream: &mut Stream<'_>) {
///         while let Ok(Some(_)) = stream.input().read_line(ferrevent::buffer::Eol::Any, 1000) {
///             self.0 += 1;
///         }
///     }
///
///     fn closed(&mut self, _: &mut Stream<'_>, reason: CloseReason) {
///         println!("{} lines, {reason}", self.0);
///     }
/// }
/// ```
pub trait Handler {
    /// The connection stands: after an accept, or when a connect succeeded;
    /// where it began with filters, once they are open (TLS: after the
    /// handshake).
    fn opened(&mut self, stream: &mut Stream<'_>) {
        let _ = stream;
    }

    /// New bytes are in the input. Told again only when more come; what is
    /// left in the input stays there.
    fn readable(&mut self, stream: &mut Stream<'_>);

    /// The filters that were added after [`opened`](Self::opened) are open:
    /// the connection is secure from here on, if one of them is TLS.
    fn upgraded(&mut self, stream: &mut Stream<'_>) {
        let _ = stream;
    }

    /// The kernel took some of what waits; told only where
    /// [`Stream::tell_sent`] asked for it.
    fn sent(&mut self, stream: &mut Stream<'_>) {
        let _ = stream;
    }

    /// Somebody has asked for this callback, by [`Handle::nudge`].
    ///
    /// [`Handle::nudge`]: crate::Handle::nudge
    fn nudged(&mut self, stream: &mut Stream<'_>) {
        let _ = stream;
    }

    /// The output has fallen to its low watermark: there is room to write.
    /// The default body asks not to be called again.
    fn writable(&mut self, stream: &mut Stream<'_>) {
        stream.machine.set_tells_writable(false);
    }

    /// The peer has ended its side, after every byte that was told. By
    /// default the stream is finished: what waits is sent, then it closes.
    /// To go on sending, write another body.
    fn ended(&mut self, stream: &mut Stream<'_>) {
        stream.finish();
    }

    /// A time limit passed, and its clock starts again. By default the stream
    /// is closed with [`CloseReason::TimedOut`].
    fn timed_out(&mut self, stream: &mut Stream<'_>, which: Timeout) {
        stream.close_because(CloseReason::TimedOut(which));
    }

    /// The stream is over. Called once, last; the stream takes nothing more,
    /// but what came and was not read is still in its input.
    fn closed(&mut self, stream: &mut Stream<'_>, reason: CloseReason) {
        let _ = (stream, reason);
    }
}

impl<F: FnMut(&mut Stream<'_>)> Handler for F {
    fn readable(&mut self, stream: &mut Stream<'_>) {
        self(stream);
    }
}
