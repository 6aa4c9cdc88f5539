//! A load by wrk, and what it costs this process: shared by the peers that
//! serve HTTP.

use std::error::Error;
use std::net::SocketAddr;
use std::process::Command;
use std::{fs, thread};

/// Connections of each cell.
const CONNECTIONS: [usize; 2] = [50, 500];
/// Seconds of load before that, and of the load that counts.
const WARM_UP: &str = "1";
const WINDOW: &str = "3";
/// Where the load runs: the server has the other core, if it is one thread.
const LOAD_CORE: &str = "1";

/// Loads the server that this process runs there, prints a line for each
/// figure, the CPU time of a request in nanoseconds, and ends the process.
pub(crate) fn measure_and_exit(address: SocketAddr) {
    thread::spawn(move || {
        let failed = measure(address)
            .inspect_err(|error| eprintln!("{error}"))
            .is_err();
        std::process::exit(i32::from(failed));
    });
}

fn measure(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    for connections in CONNECTIONS {
        load(address, connections, WARM_UP)?;
        let before = cpu()?;
        let requests = load(address, connections, WINDOW)?;
        let each = (cpu()? - before) as f64 / requests as f64;
        println!("{connections}\t{each:.1}");
    }
    Ok(())
}

/// Returns how many requests were answered.
fn load(address: SocketAddr, connections: usize, seconds: &str) -> Result<u64, Box<dyn Error>> {
    let output = Command::new("taskset")
        .args(["-c", LOAD_CORE, "wrk", "-t1", "-c"])
        .arg(connections.to_string())
        .args(["-d", seconds, &format!("http://{address}/")])
        .output()?;
    let said = String::from_utf8(output.stdout)?;
    let line = said.lines().find(|line| line.contains(" requests in "));
    let requests = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    match requests {
        Some(requests) if output.status.success() && !said.contains("Socket errors") => {
            Ok(requests)
        }
        _ => Err(format!("wrk: {said}{}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

/// Nanoseconds that the threads of this process have been on a CPU.
fn cpu() -> Result<u64, Box<dyn Error>> {
    let mut sum = 0;
    for task in fs::read_dir("/proc/self/task")? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        sum += text
            .split_whitespace()
            .next()
            .ok_or("no schedstat")?
            .parse::<u64>()?;
    }
    Ok(sum)
}
