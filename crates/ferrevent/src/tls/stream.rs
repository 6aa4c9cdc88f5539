//! Streams, loops and pools with TLS.

use std::io;
use std::net::SocketAddr;

use super::{Client, Server, Session, TlsError};
use crate::host::{Context, Local};
use crate::{
    Address, Filter, Handle, Handler, ListenOptions, ListenerId, Stream, StreamConfig, WriteError,
};

impl Stream<'_> {
    /// Goes on with TLS: what is left in the input is the peer's first
    /// records, what waits in the output is still sent in the plain.
    /// [`upgraded`](Handler::upgraded) tells when the handshake is over;
    /// what is written before waits for it.
    ///
    /// # Errors
    /// As [`add_filter`](Stream::add_filter).
    ///
    /// ```
    /// use ferrevent::{Stream, tls::Server};
    /// fn command(stream: &mut Stream<'_>, server: &Server) {
    ///     if stream.input().chunk() == b"STARTTLS\r\n" {
    ///         let _ = stream.input().clear();
    ///         let _ = stream.write(b"220 ready\r\n");
    ///         let _ = stream.start_tls(server.session());
    ///     }
    /// }
    /// ```
    pub fn start_tls(&mut self, session: Session) -> Result<(), WriteError> {
        self.add_filter(Box::new(session))
    }

    /// The TLS session of this stream, if it has one; also when it is closed.
    ///
    /// ```
    /// use ferrevent::Stream;
    /// fn is_secure(stream: &Stream<'_>) -> bool {
    ///     stream.tls().is_some()
    /// }
    /// ```
    pub fn tls(&self) -> Option<&Session> {
        self.filter()
    }
}

macro_rules! adders {
    ($half:ident, $($send:ident)?) => {
        impl $half<'_> {
            /// Listens with TLS from the first byte on: `opened` is told after
            /// the handshake.
            ///
            /// # Errors
            /// As `listen`.
            ///
            /// ```
            /// use ferrevent::{EventLoop, Stream, tls::Server};
            /// fn listen(events: &mut EventLoop, server: &Server) -> std::io::Result<()> {
            ///     let address = std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into();
            ///     events.context().listen_tls(&address, server, || {
            ///         |stream: &mut Stream<'_>| stream.echo()
            ///     })?;
            ///     Ok(())
            /// }
            /// ```
            pub fn listen_tls<H: Handler $(+ $send)? + 'static>(
                &mut self,
                address: &Address,
                server: &Server,
                mut factory: impl FnMut() -> H $(+ $send)? + 'static,
            ) -> io::Result<ListenerId> {
                let server = server.clone();
                self.listen_filtered(
                    address,
                    &ListenOptions::default(),
                    None,
                    move || vec![Box::new(server.session()) as Box<dyn Filter>],
                    move || Box::new(factory()),
                )
            }

            /// Connects with TLS from the first byte on: `opened` is told after
            /// the handshake. The server's certificate must hold for the host
            /// in the address.
            ///
            /// # Errors
            /// As `connect`, and `InvalidInput` for an address without a host
            /// that a certificate could hold for.
            ///
            /// ```
            /// use ferrevent::{EventLoop, Handler, tls::Client};
            /// fn connect(
            ///     events: &mut EventLoop,
            ///     client: &Client,
            ///     handler: impl Handler + Send + 'static,
            /// ) -> Result<(), Box<dyn std::error::Error>> {
            ///     events.context().connect_tls(&"example.org:443".parse()?, client, handler)?;
            ///     Ok(())
            /// }
            /// ```
            pub fn connect_tls(
                &mut self,
                address: &Address,
                client: &Client,
                handler: impl Handler $(+ $send)? + 'static,
            ) -> io::Result<Handle> {
                let name = host_of(address)?;
                self.connect_tls_with(address, None, StreamConfig::DEFAULT, client, &name, handler)
            }

            /// As [`connect_tls`](Self::connect_tls), from a local address, with
            /// limits, to a server of this name.
            ///
            /// # Errors
            /// As [`connect_tls`](Self::connect_tls).
            ///
            /// ```
            /// use ferrevent::{EventLoop, Handler, StreamConfig, tls::Client};
            /// fn connect(
            ///     events: &mut EventLoop,
            ///     client: &Client,
            ///     handler: impl Handler + Send + 'static,
            /// ) -> Result<(), Box<dyn std::error::Error>> {
            ///     let address = "unix:/run/proxy.sock".parse()?;
            ///     let config = StreamConfig::DEFAULT;
            ///     let mut context = events.context();
            ///     context.connect_tls_with(&address, None, config, client, "example.org", handler)?;
            ///     Ok(())
            /// }
            /// ```
            pub fn connect_tls_with(
                &mut self,
                address: &Address,
                bind: Option<SocketAddr>,
                config: StreamConfig,
                client: &Client,
                name: &str,
                handler: impl Handler $(+ $send)? + 'static,
            ) -> io::Result<Handle> {
                let session = client.session(name).map_err(no_name)?;
                self.connect_filtered(address, bind, config, vec![Box::new(session)], handler)
            }
        }
    };
}

adders!(Context, Send);
adders!(Local,);

/// What a server's certificate must hold for.
pub(super) fn host_of(address: &Address) -> io::Result<String> {
    match address {
        Address::Name(host, _) => Ok(host.clone()),
        Address::Socket(address) => Ok(address.ip().to_string()),
        other => Err(no_name(TlsError::Config(format!(
            "{other} has no host name: say which name the server has"
        )))),
    }
}

pub(super) fn no_name(error: TlsError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}
