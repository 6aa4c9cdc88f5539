//! What the load and the server of `cargo xtask soak` agree on: bytes that
//! follow from their place in a stream, and what a connection is to do. It uses
//! nothing of the engine, so that the load judges by itself.
#![forbid(unsafe_code)]

mod dice;
mod noise;
mod order;

pub use dice::{Dice, mix};
pub use noise::Noise;
pub use order::{Ending, NoOrder, ORDER_LEN, Order, Work};
