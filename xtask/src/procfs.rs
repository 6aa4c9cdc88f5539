//! What Linux tells of a process (proc(5)).

use std::fs;
use std::path::PathBuf;

/// Memory that is the process's own and was written to, in bytes
/// (proc_pid_smaps(5)).
pub(crate) fn private_dirty(pid: u32) -> Result<f64, String> {
    kilobytes(pid, "smaps_rollup", "Private_Dirty:").map(|kilobytes| kilobytes * 1024.0)
}

/// Resident memory that no file stands behind, in KiB (proc_pid_status(5)).
pub(crate) fn anonymous_kib(pid: u32) -> Result<u64, String> {
    kilobytes(pid, "status", "RssAnon:").map(|kilobytes| kilobytes as u64)
}

/// How many descriptors are open.
pub(crate) fn descriptors(pid: u32) -> Result<usize, String> {
    let path = format!("/proc/{pid}/fd");
    let entries = fs::read_dir(&path).map_err(|error| format!("{path}: {error}"))?;
    Ok(entries.count())
}

/// CPU time spent so far, user and system, in seconds (proc_pid_stat(5)).
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64, String> {
    seconds(pid, 11)
}

/// The same of those of its children that have ended and were waited for.
pub(crate) fn cpu_seconds_of_children(pid: u32) -> Result<f64, String> {
    seconds(pid, 13)
}

/// The most memory that was resident so far, in KiB (proc_pid_status(5)).
pub(crate) fn most_resident_kib(pid: u32) -> Result<f64, String> {
    kilobytes(pid, "status", "VmHWM:")
}

/// The process whose TCP connection this port of 127.0.0.1 is, while it has it (proc_net_tcp(5)).
pub(crate) fn connected_from(port: u16) -> Option<u32> {
    let local = format!("0100007F:{port:04X}");
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let socket = table.lines().find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        (fields.next()? == local).then(|| fields.nth(7))?
    })?;
    let socket = PathBuf::from(format!("socket:[{socket}]"));
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| {
        let open = fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten();
        open.flatten()
            .any(|file| fs::read_link(file.path()).is_ok_and(|it| it == socket))
    })
}

/// Two fields behind the name of the program, of which this is the first.
fn seconds(pid: u32, first: usize) -> Result<f64, String> {
    let text = read(pid, "stat")?;
    // The second field is a name in parentheses and may hold anything.
    let fields = text.rsplit(") ").next().unwrap_or_default();
    let mut ticks = fields.split(' ').skip(first).map(str::parse::<f64>);
    match (ticks.next(), ticks.next()) {
        // Linux counts in hundredths towards user space, whatever it uses itself.
        (Some(Ok(user)), Some(Ok(system))) => Ok((user + system) / 100.0),
        _ => Err(format!("/proc/{pid}/stat: {text}")),
    }
}

fn kilobytes(pid: u32, file: &str, key: &str) -> Result<f64, String> {
    read(pid, file)?
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse().ok())
        .ok_or_else(|| format!("/proc/{pid}/{file}: no {key}"))
}

fn read(pid: u32, file: &str) -> Result<String, String> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))
}
