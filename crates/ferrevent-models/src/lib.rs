//! Simple models that the parts of Ferrevent are held against. Each is driven
//! by a list of operations that is read from bytes: random ones in the tests,
//! a fuzzer's in `fuzz/`, and those in `fuzz/corpus` in both.
//!
//! ```
//! // Any bytes are a list of operations; a part that is not as its model panics.
//! ferrevent_models::buffer::run(b"any bytes");
//! ```
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a model that does not fit panics")]

pub mod buffer;
mod choices;
pub mod compress;
pub mod dns;
pub mod dns_server;
pub mod hosts;
pub mod resolv_conf;
pub mod stream;
pub mod text;
pub mod timer;

pub use choices::{Choices, random_bytes};

/// What takes bytes and panics if something is wrong.
pub type Target = fn(&[u8]);

/// Every target of the fuzzer by its name, which is that of its corpus too.
pub const TARGETS: &[(&str, Target)] = &[
    ("buffer", buffer::run),
    ("stream", stream::run),
    ("timer", timer::run),
    ("text", text::run),
    ("compress", compress::run),
    ("dns", dns::run),
    ("dns_server", dns_server::run),
    ("hosts", hosts::run),
    ("resolv_conf", resolv_conf::run),
];
