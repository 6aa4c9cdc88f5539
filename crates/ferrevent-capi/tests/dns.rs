//! C programs that serve and ask DNS, on our library and on Debian's, with
//! peers that know nothing of either: dig and dnspython ask, unbound answers.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use common::service::{Service, free_port, wait};
use common::{Library, compile, on, same_on_both, scratch, text};

#[test]
fn servers() {
    same_on_both("dns_server", &[], &[]);
    same_on_both("dns_server", &["threads"], &[]);
}

#[test]
fn resolvers() {
    let folder = scratch().display().to_string();
    same_on_both("dns_client", &[&folder], &[]);
    same_on_both("dns_client", &[&folder, "threads"], &[]);
    same_on_both("dns_client", &[&folder], &[("EVENT_NOEPOLL", "1")]);
}

#[test]
fn threads_ask_at_once() {
    assert_eq!(ours("dns_client", "crowd"), "counted 2000\n");
}

#[test]
fn damaged_answers_harm_nobody() {
    assert_eq!(ours("dns_client", "noise"), "answered 2000\n");
}

#[test]
fn malformed_questions_are_nobodys() {
    // Of their beginnings libevent reads what is not there.
    let said = ours("dns_server", "noise");
    let wanted = "begun: called 0\n  code 5: 0\n  28: 12348005 00010000 00000000 \
                  05737469 6c6c0468 65726500 00050001\n";
    assert_eq!(said, wanted);
}

#[test]
fn what_libevent_does_otherwise() {
    let said = ours("dns_server", "ours");
    let lines: Vec<_> = said.lines().map(str::trim).collect();
    let wanted = [
        // A record for each address.
        "added 1, none -1 -1, names -1 -1 -1, respond 0",
        "76: 12348000 00010003 00000000 05746872 65650474 65737400 00010001 \
         c00c0001 00010000 003c0004 c0000201 c00c0001 00010000 003c0004 c0000202 \
         c00c0001 00010000 003c0004 c0000203",
        // No more than there is room for, and so many are announced.
        "added 40, none -1 -1, names -1 -1 -1, respond 0",
        "507: 12348200 0001001e 00000000",
        // A notification is not for a program that answers questions.
        "21: 1234a114 00010000 00000000 03616263 00000600 01",
        "no answer, called 0",
        "no answer, called 0",
        "no answer, called 0",
        "no answer, called 0",
        "add 0, respond 0",
        "flags 0, 1 questions: 'last.test' 1/1",
        "respond 0",
        "closed 1, called 1",
        "held 60",
        "all 60, kept 1",
        "again -1, drop 0",
        "got 59, in order 1, closed 1",
    ];
    assert_eq!(lines.len(), wanted.len(), "{said}");
    for (line, wanted) in lines.iter().zip(wanted) {
        assert!(line.starts_with(wanted), "{line}, not {wanted}\n{said}");
    }
}

#[test]
fn what_has_harmed_others_harms_nobody() {
    let said = ours("dns_reported", "");
    assert_eq!(said, ours("dns_reported", "threads"));
    let wanted = "\
== names that end nowhere
  a label beyond the end: 0, 1 found
  no byte of a label: 0, 1 found
  a label to the end: 0, 1 found
  in a circle: 0, 1 found
  to itself: 0, 1 found
  half a pointer: 0, 1 found
  beyond the end: 0, 1 found
  an unknown kind of label: 0, 1 found
  data beyond the end: 0, 1 found
  data too short: 0, 1 found
  an alias beyond the end: 0, 1 found
  an alias of itself: 0, 1 found
  many announced: 0, 1 found
== empty names
  : 3, 0 found
  : -2, list 0
  .: 3, 0 found
  .: -2, list 0
  ..: cannot be asked for
  ..: -2, list 0
  .a: cannot be asked for
  .a: -2, list 0
  a..: cannot be asked for
  a..: -2, list 0
== names at the end of an answer
  longest 512, wrong 0
== the case of letters
  varied: 0, 1 found
  as they are: 0, 1 found
  varied: 0, 1 found
  as they are: 0, 1 found
== several answers by TCP
  code 0: 0, 1 found
  code 5: 5, 0 found
  code 4: 4, 0 found
  code 2: 2, 0 found
  code 1: 1, 0 found
== callbacks that cancel
  not answered: all 1
  answered: all 1
  refused: all 1
  by TCP: all 1
  one at a time: all 1
  not answered: all 1
  answered: all 1
  refused: all 1
  by TCP: all 1
  one at a time: all 1
";
    assert_eq!(said, wanted);
}

fn ours(name: &str, mode: &str) -> String {
    let output = on(Library::Ours, compile(name)).arg(mode).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout)
}

/// What dig is asked for, each with a port in between.
const QUESTIONS: [&[&str]; 10] = [
    &["here.test", "A"],
    &["HERE.test", "AAAA"],
    &["here.test", "TXT"],
    &["here.test", "MX"],
    &["here.test", "SOA"],
    &["alias.test", "A"],
    &["-x", "192.0.2.7"],
    &["refused.test", "A"],
    &["nowhere.test", "A"],
    &["here.test", "A", "+norecurse", "+noedns", "+cdflag"],
];

#[test]
fn dig_is_told_the_same() {
    if !there("dig", &["-v"]) {
        return;
    }
    let [ours, theirs] = [Library::Ours, Library::System].map(|library| {
        let (_service, port) = start(library);
        QUESTIONS.map(|question| {
            let output = Command::new("dig")
                .args(["@127.0.0.1", "-p", &port])
                .args(question)
                .args(["+noall", "+comments", "+question", "+answer"])
                .args(["+authority", "+additional", "+tries=3", "+timeout=20"])
                .output()
                .unwrap();
            assert!(output.status.success(), "{question:?}: {output:?}");
            let said = text(&output.stdout);
            // The identifier is another each time.
            let (head, rest) = said.split_once(", id: ").unwrap();
            format!("{head}{}", rest.split_once('\n').unwrap().1)
        })
    });
    assert_eq!(ours, theirs);
    let address = ours[0].lines().any(|it| it.ends_with("A\t192.0.2.7"));
    assert!(
        address && ours[0].contains("flags: qr aa rd ra;"),
        "{}",
        ours[0]
    );
}

/// Asks by dnspython, and prints what has come.
const ASK: &str = "
import sys, dns.message, dns.query, dns.flags, dns.rcode, dns.exception
port = int(sys.argv[1])
def ask(name, kind, **options):
    question = dns.message.make_query(name, kind, **options)
    try:
        answer = dns.query.udp(question, '127.0.0.1', timeout=float(sys.argv[2]), port=port)
    except dns.exception.Timeout:
        return print(name, kind, 'is not answered')
    print(name, kind, dns.rcode.to_text(answer.rcode()), dns.flags.to_text(answer.flags))
    for section in answer.sections[1:]:
        for records in section:
            print(' ', records)
for kind in 'A', 'AAAA', 'TXT', 'MX', 'NS':
    ask('hErE.test', kind)
ask('here.test', 'A', use_edns=0, payload=4096)
ask('alias.test', 'A')
ask('7.2.0.192.in-addr.arpa', 'PTR')
ask('nowhere.test', 'A')
if sys.argv[3] == 'ours':
    ask('many.test', 'A')
";

#[test]
fn dnspython_is_told_the_same() {
    let python = "/usr/bin/python3";
    if !there(python, &["-c", "import dns.query"]) {
        return;
    }
    let ask = |library, which| {
        let (_service, port) = start(library);
        let output = Command::new(python)
            .args(["-c", ASK, &port, "60", which])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        text(&output.stdout)
    };
    let ours = ask(Library::Ours, "both");
    assert_eq!(ours, ask(Library::System, "both"));
    assert!(
        ours.contains(
            " 61 IN AAAA 2001:db8::7
"
        ),
        "{ours}"
    );
    // An answer that does not fit can still be read; libevent cuts through a record.
    let ours = ask(Library::Ours, "ours");
    assert!(
        ours.contains("many.test A NOERROR QR AA TC RD RA\n"),
        "{ours}"
    );
    assert!(ours.contains("n0.many.test. 69 IN A 192.0.2.7\n"), "{ours}");
}

#[test]
fn unbound_is_asked() {
    let unbound = "/usr/sbin/unbound";
    if !Path::new(unbound).exists() {
        eprintln!("skipped: unbound is not installed");
        return;
    }
    let port = free_port();
    let settings = scratch().join("unbound.conf");
    let folder = scratch().display().to_string();
    let mut lines = format!(
        "server:\n interface: 127.0.0.1\n port: {port}\n do-daemonize: no\n username: \"\"\n \
         chroot: \"\"\n directory: \"{folder}\"\n pidfile: \"\"\n use-syslog: no\n \
         do-ip6: no\n module-config: \"iterator\"\n local-zone: \"test.\" static\n \
         local-data: \"one.test. 60 A 192.0.2.7\"\n local-data: \"one.test. 60 AAAA 2001:db8::7\"\n \
         local-data: \"alias.test. 60 CNAME one.test.\"\n"
    );
    for number in 0..200 {
        lines += &format!(" local-data: \"many.test. 60 A 198.51.100.{number}\"\n");
    }
    lines += "remote-control:\n control-enable: no\n";
    std::fs::write(&settings, lines).unwrap();
    let log = std::fs::File::create(scratch().join("unbound.log")).unwrap();
    let mut command = Command::new(unbound);
    command
        .args(["-d", "-c"])
        .arg(&settings)
        .stdin(Stdio::null());
    command.stdout(log.try_clone().unwrap()).stderr(log);
    let _service = Service::start(&mut command, "-TERM");
    wait("unbound", || {
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let server = format!("127.0.0.1:{port}");
    let ask = |library, names: &[&str]| {
        let mut command = on(library, compile("dns_client"));
        command.args(["ask", &server]).args(names);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        text(&output.stdout)
    };
    let names = ["one.test", "ONE.test", "nowhere.test"];
    let ours = ask(Library::Ours, &names);
    assert_eq!(ours, ask(Library::System, &names));
    assert!(
        ours.contains("one.test: 0 type 1, 1 for 60: 192.0.2.7\n"),
        "{ours}"
    );
    assert!(ours.contains("nowhere.test: 3 type 0, 0\n"), "{ours}");
    // No datagram has room for these: they are asked for again by TCP, which
    // libevent does not do.
    let ours = ask(Library::Ours, &["many.test"]);
    assert!(ours.contains("many.test: 0 type 1, 200 for 60: "), "{ours}");
    assert!(ours.contains(" 198.51.100.199"), "{ours}");
}

fn there(program: &str, arguments: &[&str]) -> bool {
    let there = Command::new(program).args(arguments).output();
    let there = there.is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("skipped: {program} {} does not run", arguments.join(" "));
    }
    there
}

/// A server of some names, and its port.
fn start(library: Library) -> (Service, String) {
    let mut command = on(library, compile("dns_names"));
    let (reader, writer) = std::io::pipe().unwrap();
    command.stdin(Stdio::null()).stdout(writer);
    let service = Service::start(&mut command, "-TERM");
    drop(command);
    let mut port = String::new();
    BufReader::new(reader).read_line(&mut port).unwrap();
    (service, port.trim().to_owned())
}
