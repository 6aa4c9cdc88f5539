//! unbound answers.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use std::{fs, thread};

use crate::common::matrix::Column;
use crate::*;

/// A server with a zone of its own.
struct Unbound {
    address: SocketAddr,
    folder: PathBuf,
    process: Child,
}

impl Unbound {
    fn new() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let name = format!("unbound-{}-{}", std::process::id(), address.port());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("unbound.conf");
        fs::write(&file, config(address.port(), &folder)).unwrap();
        let process = Command::new("/usr/sbin/unbound")
            .arg("-d")
            .arg("-c")
            .arg(&file)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < end, "unbound does not listen");
            thread::sleep(Duration::from_millis(5));
        }
        Self {
            address,
            folder,
            process,
        }
    }
}

impl Drop for Unbound {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn config(port: u16, folder: &Path) -> String {
    let many: String = (0..200)
        .map(|last| format!("  local-data: \"many.test. 60 IN A 198.51.100.{last}\"\n"))
        .collect();
    format!(
        r#"
server:
  interface: 127.0.0.1
  port: {port}
  directory: "{}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  module-config: "iterator"
  local-zone: "." static
  local-zone: "refused.test." refuse
  local-data: "www.test. 60 IN A 192.0.2.1"
  local-data: "www.test. 60 IN AAAA 2001:db8::1"
  local-data: "alias.test. 60 IN CNAME www.test."
  local-data-ptr: "192.0.2.1 www.test"
  local-data-ptr: "2001:db8::1 www.test"
{many}
remote-control:
  control-enable: no
"#,
        folder.display()
    )
}

#[test]
fn unbound_answers() {
    let server = Unbound::new();
    for kind in kinds() {
        for workers in [None, Some(2)] {
            let column = Column {
                kind,
                workers,
                storm: None,
            };
            eprintln!("-- {column}");
            let mut rig = column.rig(None).unwrap();
            let outcome = answers(&mut rig, server.address);
            outcome.expect("nothing is struck");
            rig.close();
        }
    }
}

fn answers(rig: &mut Rig, server: SocketAddr) -> Outcome {
    let mut resolver_of = |option: &str| {
        let mut config = Config::with_servers([server]);
        config.search = vec!["nothing.test".into(), "test".into()];
        config.add_option(option);
        Resolver::new(&rig.context(), config, Hosts::default())
    };
    let resolvers = ["", "use-vc", "edns-udp-size:512"].map(&mut resolver_of);
    for resolver in resolvers {
        let mut ask =
            |name: &str, families| resolve(rig, &resolver, &Question::addresses(name, families));
        let six: IpAddr = "2001:db8::1".parse().unwrap();
        let mut addresses = ask("www", Families::BOTH)?.unwrap().addresses;
        addresses.sort();
        assert_eq!(addresses, [v4(), six]);
        let answer = ask("alias.test", Families::V4)?.unwrap();
        assert_eq!(answer.addresses, [v4()]);
        assert_eq!(answer.canonical.as_deref(), Some("www.test"));
        let many = ask("many.test.", Families::V4)?.unwrap();
        assert_eq!(many.addresses.len(), 200);
        let mut failure = |name: &str, families| -> Outcome<Failure> {
            Ok(ask(name, families)?.unwrap_err().failure)
        };
        assert_eq!(failure("none.test.", Families::V4)?, Failure::NoSuchName);
        assert_eq!(failure("many.test.", Families::V6)?, Failure::NoData);
        assert_eq!(failure("refused.test.", Families::V4)?, Failure::Refused);
        for address in [v4(), six] {
            let answer = resolve(rig, &resolver, &Question::names(address))?;
            assert_eq!(answer.unwrap().names, ["www.test"]);
        }
    }
    Ok(())
}
