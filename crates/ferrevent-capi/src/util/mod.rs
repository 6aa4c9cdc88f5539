//! `event2/util.h`.

mod address;
mod monotonic;
mod names;
mod random;
pub(crate) mod socket;
mod text;
