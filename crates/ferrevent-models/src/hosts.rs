//! hosts(5): names that need no server.

use std::net::IpAddr;

use ferrevent_dns::Hosts;

/// Reads any text as a hosts file. It says of every name and every address what
/// a look at line after line says.
///
/// ```
/// ferrevent_models::hosts::run(b"192.0.2.1 www.example www # the web\n");
/// ```
///
/// # Panics
/// If that is not so.
pub fn run(text: &[u8]) {
    let hosts = Hosts::parse(text);
    let lines = lines(text);
    assert_eq!(hosts.is_empty(), lines.is_empty());
    for (address, names) in lines.iter().take(20) {
        let first = lines.iter().find(|(other, _)| other == address);
        assert_eq!(hosts.name(*address), first.map(|(_, names)| names[0]));
        for name in names.iter().take(20) {
            let mut wanted: Vec<_> = lines
                .iter()
                .filter(|(_, names)| names.iter().any(|other| are_same(other, name)))
                .map(|(address, _)| *address)
                .collect();
            wanted.dedup();
            assert_eq!(hosts.addresses(name), wanted);
            assert_eq!(hosts.addresses(&name.to_ascii_uppercase()), wanted);
        }
    }
}

/// An address and at least one name.
fn lines(text: &[u8]) -> Vec<(IpAddr, Vec<&str>)> {
    let lines = text.split(|byte| *byte == b'\n');
    let lines = lines.filter_map(|line| std::str::from_utf8(line).ok());
    lines
        .filter_map(|line| {
            let mut words = line.split('#').next()?.split_ascii_whitespace();
            let address = words.next()?.parse().ok()?;
            Some((address, words.collect::<Vec<_>>()))
        })
        .filter(|(_, names)| !names.is_empty())
        .collect()
}

fn are_same(one: &str, other: &str) -> bool {
    let bare = |name: &str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    bare(one) == bare(other)
}
