//! `event2/util.h`.

pub(crate) mod address;
mod monotonic;
mod names;
pub(crate) mod random;
pub(crate) mod socket;
mod text;

pub(crate) use names::CANCELED;
