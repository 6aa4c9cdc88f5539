//! The DNS client of Ferrevent: a resolver that touches no socket and no clock.
//!
//! A [`Client`] takes questions, what came from servers, and the time. It gives
//! out datagrams to send, connections to make, a deadline, and answers. Who drives
//! it moves the bytes: `ferrevent`'s resolver does, on a loop or a pool.
//!
//! It has what resolv.conf(5) and hosts(5) ask for, and the caution of RFC 5452:
//! random ids, new ports, names in random case, and answers that are held against
//! what was asked. Everything is bounded. Messages are coded by the crate `domain`.
//!
//! ```
//! use ferrevent_core::timer::Tick;
//! use ferrevent_dns::{Action, Client, Config, Families, Hosts, Question};
//!
//! let config = Config::parse(b"nameserver 192.0.2.1");
//! let hosts = Hosts::parse(b"192.0.2.7 printer");
//! let mut client = Client::new(config, hosts, |bytes: &mut [u8]| bytes.fill(7));
//! let lookup = client.resolve(Tick(0), &Question::addresses("printer", Families::BOTH));
//! let Some(Action::Done(id, Ok(answer))) = client.next_action() else {
//!     panic!("it stands in the hosts file");
//! };
//! assert_eq!(id, lookup);
//! assert_eq!(answer.addresses, ["192.0.2.7".parse::<std::net::IpAddr>().unwrap()]);
//! ```
#![forbid(unsafe_code)]

mod address_info;
mod client;
mod config;
mod error;
mod hosts;
mod message;
mod order;
mod question;
mod random;
mod services;
#[cfg(test)]
mod testing;

pub use address_info::{AddressInfo, AddressPlan, Hints, Transport};
pub use client::{Action, Answer, Client, ExchangeId, LaneId, LookupId};
pub use config::Config;
pub use error::{Failure, ResolveError};
pub use hosts::Hosts;
pub use order::sort_addresses;
pub use question::{Families, Question};
pub use services::Services;
