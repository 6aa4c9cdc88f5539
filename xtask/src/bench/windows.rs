//! `cargo xtask bench --windows`: our echo and a bare completion port, in turn,
//! under Wine, with the load from this side of it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::windows::Place;

/// Connections, and bytes that each sends and gets back.
const SHAPES: [(usize, usize); 2] = [(1, 64 << 20), (200, 256 << 10)];
const ROUNDS: usize = 9;
const BLOCK: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(60);

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
    mut command: Command,
    address: SocketAddr,
    connections: usize,
    bytes: usize,
) -> Result<f64, String> {
    let server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let _server = Server(server.map_err(|error| format!("{command:?}: {error}"))?);
    let end = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_err() {
        if Instant::now() > end {
            return Err(format!("{command:?} does not listen on {address}"));
        }
        thread::sleep(Duration::from_millis(20));
    }
    let start = Instant::now();
    let clients: Vec<_> = (0..connections)
        .map(|seed| thread::spawn(move || client(address, bytes, seed as u8)))
        .collect();
    for client in clients {
        client
            .join()
            .map_err(|_| "a client panicked".to_owned())?
            .map_err(|error| format!("{command:?}: {error}"))?;
    }
    Ok((connections * bytes) as f64 / start.elapsed().as_secs_f64() / 1e6)
}

/// Sends, and checks that the same comes back.
fn client(address: SocketAddr, bytes: usize, seed: u8) -> std::io::Result<()> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let block: Vec<u8> = (0..BLOCK).map(|at| (at % 251) as u8 ^ seed).collect();
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for at in (0..bytes).step_by(BLOCK) {
                (&stream).write_all(&block[..BLOCK.min(bytes - at)])?;
            }
            stream.shutdown(Shutdown::Write)
        });
        let mut into = vec![0; BLOCK];
        for at in (0..bytes).step_by(BLOCK) {
            let piece = &mut into[..BLOCK.min(bytes - at)];
            (&stream).read_exact(piece)?;
            if *piece != block[..piece.len()] {
                return Err(std::io::Error::other(format!(
                    "byte {at} came back changed"
                )));
            }
        }
        writer
            .join()
            .unwrap_or_else(|_| Err(std::io::Error::other("the writer panicked")))
    })
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_address() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    listener.local_addr().map_err(|error| error.to_string())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
