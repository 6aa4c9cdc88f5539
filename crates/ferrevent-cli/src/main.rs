//! The `ferrevent` command.
#![forbid(unsafe_code)]

fn main() {}
