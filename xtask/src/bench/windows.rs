//! `cargo xtask bench --windows`: our echo and a bare completion port, in turn,
//! under Wine, with the load from this side of it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::echo;
use crate::running::free_address;
use crate::windows::Place;

/// Connections, and bytes that each sends and gets back.
const SHAPES: [(usize, usize); 3] = [(1, 64 << 20), (200, 256 << 10), (500, 64 << 10)];
const ROUNDS: usize = 9;

/// Prints the median rate of each, and of the ratios within a round.
pub(super) fn run(args: &[String]) -> Result<(), String> {
    let rounds = match args {
        [] => ROUNDS,
        [number] => number
            .parse()
            .ok()
            .filter(|rounds| *rounds > 0)
            .ok_or("usage: cargo xtask bench --windows [ROUNDS]")?,
        _ => return Err("usage: cargo xtask bench --windows [ROUNDS]".into()),
    };
    let place = Place::prepare()?;
    let build = "build --release -p ferrevent --example echo --locked --ignore-rust-version";
    let build: Vec<&str> = build.split(' ').collect();
    place.cargo("our echo for Windows", &build)?;
    let ours = place.program("release/examples/echo.exe");
    let floor = place.compile_c(Path::new("bench/c/iocp_floor.c"), "iocp_floor.exe")?;
    for (connections, bytes) in SHAPES {
        let (mut our_rates, mut floor_rates, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..rounds {
            let address = free_address()?;
            let mut command = place.wine(&floor);
            command.arg(address.port().to_string());
            let first = measure(command, address, connections, bytes)?;
            let address = free_address()?;
            let mut command = place.wine(&ours);
            command.arg(address.to_string());
            let second = measure(command, address, connections, bytes)?;
            eprintln!("round {round}: floor {first:.1} MB/s, ours {second:.1} MB/s");
            floor_rates.push(first);
            our_rates.push(second);
            ratios.push(second / first);
        }
        println!(
            "{connections} connections, {bytes} bytes each, verified: floor {:.1} MB/s, ours {:.1} MB/s, \
             ratio {:.2} (0.90 is wanted)",
            median(floor_rates),
            median(our_rates),
            median(ratios)
        );
    }
    Ok(())
}

/// The rate of an echo in this program, in MB/s each way.
fn measure(
    command: Command,
    address: SocketAddr,
    connections: usize,
    bytes: usize,
) -> Result<f64, String> {
    let _server = echo::serve(command, address)?;
    let time = echo::through(address, connections, bytes)?;
    Ok((connections * bytes) as f64 / time.as_secs_f64() / 1e6)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
