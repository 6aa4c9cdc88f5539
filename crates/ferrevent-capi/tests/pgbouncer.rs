//! Debian's pgbouncer, as it is, on our library and on Debian's, between
//! PostgreSQL and its own load.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use common::paired::{Cost, compare, cpu_seconds};
use common::service::{Service, free_port, wait};
use common::{Library, prefix, text};

#[test]
fn a_bank_behind_a_pool() {
    let Some(tools) = tools() else {
        eprintln!("skipped: PostgreSQL is not installed");
        return;
    };
    if !Path::new("/usr/sbin/pgbouncer").exists() {
        eprintln!("skipped: pgbouncer is not installed");
        return;
    }
    let folder = Folder::new();
    let _database = folder.start_database(&tools);
    let [ours, theirs] = [Library::Ours, Library::System].map(|library| folder.bank(library));
    assert_eq!(ours, theirs);
}

/// `cargo xtask capi compare`.
#[test]
#[ignore = "it measures, which wants a quiet machine"]
fn compared() {
    let folder = Folder::new();
    let _database = folder.start_database(&tools().expect("PostgreSQL is not installed"));
    let (pool, to) = folder.start_pool(Library::System);
    folder.run("pgbench", &to.with(&["-i", "-q", "bank"]));
    drop(pool);
    compare("pgbouncer", |library| {
        let (pool, to) = folder.start_pool(library);
        let before = cpu_seconds(pool.id());
        let load = ["-S", "-c", "20", "-T", "4", "--no-vacuum", "bank"];
        let said = folder.run("pgbench", &to.with(&load));
        let cpu = cpu_seconds(pool.id()) - before;
        let done = said.split("actually processed: ").nth(1).unwrap();
        let done: f64 = done.split_whitespace().next().unwrap().parse().unwrap();
        Cost {
            cpu_us: cpu * 1e6 / done,
            rate: done / 4.0,
        }
    });
}

/// The newest PostgreSQL's programs.
fn tools() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut folders: Vec<PathBuf> = versions.flatten().map(|it| it.path().join("bin")).collect();
    folders.retain(|folder| folder.join("initdb").exists());
    folders.sort();
    folders.pop()
}

/// What all of it lies in. Neither PostgreSQL nor pgbouncer runs as root.
struct Folder {
    path: PathBuf,
    as_nobody: bool,
}

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("ferrevent-pg-{}", std::process::id()));
        std::fs::create_dir_all(path.join("lib")).unwrap();
        // Nobody may not be allowed to where this is built.
        for entry in std::fs::read_dir(prefix().join("lib")).unwrap().flatten() {
            if entry.path().is_file() {
                std::fs::copy(entry.path(), path.join("lib").join(entry.file_name())).unwrap();
            }
        }
        let user = Command::new("id").arg("-u").output().unwrap();
        let as_nobody = text(&user.stdout).trim() == "0";
        if as_nobody {
            let status = Command::new("chown")
                .args(["-R", "nobody:nogroup"])
                .arg(&path)
                .status();
            assert!(status.unwrap().success());
        }
        Self { path, as_nobody }
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = if self.as_nobody {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
            command.arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(&self.path).stdin(Stdio::null());
        command.env("HOME", &self.path).env("LC_ALL", "C");
        command
    }

    fn run(&self, program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> String {
        let output = self.command(program).args(arguments).output().unwrap();
        let said = text(&output.stdout);
        assert!(
            output.status.success(),
            "{arguments:?}: {said}{}",
            text(&output.stderr)
        );
        said
    }

    fn start_database(&self, tools: &Path) -> Service {
        let data = self.path.join("data");
        self.run(
            tools.join("initdb"),
            &[
                "-A",
                "trust",
                "-U",
                "tester",
                "-N",
                "-D",
                data.to_str().unwrap(),
            ],
        );
        let mut command = self.command(tools.join("postgres"));
        command.arg("-D").arg(&data).arg("-k").arg(&self.path);
        command.args(["-h", "", "-p", "5432", "-F"]);
        let log = std::fs::File::create(self.path.join("postgres.log")).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let process = Service::start(&mut command, "-INT");
        let socket = self.path.join(".s.PGSQL.5432");
        wait("PostgreSQL", || UnixStream::connect(&socket).is_ok());
        let path = self.path.to_str().unwrap();
        wait("PostgreSQL", || {
            let mut ready = self.command("psql");
            ready.args(["-h", path, "-U", "tester", "-c", "select 1", "postgres"]);
            ready.output().unwrap().status.success()
        });
        process
    }

    fn start_pool(&self, library: Library) -> (Service, Way) {
        let port = free_port().to_string();
        let path = self.path.to_str().unwrap();
        let settings = self.path.join(format!("{library:?}.ini"));
        let lines = format!(
            "[databases]\nbank = host={path} port=5432 user=tester dbname=postgres\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = transaction\n\
             max_client_conn = 200\ndefault_pool_size = 10\nadmin_users = any\n\
             logfile = {path}/{library:?}.log\n"
        );
        std::fs::write(&settings, lines).unwrap();
        let mut command = self.command("/usr/sbin/pgbouncer");
        command.arg(&settings);
        if library == Library::Ours {
            command.env("LD_LIBRARY_PATH", self.path.join("lib"));
        }
        let log = std::fs::File::create(self.path.join("pgbouncer.err")).unwrap();
        command.stdout(Stdio::null()).stderr(log);
        let pool = Service::start(&mut command, "-INT");
        wait("pgbouncer", || {
            TcpStream::connect(format!("127.0.0.1:{port}")).is_ok()
        });
        pool.demand(library, &self.path.join("lib"));
        (pool, Way { port })
    }

    /// Runs the load by way of a pool; what has to be the same in the end.
    fn bank(&self, library: Library) -> String {
        let (_pool, to) = self.start_pool(library);
        let with = |more: &[&'static str]| to.with(more);
        self.run("pgbench", &with(&["-i", "-q", "bank"]));
        let load = ["-c", "40", "-j", "2", "-t", "50", "--no-vacuum", "bank"];
        let said = self.run("pgbench", &with(&load));
        assert!(said.contains("2000/2000"), "{said}");
        // Connections that come and go.
        let load = ["-C", "-S", "-c", "10", "-t", "20", "--no-vacuum", "bank"];
        let said = self.run("pgbench", &with(&load));
        assert!(said.contains("200/200"), "{said}");
        let question = "select count(*), (select sum(abalance) from pgbench_accounts) = sum(delta), \
                        (select sum(bbalance) from pgbench_branches) = sum(delta) \
                        from pgbench_history";
        let balance = self.run("psql", &with(&["-At", "-c", question, "bank"]));
        assert_eq!(balance, "2000|t|t\n");
        let large = "select repeat('x', 5000000)";
        let large = self.run("psql", &with(&["-At", "-c", large, "bank"]));
        assert_eq!(large.len(), 5_000_001);
        balance
    }
}

/// How the pool is reached.
struct Way {
    port: String,
}

impl Way {
    /// The arguments of a program that goes this way.
    fn with<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let to = ["-h", "127.0.0.1", "-p", &self.port, "-U", "tester"];
        [&to[..], more].concat()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
