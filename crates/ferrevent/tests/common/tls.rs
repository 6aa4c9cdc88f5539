//! What the tests of TLS share.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::net::TcpStream;

use ferrevent::tls::{Client, ClientBuilder, Server, ServerBuilder};
use ferrevent::{Address, Handler, StreamConfig};

use crate::certificates::Authority;
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

/// Writes all of it, at most so much at once, and ends.
pub(crate) fn writer(mut left: Vec<u8>, piece: usize) -> (Recorder, Shared) {
    Recorder::with(move |stream, what| {
        if what == "opened" || what == "writable" {
            let n = left.len().min(piece);
            if n > 0 {
                let piece: Vec<u8> = left.drain(..n).collect();
                stream.write(&piece).unwrap();
            } else {
                stream.finish_write();
            }
        }
    })
}

/// One handler, for the one connection that a test makes.
pub(crate) fn once<H>(handler: H) -> impl FnMut() -> H {
    let mut handler = Some(handler);
    move || handler.take().unwrap()
}

pub(crate) fn over(record: &Shared) -> bool {
    record.see().reason.is_some()
}
