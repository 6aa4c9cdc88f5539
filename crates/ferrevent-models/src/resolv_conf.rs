//! resolv.conf(5): whom to ask, and how.

use std::fmt::Write;

use ferrevent_dns::{Config, Hosts};

use crate::dns;

/// Reads any text as a resolv.conf. Limits are kept, what it says is written and
/// read back as the same, and can be asked with.
///
/// ```
/// ferrevent_models::resolv_conf::run(b"nameserver 192.0.2.1\noptions ndots:2\n");
/// ```
///
/// # Panics
/// If that is not so.
pub fn run(text: &[u8]) {
    let mut config = Config::parse(text);
    assert!((1..=16).contains(&config.servers.len()));
    assert!(config.search.len() <= 32 && config.ndots <= 15);
    assert!((1..=30).contains(&config.timeout.as_secs()));
    assert!((1..=255).contains(&config.attempts));
    assert!((1..=65_000).contains(&config.max_inflight));
    assert!(!config.probe_after.is_zero() && config.probe_after <= config.max_probe_after);
    assert_eq!(Config::parse(written(&config).as_bytes()), config);
    // All that may be asked for takes its time.
    config.attempts = config.attempts.min(2);
    config.servers.truncate(2);
    config.search.truncate(2);
    let text = String::from_utf8_lossy(text);
    let name = text.split_ascii_whitespace().next_back();
    dns::ask_in_vain(config, Hosts::default(), name.unwrap_or("www"));
}

fn written(config: &Config) -> String {
    let mut text = String::new();
    for server in &config.servers {
        writeln!(text, "nameserver {server}").unwrap();
    }
    if !config.search.is_empty() {
        writeln!(text, "search {}", config.search.join(" ")).unwrap();
    }
    let numbers = [
        ("ndots", config.ndots as u64),
        ("timeout", config.timeout.as_secs()),
        ("attempts", config.attempts.into()),
        ("randomize-case", config.randomize_case.into()),
        ("max-timeouts", config.max_timeouts.into()),
        ("max-inflight", config.max_inflight as u64),
        ("edns-udp-size", config.edns_size.into()),
        ("max-probe-timeout", config.max_probe_after.as_secs()),
        ("initial-probe-timeout", config.probe_after.as_secs()),
    ];
    text.push_str("options");
    for (name, number) in numbers {
        write!(text, " {name}:{number}").unwrap();
    }
    let flags = [
        ("rotate", config.rotate),
        ("use-vc", config.use_tcp),
        ("ignore-tc", config.ignore_truncation),
    ];
    for (name, _) in flags.iter().filter(|(_, is_set)| *is_set) {
        write!(text, " {name}").unwrap();
    }
    text
}
