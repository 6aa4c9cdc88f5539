//! Who is measured, as data: servers under load, and programs that measure themselves.

use super::build::{CERTIFICATE, KEY};
use super::cells::{Mode, Suite, Wire, Work};

/// A peer and how it is run.
pub(crate) struct Peer {
    /// As `--peers` and the report name it.
    pub(crate) name: &'static str,
    /// What is run.
    program: Program,
    /// Arguments after the address.
    extra: &'static [&'static str],
    /// Whether it runs without being asked for.
    pub(crate) usual: bool,
    /// Whether its idle memory is worth a row.
    idle: bool,
    /// Whether it serves without TLS, and with it.
    plain: bool,
    tls: bool,
}

#[derive(Clone, Copy)]
enum Program {
    /// A C program: MODE ADDR, and with TLS: CERT KEY.
    C(&'static str),
    /// The same, on this project's library of libevent's interface.
    OnCapi(&'static str),
    /// The tokio peer: MODE ADDR.
    Tokio,
    /// An example of the crate `ferrevent`, named as its service: ADDR.
    Example,
    /// The echo by tasks: ADDR. Only its idle memory is of interest.
    Tasks,
}

/// The floor, to which ratios are taken.
pub(crate) const FLOOR: &str = "floor";
/// The floor once more.
pub(crate) const FLOOR_AGAIN: &str = "floor2";
/// The reference of the cells that have no floor.
pub(crate) const LIBEVENT: &str = "libevent";
/// That reference once more.
pub(crate) const LIBEVENT_AGAIN: &str = "libevent2";

/// libevent's programs on this project's library.
pub(crate) const CAPI_BEV: &str = "capi-bev";
pub(crate) const CAPI_EVENT: &str = "capi-event";
/// And those that measure themselves.
pub(crate) const CAPI: &str = "capi";

/// The reference of tasks.
pub(crate) const TOKIO: &str = "tokio";
/// That reference once more.
pub(crate) const TOKIO_AGAIN: &str = "tokio2";

/// The reference where TLS is spoken.
const LIBEVENT_SSL: &str = "libevent-ssl";
/// That reference once more.
const LIBEVENT_SSL_AGAIN: &str = "libevent-ssl2";

/// Every peer that serves.
pub(crate) const ALL: &[Peer] = &[
    peer(FLOOR, Program::C("floor"), &[]).with_idle(),
    peer(FLOOR_AGAIN, Program::C("floor"), &[]),
    peer("floor-uring", Program::C("floor_uring"), &[]),
    peer("libevent-bev", Program::C("libevent_bev"), &[]).with_idle(),
    peer("libevent-event", Program::C("libevent_event"), &[]).with_idle(),
    peer(CAPI_BEV, Program::OnCapi("libevent_bev"), &[]).with_idle(),
    peer(CAPI_EVENT, Program::OnCapi("libevent_event"), &[]).with_idle(),
    peer("libuv", Program::C("libuv"), &[]).with_idle(),
    peer("libuv-try", Program::C("libuv"), &["--try"]),
    peer(TOKIO, Program::Tokio, &[]).with_idle(),
    peer(LIBEVENT_SSL, Program::C("libevent_ssl"), &[])
        .with_idle()
        .only_tls(),
    peer(LIBEVENT_SSL_AGAIN, Program::C("libevent_ssl"), &[])
        .with_idle()
        .only_tls(),
    peer("tokio-rustls", Program::Tokio, &[])
        .with_idle()
        .only_tls(),
    peer("ferrevent", Program::Example, &["--backend", "epoll"])
        .with_idle()
        .with_tls(),
    peer("ferrevent-tasks", Program::Tasks, &[]).with_idle(),
    peer("ferrevent-pool1", Program::Example, &["--workers", "1"])
        .with_idle()
        .with_tls(),
    peer("ferrevent-uring", Program::Example, &["--backend", "uring"])
        .with_idle()
        .with_tls(),
    peer(
        "ferrevent-uring-pool1",
        Program::Example,
        &["--backend", "uring", "--workers", "1"],
    )
    .with_idle()
    .with_tls()
    .on_request(),
    peer("ferrevent-poll", Program::Example, &["--backend", "poll"])
        .with_tls()
        .on_request(),
];

/// What to run, before it is known where it was built.
pub(crate) struct Invocation {
    /// The peer's name.
    pub(crate) peer: &'static str,
    /// The program.
    pub(crate) binary: Binary,
    /// Its arguments.
    pub(crate) args: Vec<String>,
}

/// A program, before it is known where it was built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binary {
    /// Compiled from `bench/c/NAME.c`.
    C(&'static str),
    /// The same, on this project's library of libevent's interface.
    OnCapi(&'static str),
    /// The tokio peer.
    Tokio,
    /// An example of one of this workspace's crates.
    Example(&'static str),
}

impl Peer {
    /// How the peer is started for some work; `None` when it takes no part in it.
    pub(crate) fn server(&self, work: Work, address: &str) -> Option<Invocation> {
        let (service, idle) = match work {
            Work::Load(load) => (load.mode.service(), false),
            Work::Idle(_) => ("echo", true),
            Work::Paced(_) | Work::Programs(_) => return None,
        };
        let tls = work.wire()? == Wire::Tls;
        if matches!(self.program, Program::Tasks) && service != "echo" {
            return None;
        }
        if (idle && !self.idle) || (tls && !self.tls) || (!tls && !self.plain) {
            return None;
        }
        let mut args = Vec::new();
        let binary = match self.program {
            Program::C(name) => Binary::C(name),
            Program::OnCapi(name) => Binary::OnCapi(name),
            Program::Tokio => Binary::Tokio,
            Program::Example => Binary::Example(service),
            Program::Tasks => Binary::Example("task_echo"),
        };
        if !matches!(self.program, Program::Example | Program::Tasks) {
            args.push(service.to_owned());
        }
        args.push(address.to_owned());
        args.extend(self.extra.iter().map(|&text| text.to_owned()));
        // Blocks of 64 KiB for everybody's bulk; the smaller buffer is tokio's best idle figure.
        match (self.program, work) {
            (Program::Tokio, Work::Idle(_)) => args.extend(chunk("4096")),
            (Program::Example, Work::Load(load)) if load.mode == Mode::Pump => {
                args.extend(chunk("65536"));
            }
            _ => {}
        }
        match self.program {
            _ if !tls => {}
            Program::C(_) | Program::OnCapi(_) => {
                args.extend([CERTIFICATE, KEY].map(str::to_owned));
            }
            Program::Tokio | Program::Example | Program::Tasks => {
                args.extend(["--cert", CERTIFICATE, "--key", KEY].map(str::to_owned));
            }
        }
        Some(Invocation {
            peer: self.name,
            binary,
            args,
        })
    }

    const fn with_idle(mut self) -> Self {
        self.idle = true;
        self
    }

    const fn with_tls(mut self) -> Self {
        self.tls = true;
        self
    }

    const fn only_tls(mut self) -> Self {
        self.tls = true;
        self.plain = false;
        self
    }

    const fn on_request(mut self) -> Self {
        self.usual = false;
        self
    }
}

/// The peer that ratios are taken to, and the same program again.
pub(crate) fn reference(wire: Wire) -> (&'static str, &'static str) {
    match wire {
        Wire::Tcp | Wire::Unix => (FLOOR, FLOOR_AGAIN),
        Wire::Tls => (LIBEVENT_SSL, LIBEVENT_SSL_AGAIN),
    }
}

/// The name, if it is that of a peer or of a program of a suite.
pub(crate) fn name(text: &str) -> Option<&'static str> {
    let servers = ALL.iter().map(|peer| peer.name);
    servers
        .chain([LIBEVENT, LIBEVENT_AGAIN, TOKIO_AGAIN, CAPI])
        .find(|name| *name == text)
}

/// The programs of the paced cells; the first is the reference, the second the same again.
pub(crate) fn paced() -> Vec<Invocation> {
    let run = |peer, binary, args: &[&str]| Invocation {
        peer,
        binary,
        args: args.iter().map(|&text| text.to_owned()).collect(),
    };
    let ours = Binary::Example("paced");
    vec![
        run(LIBEVENT, Binary::C("paced_libevent"), &[]),
        run(LIBEVENT_AGAIN, Binary::C("paced_libevent"), &[]),
        run("ferrevent", ours, &["epoll"]),
        run("ferrevent-uring", ours, &["uring"]),
    ]
}

/// The program of a suite that ratios are taken to, and the same again.
pub(crate) fn references(suite: Suite) -> (&'static str, &'static str) {
    match suite {
        Suite::Tasks | Suite::Hyper | Suite::HyperPool => (TOKIO, TOKIO_AGAIN),
        Suite::Timers | Suite::Buffers | Suite::Dns | Suite::Wakes => (LIBEVENT, LIBEVENT_AGAIN),
    }
}

/// The programs of a suite; the first is the reference, the second the same again.
pub(crate) fn programs(suite: Suite) -> Vec<Invocation> {
    let run = |peer, binary, args: &[&str]| Invocation {
        peer,
        binary,
        args: args.iter().map(|&text| text.to_owned()).collect(),
    };
    let on_tokio = |example, args: &[&str], own: &[&str]| {
        vec![
            run(TOKIO, Binary::Tokio, args),
            run(TOKIO_AGAIN, Binary::Tokio, args),
            run("ferrevent", Binary::Example(example), own),
        ]
    };
    let (theirs, ours) = match suite {
        Suite::Dns => ("dns_libevent", None),
        Suite::Tasks => return on_tokio("task_bench", &["tasks"], &[]),
        Suite::Hyper => return on_tokio("hyper_bench", &["hyper"], &[]),
        Suite::HyperPool => return on_tokio("hyper_bench", &["hyper", "2"], &["2"]),
        Suite::Timers => ("timers_libevent", Some(Binary::Example("timer_bench"))),
        Suite::Buffers => ("buffers_evbuffer", Some(Binary::Example("buffer_bench"))),
        Suite::Wakes => ("wakes_libevent", Some(Binary::Example("wakes"))),
    };
    let mut all = vec![
        run(LIBEVENT, Binary::C(theirs), &[]),
        run(LIBEVENT_AGAIN, Binary::C(theirs), &[]),
    ];
    if suite == Suite::Wakes {
        all.push(run("libuv", Binary::C("wakes_libuv"), &[]));
        all.push(run("tokio", Binary::Tokio, &["wakes"]));
    } else {
        all.push(run(CAPI, Binary::OnCapi(theirs), &[]));
    }
    all.extend(ours.map(|ours| run("ferrevent", ours, &[])));
    all
}

const fn peer(name: &'static str, program: Program, extra: &'static [&'static str]) -> Peer {
    Peer {
        name,
        program,
        extra,
        usual: true,
        idle: false,
        plain: true,
        tls: false,
    }
}

fn chunk(bytes: &str) -> [String; 2] {
    ["--chunk".to_owned(), bytes.to_owned()]
}
