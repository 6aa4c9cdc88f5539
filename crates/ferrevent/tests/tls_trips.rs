//! TLS in simulated time: watermarks, pauses, sips, sizes of records, and
//! kernels of every kind. No byte is wrong, and nothing stands still longer
//! than the network and the pauses have it. See `ferrevent_models`.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "common/certificates.rs"]
mod certificates;

use certificates::authority;
use ferrevent::tls::{Client, Server, rustls};
use ferrevent_core::timer::Tick;
use ferrevent_models::stream::every_trip;

#[test]
fn a_transfer_by_tls_takes_at_most_twice_as_long_as_it_has_to() {
    let authority = authority();
    let server = Server::builder().certificates(authority.server("localhost"));
    let server = server.build().unwrap();
    let clients: Vec<Client> = [&rustls::version::TLS12, &rustls::version::TLS13]
        .iter()
        .map(|version| authority.client_of(version.version))
        .collect();
    every_trip(300, |trip| {
        for client in &clients {
            for writer_is_server in [false, true] {
                trip.make(|side, machine| {
                    let session = if (side == 0) == writer_is_server {
                        server.session()
                    } else {
                        client.session("localhost").unwrap()
                    };
                    machine.add_filter(Tick(0), Box::new(session)).unwrap();
                });
            }
        }
    });
}
