//! Options of a socket that is in use.

use std::io;

use ferrevent::Handle;
use tor_rtcompat::{StreamOps, UnsupportedStreamOp};

/// Sets options of a stream's socket, from anywhere. It keeps nothing alive.
///
/// ```
/// use ferrevent_tor::SocketOptions;
/// use tor_rtcompat::StreamOps;
///
/// fn hold_back(options: &SocketOptions) -> std::io::Result<()> {
///     options.set_tcp_notsent_lowat(16_384)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct SocketOptions(pub(super) Handle);

impl StreamOps for SocketOptions {
    /// The stream's own thread sets it, soon.
    fn set_tcp_notsent_lowat(&self, bytes: u32) -> io::Result<()> {
        if !cfg!(target_os = "linux") {
            let unsupported =
                UnsupportedStreamOp::new("set_tcp_notsent_lowat", "unsupported on this system");
            return Err(unsupported.into());
        }
        if self.0.set_notsent_lowat(bytes) {
            Ok(())
        } else {
            Err(io::Error::new(
                io::ErrorKind::NotConnected,
                "the stream is over",
            ))
        }
    }

    fn new_handle(&self) -> Box<dyn StreamOps + Send + Unpin> {
        Box::new(self.clone())
    }
}
