//! `cargo xtask testssl`: testssl.sh against the relay's TLS. What it calls
//! HIGH or CRITICAL is a failure.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::running::{Running, free_port, wait_for};
use crate::{cargo, packages};

const PACKAGES: &[packages::Wanted] = &[
    ("command -v testssl", "testssl.sh"),
    ("command -v openssl", "openssl"),
];

const FOLDER: &str = "target/testssl";

/// So long a scan may take: minutes, where nobody else wants the cores.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Scans the relay with the versions it speaks by default, and with TLS 1.3
/// alone.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    if !args.is_empty() {
        return Err("usage: cargo xtask testssl".into());
    }
    packages::ensure(PACKAGES)?;
    fs::create_dir_all(FOLDER).map_err(|error| format!("{FOLDER}: {error}"))?;
    certificates()?;
    find_error()?;
    cargo::run(
        "relay for testssl.sh",
        &["build", "--locked", "-p", "ferrevent-cli"],
        &[],
    )?;
    let upstream = upstream().map_err(|error| format!("an upstream: {error}"))?;
    for (name, more) in [("relay", &[][..]), ("relay-1.3", &["--min-tls", "1.3"])] {
        let port = free_port()?;
        let listen = format!("127.0.0.1:{port}");
        let mut arguments = vec!["relay", &listen, &upstream, "--listen-tls", CERT, KEY];
        arguments.extend(more);
        let _relay = start("target/debug/ferrevent", &arguments)?;
        wait_for(&listen)?;
        eprintln!("== testssl.sh: {}", arguments.join(" "));
        let found = scan(name, port, &[])?;
        report(&found);
        if found.iter().any(Finding::is_severe) {
            return Err(format!(
                "testssl.sh has severe findings; see {FOLDER}/{name}.txt"
            ));
        }
    }
    Ok(())
}

const CERT: &str = "target/testssl/cert.pem";
const KEY: &str = "target/testssl/key.pem";
const ROOT: &str = "target/testssl/ca.pem";

/// An authority, and what it signs for localhost.
fn certificates() -> Result<(), String> {
    let extensions = "subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n\
         crlDistributionPoints=URI:http://localhost/none.crl\n";
    let path = format!("{FOLDER}/extensions");
    fs::write(&path, extensions).map_err(|error| format!("{path}: {error}"))?;
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for command in [
        format!(
            "req -x509 {key} -keyout {FOLDER}/ca.key -out {ROOT} -days 300 -subj /CN=authority"
        ),
        format!("req {key} -keyout {KEY} -out {FOLDER}/request -subj /CN=localhost"),
        format!(
            "x509 -req -in {FOLDER}/request -CA {ROOT} -CAkey {FOLDER}/ca.key -CAcreateserial \
             -out {CERT} -days 300 -extfile {path}"
        ),
    ] {
        let output = Command::new("openssl")
            .args(command.split_whitespace())
            .output()
            .map_err(|error| format!("openssl: {error}"))?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            return Err(format!("openssl {command}: {why}"));
        }
    }
    Ok(())
}

/// A scan that misses ciphers without a certificate would miss others too.
fn find_error() -> Result<(), String> {
    let port = free_port()?;
    let accept = port.to_string();
    let weak = [
        "s_server", "-accept", &accept, "-cert", CERT, "-key", KEY, "-www", "-quiet",
    ];
    let anonymous = ["-tls1_2", "-cipher", "ALL:aNULL:@SECLEVEL=0"];
    let _server = start("openssl", &[&weak[..], &anonymous].concat())?;
    wait_for(&format!("127.0.0.1:{port}"))?;
    let found = scan("probe", port, &["--std"])?;
    match found.iter().any(Finding::is_severe) {
        true => Ok(()),
        false => Err("testssl.sh does not find the anonymous ciphers of a weak server".into()),
    }
}

struct Finding {
    id: String,
    severity: String,
    finding: String,
}

impl Finding {
    fn is_severe(&self) -> bool {
        self.severity == "HIGH" || self.severity == "CRITICAL"
    }
}

/// Everything that is found. A scan that did not come to its end is none.
fn scan(name: &str, port: u16, more: &[&str]) -> Result<Vec<Finding>, String> {
    let (csv, text) = (
        format!("{FOLDER}/{name}.csv"),
        format!("{FOLDER}/{name}.txt"),
    );
    for path in [&csv, &text] {
        if Path::new(path).exists() {
            fs::remove_file(path).map_err(|error| format!("{path}: {error}"))?;
        }
    }
    let out = fs::File::create(&text).map_err(|error| format!("{text}: {error}"))?;
    let child = Command::new("testssl")
        .args(["--quiet", "--color", "0", "--warnings", "batch"])
        .args(["--add-ca", ROOT, "--csvfile", &csv])
        .args(more)
        .arg(format!("localhost:{port}"))
        .stdin(Stdio::null())
        .stdout(out)
        .spawn()
        .map_err(|error| format!("testssl: {error}"))?;
    let status = Running(child)
        .ended(PATIENCE)
        .map_err(|error| format!("testssl.sh: {error}; see {text}"))?;
    let found = fs::read_to_string(&csv).map_err(|error| format!("{csv}: {error}"))?;
    let found: Vec<Finding> = found.lines().filter_map(finding).collect();
    // Its exit code counts what it is not content with; from 242 on it failed.
    let failed = status.code().is_none_or(|code| code >= 242);
    let said = fs::read_to_string(&text).map_err(|error| format!("{text}: {error}"))?;
    if failed || !said.lines().any(|line| line.starts_with(" Done ")) {
        return Err(format!("testssl.sh came to no end ({status}); see {text}"));
    }
    Ok(found)
}

/// A line: id, host, port, severity, finding and more, each in quotes.
fn finding(line: &str) -> Option<Finding> {
    let mut fields = line.strip_prefix('"')?.split("\",\"");
    let id = fields.next()?.to_owned();
    let severity = fields.nth(2)?.to_owned();
    let finding = fields.next()?.to_owned();
    Some(Finding {
        id,
        severity,
        finding,
    })
}

/// Tells of everything that is not well or a mere fact.
fn report(found: &[Finding]) {
    let mild = found
        .iter()
        .filter(|one| !matches!(one.severity.as_str(), "OK" | "INFO" | "severity"));
    for one in mild {
        eprintln!("{:<9} {:<24} {}", one.severity, one.id, one.finding);
    }
    eprintln!("{} findings", found.len());
}

/// A plain server that answers whatever it is asked over HTTP.
fn upstream() -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    Ok(address)
}

fn answer(mut stream: TcpStream) {
    let mut request = [0; 4096];
    while let Ok(n) = stream.read(&mut request)
        && n > 0
    {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n";
        if stream.write_all(head.as_bytes()).is_err() {
            return;
        }
    }
}

fn start(program: &str, arguments: &[&str]) -> Result<Running, String> {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(Running)
        .map_err(|error| format!("{program}: {error}"))
}
