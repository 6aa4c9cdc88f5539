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
    Idle {
        /// Bytes of the one exchange on each.
        size: usize,
    },
    /// Programs that measure themselves and print a line for each figure.
    Programs(Suite),
}

/// The load of one cell.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    /// The generator's mode.
    pub(crate) mode: Mode,
    /// Whether a unix socket takes the place of TCP.
    pub(crate) unix: bool,
    /// Connections at a time.
    pub(crate) conns: usize,
    /// Bytes of a message.
    pub(crate) size: usize,
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
}

impl Mode {
    /// As the generator is told.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Sink => "sink",
            Self::Pump => "pump",
            Self::Accept => "accept",
        }
    }

    /// The service that the server has to run.
    pub(crate) fn service(self) -> &'static str {
        match self {
            Self::Echo | Self::Accept => "echo",
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
    /// `wakes TAB callbacks TAB CPU ns of the loop's thread TAB seconds`
    Wakes,
}

/// Connections held in the idle cells.
pub(crate) const IDLE_CONNS: usize = 10_000;

const KIB16: usize = 16 * 1024;

/// Every cell, in the order of the report.
pub(crate) fn all() -> Vec<Cell> {
    let echo = |name, unix, size, conns| Cell {
        name,
        work: Work::Load(Load {
            mode: Mode::Echo,
            unix,
            conns,
            size,
        }),
    };
    let bulk = |name, mode, conns| Cell {
        name,
        work: Work::Load(Load {
            mode,
            unix: false,
            conns,
            size: 1,
        }),
    };
    let plain = |name, work| Cell { name, work };
    vec![
        echo("echo-tcp-64x1", false, 64, 1),
        echo("echo-tcp-64x50", false, 64, 50),
        echo("echo-tcp-64x1000", false, 64, 1000),
        echo("echo-tcp-16kx1", false, KIB16, 1),
        echo("echo-tcp-16kx50", false, KIB16, 50),
        echo("echo-tcp-16kx1000", false, KIB16, 1000),
        echo("echo-unix-64x1", true, 64, 1),
        echo("echo-unix-64x50", true, 64, 50),
        echo("echo-unix-64x1000", true, 64, 1000),
        echo("echo-unix-16kx1", true, KIB16, 1),
        echo("echo-unix-16kx50", true, KIB16, 50),
        echo("echo-unix-16kx1000", true, KIB16, 1000),
        bulk("sink-1", Mode::Sink, 1),
        bulk("sink-10", Mode::Sink, 10),
        bulk("pump-1", Mode::Pump, 1),
        bulk("pump-10", Mode::Pump, 10),
        bulk("accept", Mode::Accept, 32),
        plain("idle-64", Work::Idle { size: 64 }),
        plain("idle-16k", Work::Idle { size: KIB16 }),
        plain("timers", Work::Programs(Suite::Timers)),
        plain("buffers", Work::Programs(Suite::Buffers)),
        plain("wakes", Work::Programs(Suite::Wakes)),
    ]
}

impl Work {
    /// How often a cell runs when `asked` rounds are wanted: memory hardly varies, and the
    /// timers' program takes a quarter of a minute and averages inside itself.
    pub(crate) fn rounds(self, asked: usize) -> usize {
        match self {
            Self::Idle { .. } => asked.min(3),
            Self::Programs(Suite::Timers | Suite::Buffers) => asked.min(5),
            Self::Load(_) | Self::Programs(Suite::Wakes) => asked,
        }
    }
}
