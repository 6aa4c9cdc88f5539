//! What is measured, as data.

/// One cell: a workload that all its peers run.
pub(crate) struct Cell {
    /// As `--only` names it.
    pub(crate) name: &'static str,
    /// What it puts on the peers.
    pub(crate) work: Work,
}

/// What a cell puts on its peers.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    /// The generator loads a server and reads the server's CPU time.
    Load(Load),
    /// Connections are held, and the server's memory is looked at.
    Idle(Idle),
    /// Connections share a rate, under a load that goes as fast as it can.
    Paced(Paced),
    /// Programs that measure themselves and print a line for each figure.
    Programs(Suite),
}

/// The load of one cell.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    /// The generator's mode.
    pub(crate) mode: Mode,
    /// What it goes over.
    pub(crate) wire: Wire,
    /// Connections at a time.
    pub(crate) conns: usize,
    /// Bytes of a message.
    pub(crate) size: usize,
}

/// Connections under a rate limit.
#[derive(Clone, Copy)]
pub(crate) struct Paced {
    /// Which way the bytes go.
    pub(crate) mode: Mode,
    /// How many share the rate.
    pub(crate) conns: usize,
    /// Bytes a second, of all.
    pub(crate) rate: u64,
}

/// Connections that do nothing after one exchange.
#[derive(Clone, Copy)]
pub(crate) struct Idle {
    /// What they go over.
    pub(crate) wire: Wire,
    /// How many.
    pub(crate) conns: usize,
    /// Bytes of the one exchange on each.
    pub(crate) size: usize,
}

/// What lies between the load and a server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// TCP over loopback.
    Tcp,
    /// A unix socket.
    Unix,
    /// TLS 1.3 with AES-128-GCM, over TCP.
    Tls,
}

/// What the generator does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Messages there and back.
    Echo,
    /// To the server.
    Sink,
    /// From the server.
    Pump,
    /// Connect, one byte there and back, reset.
    Accept,
    /// The same over TLS: what counts is the full handshake.
    Handshake,
}

impl Mode {
    /// As the generator is told.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Sink => "sink",
            Self::Pump => "pump",
            Self::Accept => "accept",
            Self::Handshake => "handshake",
        }
    }

    /// The service that the server has to run.
    pub(crate) fn service(self) -> &'static str {
        match self {
            Self::Echo | Self::Accept | Self::Handshake => "echo",
            Self::Sink => "sink",
            Self::Pump => "pump",
        }
    }
}

/// Programs that measure themselves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suite {
    /// `name TAB count TAB ns`
    Timers,
    /// `name TAB ns`
    Buffers,
    /// `name TAB ns`
    Tasks,
    /// `connections TAB CPU ns of a request`; on one thread, and on two.
    Hyper,
    HyperPool,
    /// `name TAB CPU ns of a question`
    Dns,
    /// `wakes TAB callbacks TAB CPU ns of the loop's thread TAB seconds`
    Wakes,
}

const KIB16: usize = 16 * 1024;

/// Every cell, in the order of the report.
pub(crate) fn all() -> Vec<Cell> {
    use Mode::{Accept, Echo, Handshake, Pump, Sink};
    use Wire::{Tcp, Tls, Unix};
    let load = |name, wire, mode, size, conns| Cell {
        name,
        work: Work::Load(Load {
            mode,
            wire,
            conns,
            size,
        }),
    };
    let idle = |name, wire, size, conns| Cell {
        name,
        work: Work::Idle(Idle { wire, conns, size }),
    };
    let paced = |name, mode, rate, conns| Cell {
        name,
        work: Work::Paced(Paced { mode, conns, rate }),
    };
    let programs = |name, suite| Cell {
        name,
        work: Work::Programs(suite),
    };
    vec![
        load("echo-tcp-64x1", Tcp, Echo, 64, 1),
        load("echo-tcp-64x50", Tcp, Echo, 64, 50),
        load("echo-tcp-64x1000", Tcp, Echo, 64, 1000),
        load("echo-tcp-16kx1", Tcp, Echo, KIB16, 1),
        load("echo-tcp-16kx50", Tcp, Echo, KIB16, 50),
        load("echo-tcp-16kx1000", Tcp, Echo, KIB16, 1000),
        load("echo-unix-64x1", Unix, Echo, 64, 1),
        load("echo-unix-64x50", Unix, Echo, 64, 50),
        load("echo-unix-64x1000", Unix, Echo, 64, 1000),
        load("echo-unix-16kx1", Unix, Echo, KIB16, 1),
        load("echo-unix-16kx50", Unix, Echo, KIB16, 50),
        load("echo-unix-16kx1000", Unix, Echo, KIB16, 1000),
        load("sink-1", Tcp, Sink, 1, 1),
        load("sink-10", Tcp, Sink, 1, 10),
        load("pump-1", Tcp, Pump, 1, 1),
        load("pump-10", Tcp, Pump, 1, 10),
        load("accept", Tcp, Accept, 1, 32),
        idle("idle-64", Tcp, 64, 10_000),
        idle("idle-16k", Tcp, KIB16, 10_000),
        load("tls-handshake", Tls, Handshake, 1, 16),
        load("tls-sink-1", Tls, Sink, 1, 1),
        load("tls-sink-10", Tls, Sink, 1, 10),
        load("tls-pump-1", Tls, Pump, 1, 1),
        load("tls-pump-10", Tls, Pump, 1, 10),
        load("tls-echo-64x50", Tls, Echo, 64, 50),
        idle("tls-idle-64", Tls, 64, 5_000),
        paced("rate-pump-10k-1", Pump, 10_000, 1),
        paced("rate-pump-100k-1", Pump, 100_000, 1),
        paced("rate-pump-1m-1", Pump, 1_000_000, 1),
        paced("rate-pump-100m-1", Pump, 100_000_000, 1),
        paced("rate-pump-1g-1", Pump, 1_000_000_000, 1),
        paced("rate-pump-100k-10", Pump, 100_000, 10),
        paced("rate-pump-100m-10", Pump, 100_000_000, 10),
        paced("rate-pump-10m-1000", Pump, 10_000_000, 1000),
        paced("rate-pump-100m-1000", Pump, 100_000_000, 1000),
        paced("rate-sink-10k-1", Sink, 10_000, 1),
        paced("rate-sink-100k-1", Sink, 100_000, 1),
        paced("rate-sink-1m-1", Sink, 1_000_000, 1),
        paced("rate-sink-100m-1", Sink, 100_000_000, 1),
        paced("rate-sink-1g-1", Sink, 1_000_000_000, 1),
        paced("rate-sink-100m-10", Sink, 100_000_000, 10),
        paced("rate-sink-10m-1000", Sink, 10_000_000, 1000),
        paced("rate-sink-100m-1000", Sink, 100_000_000, 1000),
        programs("timers", Suite::Timers),
        programs("buffers", Suite::Buffers),
        programs("dns", Suite::Dns),
        programs("wakes", Suite::Wakes),
        programs("tasks", Suite::Tasks),
        programs("hyper", Suite::Hyper),
        programs("hyper-pool", Suite::HyperPool),
    ]
}

impl Work {
    /// What lies between the load and a server, if there is one.
    pub(crate) fn wire(self) -> Option<Wire> {
        match self {
            Self::Load(load) => Some(load.wire),
            Self::Idle(idle) => Some(idle.wire),
            Self::Paced(_) => Some(Wire::Tcp),
            Self::Programs(_) => None,
        }
    }

    /// How often a cell runs when `asked` rounds are wanted: memory hardly varies, the
    /// timers' program takes a quarter of a minute and averages inside itself, and so do four
    /// seconds of a limited rate, unless one stream is near to what the machine can do.
    pub(crate) fn rounds(self, asked: usize) -> usize {
        match self {
            Self::Paced(paced) if paced.conns == 1 && paced.rate >= 100_000_000 => asked,
            Self::Idle(_) | Self::Paced(_) => asked.min(3),
            Self::Programs(Suite::Timers | Suite::Buffers) => asked.min(5),
            Self::Load(_)
            | Self::Programs(
                Suite::Dns | Suite::Wakes | Suite::Tasks | Suite::Hyper | Suite::HyperPool,
            ) => asked,
        }
    }
}
