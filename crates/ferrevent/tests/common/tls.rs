//! What the tests of TLS share.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(unused_imports, reason = "as above")]

use std::net::TcpStream;

use ferrevent::tls::{Client, ClientBuilder, Server, ServerBuilder};
use ferrevent::{Address, Handler, StreamConfig};

use crate::certificates::Authority;
pub(crate) use crate::common::record::{once, over, writer};
use crate::common::{Recorder, Rig, Shared, Works};

pub(crate) fn any() -> Address {
    "127.0.0.1:0".parse().unwrap()
}

pub(crate) fn server(authority: &Authority) -> ServerBuilder {
    Server::builder().certificates(authority.server("localhost"))
}

pub(crate) fn client(authority: &Authority) -> ClientBuilder {
    Client::builder().roots(authority.roots())
}

/// Listens with TLS.
pub(crate) fn listen_tls<H: Handler + Send + 'static>(
    rig: &mut Rig,
    server: &Server,
    factory: impl FnMut() -> H + Send + 'static,
) -> Address {
    let mut context = rig.context();
    let listener = context.listen_tls(&any(), server, factory).unwrap();
    Address::Socket(context.listener_addr(listener).unwrap())
}

pub(crate) fn connect_tls(
    rig: &mut Rig,
    to: &Address,
    client: ClientBuilder,
    name: &str,
    handler: impl Handler + Send + 'static,
) {
    connect_tls_by(rig, to, &client.build().unwrap(), name, handler);
}

pub(crate) fn connect_tls_by(
    rig: &mut Rig,
    to: &Address,
    client: &Client,
    name: &str,
    handler: impl Handler + Send + 'static,
) {
    let config = StreamConfig::DEFAULT;
    rig.context()
        .connect_tls_with(to, None, config, client, name, handler)
        .unwrap();
}

pub(crate) fn tcp(address: &Address) -> TcpStream {
    match address {
        Address::Socket(address) => TcpStream::connect(address).unwrap(),
        other => panic!("{other} is no TCP address"),
    }
}
