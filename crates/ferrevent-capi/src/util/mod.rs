//! `event2/util.h`.

mod address;
mod monotonic;
mod names;
mod random;
mod socket;
mod text;
