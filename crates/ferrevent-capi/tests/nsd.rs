//! Debian's nsd, as it is, on our library and on Debian's: datagrams and
//! connections served by several processes, which are made anew when the zone
//! changes, and signals.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::service::{Service, free_port, wait};
use common::{Library, prefix, scratch, text};

const PROGRAM: &str = "/usr/sbin/nsd";
const NAMES: u32 = 300;

#[test]
fn a_zone_asked_for_whole_and_in_parts() {
    if !Path::new(PROGRAM).exists() {
        eprintln!("skipped: nsd is not installed");
        return;
    }
    let [ours, theirs] = [Library::Ours, Library::System].map(serve_and_ask);
    assert!(ours == theirs, "{ours}\n-- theirs\n{theirs}");
    assert_eq!(ours.matches("192.0.2.").count() as u32, 3 * NAMES);
}

fn serve_and_ask(library: Library) -> String {
    let folder = scratch().join(format!("{library:?}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let port = free_port();
    write_zone(&folder, 1);
    let questions: String = (0..NAMES)
        .map(|it| format!("h{it}.example.test\n"))
        .collect();
    std::fs::write(folder.join("questions"), questions).unwrap();
    let mut command = Command::new(PROGRAM);
    command
        .arg("-d")
        .arg("-c")
        .arg(settings(&folder, port))
        .stdin(Stdio::null());
    match library {
        Library::Ours => command.env("LD_LIBRARY_PATH", prefix().join("lib")),
        Library::System => command.env_remove("LD_LIBRARY_PATH"),
    };
    let log = std::fs::File::create(folder.join("said")).unwrap();
    command.stdout(log.try_clone().unwrap()).stderr(log);
    let service = Service::start(&mut command, "-TERM");
    let serial = || dig(port, &["+short", "example.test", "SOA"]);
    wait("nsd", || serial().contains(" 1 "));
    service.demand(library, prefix());
    let file = folder.join("questions").display().to_string();
    let mut said = dig(port, &["+short", "-f", &file]);
    said += &dig(port, &["+short", "+tcp", "-f", &file]);
    said += &dig(port, &["+noall", "+answer", "example.test", "AXFR"]);
    write_zone(&folder, 2);
    let hang_up = ["-HUP".to_owned(), service.id().to_string()];
    assert!(
        Command::new("kill")
            .args(hang_up)
            .status()
            .unwrap()
            .success()
    );
    wait("the new zone", || serial().contains(" 2 "));
    said + &serial()
}

fn write_zone(folder: &Path, serial: u32) {
    let mut zone = format!(
        "$ORIGIN example.test.\n$TTL 60\n@ SOA ns hostmaster {serial} 3600 600 86400 60\n\
         @ NS ns\nns A 127.0.0.1\n"
    );
    for name in 0..NAMES {
        zone += &format!("h{name} A 192.0.2.{}\n", name % 250);
    }
    std::fs::write(folder.join("zone"), zone).unwrap();
}

fn settings(folder: &Path, port: u16) -> PathBuf {
    let at = folder.display();
    let text = format!(
        "server:\n  ip-address: 127.0.0.1@{port}\n  username: \"\"\n  chroot: \"\"\n  \
         server-count: 2\n  zonesdir: \"{at}\"\n  zonelistfile: \"{at}/list\"\n  \
         database: \"\"\n  pidfile: \"{at}/pid\"\n  xfrdfile: \"{at}/state\"\n  \
         xfrdir: \"{at}\"\n  logfile: \"{at}/log\"\n\
         remote-control:\n  control-enable: no\n\
         zone:\n  name: example.test\n  zonefile: zone\n  provide-xfr: 127.0.0.1 NOKEY\n"
    );
    let file = folder.join("nsd.conf");
    std::fs::write(&file, text).unwrap();
    file
}

fn dig(port: u16, arguments: &[&str]) -> String {
    let output = Command::new("dig")
        .args(["@127.0.0.1", "-p", &port.to_string(), "+time=5", "+tries=3"])
        .args(arguments)
        .output()
        .unwrap();
    text(&output.stdout)
}
