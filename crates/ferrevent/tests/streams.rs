//! How streams behave, on every backend and transport.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;
mod scenarios;

use common::on_every_backend;

macro_rules! tests {
    ($($name:ident)*) => {
        $(#[test] fn $name() { on_every_backend(scenarios::$name); })*
    };
}

scenarios::for_each_scenario!(tests);
