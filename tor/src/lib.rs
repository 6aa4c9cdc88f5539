//! Tor on Ferrevent: [`TorRuntime`] is all that Arti asks of a runtime, over
//! Ferrevent's streams, its TLS filter and its rate-limit groups.
//!
//! ```
//! use ferrevent_tor::TorRuntime;
//! use tor_rtcompat::{SleepProvider, ToplevelBlockOn};
//!
//! let runtime = TorRuntime::new()?;
//! runtime.block_on(async {
//!     // A TorClient::with_runtime(runtime.clone()) lives here.
//!     runtime.sleep(std::time::Duration::from_millis(1)).await;
//! });
//! # std::io::Result::Ok(())
//! ```
#![forbid(unsafe_code)]

#[cfg(feature = "program")]
#[doc(hidden)]
pub mod program;
mod runtime;

pub use runtime::{
    Acceptor, BlockingHandle, Builder, Connector, Incoming, Links, SocketOptions, TcpListener,
    TcpStream, TlsStream, TorRuntime, UdpSocket, UnixListener, UnixStream,
};
