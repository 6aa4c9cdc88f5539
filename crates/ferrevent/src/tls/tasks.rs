//! TLS streams for tasks.

use std::io;

use ferrevent_core::filter::Filter;
use ferrevent_os::socket::ListenOptions;

use super::stream::{host_of, no_name};
use super::{Client, Server, Session};
use crate::asynch::{AsyncStream, Listener, Runtime};
use crate::{Address, StreamConfig};

impl AsyncStream {
    /// Goes on with TLS, as [`Stream::start_tls`](crate::Stream::start_tls): what
    /// was not read yet is the peer's first records, what was written before is
    /// still sent in the plain. It is ready once the handshake is over.
    ///
    /// # Errors
    /// As [`add_filter`](Self::add_filter), and those of the handshake.
    ///
    /// ```
    /// use ferrevent::asynch::AsyncStream;
    /// use ferrevent::tls::Server;
    /// use futures_util::io::AsyncWriteExt;
    ///
    /// async fn secure(stream: &mut AsyncStream, server: &Server) -> std::io::Result<()> {
    ///     stream.write_all(b"220 ready\r\n").await?;
    ///     stream.start_tls(server.session()).await
    /// }
    /// ```
    pub async fn start_tls(&mut self, session: Session) -> io::Result<()> {
        self.add_filter(Box::new(session)).await
    }
}

impl Runtime {
    /// Connects by TLS; it is ready once the handshake is done. The server's
    /// certificate has to be for the host of the address.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), and those of the handshake.
    ///
    /// ```
    /// use ferrevent::tls::Client;
    ///
    /// # async fn example(runtime: ferrevent::asynch::Runtime) -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::builder().build()?;
    /// let stream = runtime.connect_tls(&"example.org:443".parse()?, &client).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect_tls(&self, address: &Address, client: &Client) -> io::Result<AsyncStream> {
        let name = host_of(address)?;
        self.connect_tls_as(address, client, &name).await
    }

    /// As [`connect_tls`](Self::connect_tls), to a server of this name.
    ///
    /// # Errors
    /// As there.
    ///
    /// ```
    /// # use ferrevent::tls::Client;
    /// # async fn example(runtime: ferrevent::asynch::Runtime, client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let address = "127.0.0.1:443".parse()?;
    /// let stream = runtime.connect_tls_as(&address, &client, "app.internal").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect_tls_as(
        &self,
        address: &Address,
        client: &Client,
        name: &str,
    ) -> io::Result<AsyncStream> {
        let session = client.session(name).map_err(no_name)?;
        self.connect_with(
            address,
            None,
            StreamConfig::DEFAULT,
            vec![Box::new(session)],
        )
        .await
    }

    /// Listens, by TLS: connections are given out after their handshake.
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    ///
    /// ```
    /// # use ferrevent::tls::Server;
    /// # async fn example(runtime: ferrevent::asynch::Runtime, server: Server) -> Result<(), Box<dyn std::error::Error>> {
    /// let listener = runtime.listen_tls(&"127.0.0.1:0".parse()?, &server).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn listen_tls(&self, address: &Address, server: &Server) -> io::Result<Listener> {
        let server = server.clone();
        let filters = move || vec![Box::new(server.session()) as Box<dyn Filter>];
        self.listen_with(address, ListenOptions::default(), None, filters)
            .await
    }
}
