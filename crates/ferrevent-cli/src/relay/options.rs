//! What a relay is told on its command line. What belongs together is a group
//! of its own, with its own heading in the help.

use std::time::Duration;

use clap::Args;
use ferrevent::{Address, BackendKind, Builder, ListenOptions, StreamConfig};

use super::IDLE_CHECKS;
use super::compress;
use super::listen::Listen;
use super::rate;
use super::tls;
use crate::log;

/// What a relay is told.
#[derive(Args, Clone)]
#[command(after_help = EXAMPLES, after_long_help = LONG_EXAMPLES)]
pub(crate) struct Options {
    /// Where to listen: `127.0.0.1:80`, `[::1]:80`, `:80`, `host:port`, `unix:/path`, `systemd:`.
    ///
    /// `:80` is every IPv4 address of this machine. `systemd:` takes the
    /// sockets that a systemd .socket unit passes, `systemd:NAME` those of them
    /// with that FileDescriptorName= (see sd_listen_fds(3)).
    pub(super) listen: Listen,
    /// Where to connect to: `127.0.0.1:80`, `[::1]:80`, `:80`, `host:port`, `unix:/path`.
    ///
    /// A name is resolved anew for every connection, and its addresses are
    /// tried one after the other. `:80` is 127.0.0.1:80.
    pub(super) connect: Address,
    /// Look whether all this would work, say what it would do, and exit.
    ///
    /// Addresses are resolved, the listening address is bound for a moment and
    /// the upstream is called once; nothing is relayed. Exits with 0 if the
    /// relay would start and work, with 1 if it would not; each problem is
    /// told with its remedy. A warning, such as an upstream that does not
    /// answer just now, is no problem.
    #[arg(long)]
    pub(super) check: bool,
    #[command(flatten)]
    pub(super) times: Times,
    #[command(flatten)]
    pub(super) tls: tls::Options,
    #[command(flatten)]
    pub(super) compression: compress::Options,
    #[command(flatten)]
    pub(super) capacity: Capacity,
    #[command(flatten)]
    pub(super) rate: rate::Options,
    #[command(flatten)]
    pub(super) log: log::Options,
}

/// How long things may take.
#[derive(Args, Clone)]
#[group(skip)]
#[command(next_help_heading = "Time limits")]
pub(super) struct Times {
    /// Give up connecting to the upstream after this long, such as 500ms or 10s.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = some_time)]
    connect_timeout: Duration,
    /// Give up a TLS handshake, of either side, after this long.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = some_time)]
    handshake_timeout: Duration,
    /// Close a connection over which nothing has moved for this long, such as 5m or 1h.
    #[arg(long, value_name = "TIME", value_parser = some_time)]
    pub(super) idle_timeout: Option<Duration>,
    /// Once one peer has closed, wait this long for the other one to.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    linger: Duration,
}

/// How much it may take, and what with.
#[derive(Args, Clone, Default)]
#[group(skip)]
#[command(next_help_heading = "Capacity")]
pub(super) struct Capacity {
    /// Relay so many connections at a time; others wait until one ends.
    ///
    /// At the cap no more are accepted: they wait in the kernel's backlog
    /// (1024 of them at most, see net.core.somaxconn), so their clients see a
    /// slow answer, no error. The log tells when the cap is reached, and again
    /// only after a tenth of the connections had ended in between. Each
    /// connection takes two descriptors; the soft limit of open files is
    /// raised as far as the cap needs it and the hard limit allows.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_connections: Option<u32>,
    /// Run on this many threads; 0 is a single loop, which is cheapest.
    ///
    /// Any idle thread may take any connection's next bytes, and one that is
    /// held up holds up nobody. Use as many threads as there are cores to spare
    /// once a single loop keeps its core busy all the time (top -H shows it).
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    pub(super) workers: u16,
    /// Kernel interface: epoll, uring (io_uring) or poll. Also FERREVENT_BACKEND.
    #[arg(long, value_name = "NAME")]
    backend: Option<BackendKind>,
    /// Let several relays listen on the same port (SO_REUSEPORT).
    ///
    /// The kernel deals new connections out among them: start a new version
    /// beside the old one, then end the old one by SIGTERM. All of them must
    /// ask for it and run as the same user. One at its --max-connections still
    /// gets its share, which waits.
    #[arg(long)]
    reuse_port: bool,
}

impl Options {
    /// A relay with every default.
    pub(crate) fn plain(listen: Address, connect: Address) -> Self {
        Self {
            listen: Listen::Address(listen),
            connect,
            check: false,
            times: Times {
                connect_timeout: Duration::from_secs(10),
                handshake_timeout: Duration::from_secs(10),
                idle_timeout: None,
                linger: Duration::from_secs(10),
            },
            tls: tls::Options::default(),
            compression: compress::Options::default(),
            capacity: Capacity::default(),
            rate: rate::Options::default(),
            log: log::Options::default(),
        }
    }

    /// Refuses what contradicts itself.
    pub(super) fn agree(&self) -> Result<(), String> {
        if !self.capacity.reuse_port {
            return Ok(());
        }
        match &self.listen {
            Listen::Address(Address::Unix(path)) => Err(format!(
                "--reuse-port is for ports, and unix:{} has none: leave it out",
                path.display()
            )),
            Listen::Systemd(_) => Err("--reuse-port is for sockets that the relay opens: \
                 leave it out, and set ReusePort=yes in the .socket unit"
                .into()),
            Listen::Address(_) => Ok(()),
        }
    }

    pub(super) fn builder(&self) -> Builder {
        let builder = Builder::new();
        match self.capacity.backend {
            Some(kind) => builder.backend(kind),
            None => builder,
        }
    }

    pub(super) fn listen_options(&self) -> ListenOptions {
        ListenOptions {
            reuse_port: self.capacity.reuse_port,
            ..ListenOptions::default()
        }
    }

    pub(super) fn stream_config(&self) -> StreamConfig {
        let check = self.times.idle_timeout.map(|time| time / IDLE_CHECKS);
        StreamConfig {
            read_timeout: check,
            write_timeout: check,
            connect_timeout: Some(self.times.connect_timeout),
            handshake_timeout: Some(self.times.handshake_timeout),
            linger: self.times.linger,
            ..StreamConfig::DEFAULT
        }
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        self.times.connect_timeout
    }
}

fn some_time(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time < Duration::from_millis(1) => {
            Err("it must be at least 1ms; leave the option out for its default".into())
        }
        Ok(time) => Ok(time),
        Err(error) => Err(format!("{error}; write 500ms, 10s, 5m or 1h30m")),
    }
}

const EXAMPLES: &str = "\
Examples:
  ferrevent relay 127.0.0.1:8080 example.org:80
  ferrevent relay unix:/run/app.sock 127.0.0.1:3000 --idle-timeout 5m
  ferrevent relay :443 127.0.0.1:8080 --listen-tls cert.pem key.pem
  ferrevent relay :8080 127.0.0.1:80 --rate 10MB/s --rate-per-ip up=1MB/s,down=2MB/s
  ferrevent relay 127.0.0.1:5432 far.example.org:7000 --compress zstd
  ferrevent relay :7000 127.0.0.1:5432 --listen-compress zstd
  ferrevent relay --check :443 10.0.0.7:443 --max-connections 5000

SIGTERM drains, a second one ends at once. --help tells more of each option.";

const LONG_EXAMPLES: &str = "\
Examples:
  ferrevent relay 127.0.0.1:8080 example.org:80
      One port to another host, one log line a connection.
  ferrevent relay unix:/run/app.sock 127.0.0.1:3000 --idle-timeout 5m
      A unix socket to a port.
  ferrevent relay --check :443 10.0.0.7:443 --max-connections 5000
      Would that work here?
  ferrevent relay :443 127.0.0.1:8080 --listen-tls cert.pem key.pem
      TLS before a plain server, as stunnel does.
  ferrevent relay 127.0.0.1:8080 example.org:443 --connect-tls
      A plain port before a TLS server, whose certificate is checked.
  ferrevent relay :8080 127.0.0.1:80 --rate 10MB/s --rate-per-ip up=1MB/s,down=2MB/s
      No faster than that, whoever asks.
  ferrevent relay 127.0.0.1:5432 far.example.org:7000 --compress zstd
      Compressed over a slow line: there,
      ferrevent relay :7000 127.0.0.1:5432 --listen-compress zstd
  ferrevent relay systemd: 10.0.0.7:443 --log-format json
      Under systemd, which opens the socket and is told of readiness.

Signals:
  SIGTERM, SIGINT
      Drain: no new connections, the others end in their own time. A second
      one ends at once.
  SIGHUP
      Open the log file anew, if there is one, and read the certificates and
      keys anew. Connections that stand go on; files that cannot be used are
      logged, and the old ones stay.

Coming from stunnel or socat:
  cert, key, sni; OPENSSL-LISTEN:...,cert=,key=
      --listen-tls CERT KEY, once for each name.
  client = yes, verifyChain, checkHost; OPENSSL:...,commonname=
      --connect-tls NAME. The certificate is always checked.
  CAfile; cafile=
      --client-ca FILE for clients, --connect-ca FILE for the upstream.
  verifyChain = yes; verify=1
      --verify-client required, the default once there is --client-ca.
  sslVersionMin; openssl-min-proto-version=
      --min-tls VERSION.

Exit status:
  0
      All well.
  1
      Something failed, and standard error or the log says what.
  2
      Wrong usage.";
