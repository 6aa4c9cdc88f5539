//! What Linux tells of a process (proc(5)).

use std::fs;

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
