//! The command `ferrevent-tor`: a Tor client on Ferrevent.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ferrevent_tor::program::main()
}
