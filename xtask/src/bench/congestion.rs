//! Another congestion control of TCP than the machine's, for a whole run: in a
//! network namespace of its own, whose way to itself is by that.

use std::process::Command;

const ALONE: &str = "\
ip link set lo up
for to in 127.0.0.0/8 127.0.0.1; do
    ip route replace local \"$to\" dev lo table local congctl \"$0\" \
        proto kernel scope host src 127.0.0.1 || exit 1
done
exec \"$@\"";

/// Runs this command once more, there: what it needs is installed and built.
pub(super) fn run(control: &str, args: &[String]) -> Result<(), String> {
    let this = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
    let status = Command::new("unshare")
        .args(["--net", "--", "sh", "-c", ALONE, control])
        .arg(this)
        .arg("bench")
        .args(args)
        .status()
        .map_err(|error| format!("unshare: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!(
        "the run with {control} as congestion control: {status}; it needs root, and that \
         `sysctl net.ipv4.tcp_available_congestion_control` has {control}"
    ))
}

/// The arguments without this option.
pub(super) fn without(args: &[String]) -> Vec<String> {
    let mut rest = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == OPTION {
            args.next();
        } else {
            rest.push(arg.clone());
        }
    }
    rest
}

pub(super) const OPTION: &str = "--congestion";
