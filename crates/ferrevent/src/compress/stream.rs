//! Streams with compression.

use super::{Compression, Compressor};
use crate::{Stream, WriteError};

impl Stream<'_> {
    /// Goes on compressed: what is left in the input is the peer's first
    /// frame, what waits in the output is still sent as it is.
    ///
    /// # Errors
    /// As [`add_filter`](Stream::add_filter).
    ///
    /// ```
    /// use ferrevent::{Stream, compress::{Compression, Format}};
    /// fn command(stream: &mut Stream<'_>) {
    ///     if stream.input().chunk() == b"COMPRESS DEFLATE\r\n" {
    ///         let _ = stream.input().clear();
    ///         let _ = stream.write(b"206 go on\r\n");
    ///         let _ = stream.start_compression(&Compression::new(Format::RawDeflate));
    ///     }
    /// }
    /// ```
    pub fn start_compression(&mut self, how: &Compression) -> Result<(), WriteError> {
        self.add_filter(how.filter())
    }

    /// The compression of this stream, if there is one; also when it is
    /// closed.
    ///
    /// ```
    /// use ferrevent::Stream;
    /// fn report(stream: &Stream<'_>) {
    ///     if let Some(compression) = stream.compression() {
    ///         println!("{:?}", compression.tally().sent().ratio());
    ///     }
    /// }
    /// ```
    pub fn compression(&self) -> Option<&Compressor> {
        self.filter()
    }
}
