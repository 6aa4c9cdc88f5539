//! What the kernel counts on a process's TCP connections, by ss(8).

use std::collections::HashMap;
use std::process::Command;
use std::time::Instant;

/// The connections of a process to others' ports, and the bytes it has taken
/// from each: what the kernel has received and still holds is not its own.
pub(super) struct Wire {
    taken: Instant,
    /// By our own port: the peer's, and the bytes.
    connections: HashMap<u16, (u16, u64)>,
}

impl Wire {
    /// All but those to its own port `but`.
    pub(super) fn of(pid: u32, but: u16) -> Result<Self, String> {
        let output = Command::new("ss")
            .args(["-H", "-O", "-t", "-i", "-n", "-p"])
            .output();
        let output = output.map_err(|error| format!("ss: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let own = format!("pid={pid},");
        let connections = text
            .lines()
            .filter(|line| line.contains(&own))
            .filter_map(connection)
            .filter(|(local, _)| *local != but)
            .collect();
        Ok(Self {
            taken: Instant::now(),
            connections,
        })
    }

    /// The peer's port of the connection that has received the most.
    pub(super) fn busiest(&self) -> Option<u16> {
        let most = self.connections.values().max_by_key(|(_, bytes)| *bytes);
        most.map(|(peer, _)| *peer)
    }

    /// Bytes a second, on connections that were there before or not.
    pub(super) fn taken_since(&self, before: &Self) -> f64 {
        let seconds = self.taken.duration_since(before.taken).as_secs_f64();
        self.more_than(before) as f64 / seconds
    }

    /// The bytes that were received meanwhile.
    pub(super) fn more_than(&self, before: &Self) -> u64 {
        self.connections
            .iter()
            .map(|(local, (_, bytes))| {
                let old = before.connections.get(local).map_or(0, |(_, bytes)| *bytes);
                bytes.saturating_sub(old)
            })
            .sum()
    }
}

/// State, queues, own address, peer's, and then what is known of it.
fn connection(line: &str) -> Option<(u16, (u16, u64))> {
    let mut fields = line.split_whitespace();
    let port = |address: &str| address.rsplit(':').next()?.parse::<u16>().ok();
    let held: u64 = fields.nth(1)?.parse().ok()?;
    let local = port(fields.nth(1)?)?;
    let peer = port(fields.next()?)?;
    let received = fields.find_map(|field| field.strip_prefix("bytes_received:"));
    let received: u64 = received.and_then(|bytes| bytes.parse().ok()).unwrap_or(0);
    Some((local, (peer, received.saturating_sub(held))))
}

#[cfg(test)]
mod tests {
    use super::connection;

    #[test]
    fn a_line_is_read() {
        let line = "ESTAB 48 0 127.0.0.1:43210 127.0.0.1:17001 users:((\"x\",pid=7,fd=9)) cubic \
                    rto:204 bytes_sent:10 bytes_received:2048 segs_out:3";
        assert_eq!(connection(line), Some((43210, (17001, 2000))));
        assert_eq!(connection("nonsense"), None);
    }
}
