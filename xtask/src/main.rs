//! Project tasks: tests, tools that look on while they run, benchmarks, soak.
#![forbid(unsafe_code)]

mod bench;
mod capi;
mod cargo;
mod echo;
mod fuzz;
mod packages;
mod procfs;
mod running;
mod sanitize;
mod soak;
mod test;
mod testssl;
mod tor;
mod tornet;
mod valgrind;
mod windows;
mod windows_capi;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask COMMAND
    test [--full | --windows]
    sanitize address|leak|thread|programs
    valgrind [NAME]
    testssl
    fuzz [TARGET] [--seconds N]
    bench [--only CELL]
    capi [install --prefix DIR | --windows | tor]
    soak [--minutes N]
    tor [--unit]";

fn main() -> ExitCode {
    // Paths are those of the project, wherever in it this was called.
    if let Err(error) = std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")) {
        eprintln!("xtask: the project's folder: {error}");
        return ExitCode::FAILURE;
    }
    let mut args = std::env::args().skip(1);
    let command = args.next();
    let rest: Vec<String> = args.collect();
    let outcome = match command.as_deref() {
        Some("test") => test::run(&rest),
        Some("sanitize") => sanitize::run(&rest),
        Some("valgrind") => valgrind::run(&rest),
        Some("testssl") => testssl::run(&rest),
        Some("fuzz") => fuzz::run(&rest),
        Some("capi") => capi::run(&rest),
        Some("bench") => bench::run(&rest),
        Some("soak") => soak::run(&rest),
        Some("tor") => tor::run(&rest),
        _ => Err(USAGE.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
