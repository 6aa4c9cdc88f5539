//! Project tasks: `cargo xtask test`, `cargo xtask bench`, `cargo xtask soak`.
#![forbid(unsafe_code)]

mod bench;
mod packages;
mod procfs;
mod running;
mod soak;
mod test;
mod windows;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next();
    let rest: Vec<String> = args.collect();
    let outcome = match command.as_deref() {
        Some("test") => test::run(&rest),
        Some("bench") => bench::run(&rest),
        Some("soak") => soak::run(&rest),
        _ => Err(
            "usage: cargo xtask test [--full | --windows] | bench [--only CELL] | soak [--minutes N]"
                .into(),
        ),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
