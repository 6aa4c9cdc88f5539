//! What one connection does: everything about it follows from the seed, the
//! slot and the number.

use std::time::Duration;

use soak::{Dice, Ending, Order, Work, mix};

/// The plan of a connection.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    pub(crate) route: Route,
    pub(crate) order: Order,
    /// How the client writes and reads.
    pub(crate) write: Pace,
    pub(crate) read: Pace,
    /// The client has a receive buffer of the smallest size.
    pub(crate) small_buffer: bool,
    /// Where a client that breaks off does so: after so many bytes received.
    pub(crate) break_at: u64,
    /// A client whose bytes have no end sends so many, then waits for what comes.
    pub(crate) ceiling: u64,
    /// Whatever else is to be chosen on the way.
    pub(crate) dice: Dice,
}

/// How a connection goes to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    RelayTcp,
    RelayUnix,
    Tcp,
    Unix,
}

impl Route {
    pub(crate) fn is_direct(self) -> bool {
        matches!(self, Route::Tcp | Route::Unix)
    }

    pub(crate) fn is_unix(self) -> bool {
        matches!(self, Route::RelayUnix | Route::Unix)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A message, its answer, a rest, the next message.
    Chat,
    /// As a chat, with long silences.
    Idle,
    /// Echo of a whole stream.
    Echo,
    Upload,
    Download,
    /// Two independent streams: one side ends first.
    Duplex,
    /// A duplex of very small writes.
    Burst,
    /// Gone before it has said what it wants.
    Leave(Leaving),
    /// The client breaks off.
    Break,
    /// The server breaks off.
    Cut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// At once.
    Silent,
    /// In the middle of its order.
    Halfway,
    /// At once and with a reset, where there is such a thing.
    Reset,
    /// Ends its side and waits for the other one.
    Polite,
}

/// How bytes are moved: in pieces, with a pause after each stride.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) piece: usize,
    pub(crate) stride: u64,
    pub(crate) pause: Duration,
}

const FAST: Pace = Pace {
    piece: 64 * 1024,
    stride: u64::MAX,
    pause: Duration::ZERO,
};

/// The most that goes one way.
const LARGEST: u64 = 2 << 20;
/// More than every buffer on the way holds.
const ENDLESS: u64 = 1 << 40;
/// All pauses of one direction, at most about this long.
const PAUSES: Duration = Duration::from_secs(3);

impl Plan {
    pub(crate) fn new(seed: u64, slot: u32, number: u32) -> Self {
        let mut dice = Dice::new(mix(seed) ^ mix(u64::from(slot) << 32 | u64::from(number)));
        let kind = kind(&mut dice);
        let route = route(&mut dice);
        let (up, down) = amounts(kind, &mut dice);
        let ending = match kind {
            Kind::Break => Ending::ClientBreaks,
            Kind::Cut => Ending::ServerBreaks,
            _ => Ending::Complete,
        };
        let work = match kind {
            Kind::Chat | Kind::Idle | Kind::Echo => Work::Echo,
            Kind::Upload => Work::AnswerLast,
            _ => Work::Both,
        };
        let (write, read) = (pace(&mut dice, up), pace(&mut dice, down));
        let write = match kind {
            Kind::Burst => Pace { piece: 32, ..FAST },
            // Bytes must lie unread when the server breaks off.
            Kind::Cut => FAST,
            _ => write,
        };
        let ceiling = match ending {
            Ending::Complete => ENDLESS,
            Ending::ClientBreaks if dice.percent(20) => ENDLESS,
            Ending::ClientBreaks => LARGEST / 4,
            // More than the server and a relay take.
            Ending::ServerBreaks => LARGEST / 2,
        };
        let server = pace(&mut dice, up);
        let order = Order {
            work,
            ending,
            direct: route.is_direct(),
            seed: dice.next(),
            up,
            down,
            stride: u32::try_from(server.stride).unwrap_or(0),
            pause_ms: server.pause.as_millis() as u32,
            name: (slot, number),
        };
        Self {
            kind,
            route,
            order,
            write,
            read,
            small_buffer: dice.percent(15),
            break_at: dice.magnitude(1, LARGEST / 2),
            ceiling,
            dice,
        }
    }
}

fn kind(dice: &mut Dice) -> Kind {
    match dice.between(0, 99) {
        0..20 => Kind::Chat,
        20..28 => Kind::Idle,
        28..38 => Kind::Echo,
        38..50 => Kind::Upload,
        50..62 => Kind::Download,
        62..76 => Kind::Duplex,
        76..82 => Kind::Burst,
        82..88 => Kind::Leave(match dice.between(0, 3) {
            0 => Leaving::Silent,
            1 => Leaving::Halfway,
            2 => Leaving::Reset,
            _ => Leaving::Polite,
        }),
        88..94 => Kind::Break,
        _ => Kind::Cut,
    }
}

fn route(dice: &mut Dice) -> Route {
    match dice.between(0, 9) {
        0..5 => Route::RelayTcp,
        5..8 => Route::RelayUnix,
        8 => Route::Tcp,
        _ => Route::Unix,
    }
}

/// Bytes up and down.
fn amounts(kind: Kind, dice: &mut Dice) -> (u64, u64) {
    match kind {
        // It grows with every message.
        Kind::Chat | Kind::Idle => (ENDLESS, ENDLESS),
        Kind::Echo => {
            let both = dice.magnitude(1, LARGEST);
            (both, both)
        }
        Kind::Upload => (dice.magnitude(1, LARGEST), dice.magnitude(1, 64 << 10)),
        Kind::Download => (0, dice.magnitude(1, LARGEST)),
        Kind::Duplex => (dice.magnitude(1, LARGEST), dice.magnitude(1, LARGEST)),
        Kind::Burst => (dice.magnitude(1, 16 << 10), dice.magnitude(1, LARGEST)),
        Kind::Leave(_) => (0, 0),
        Kind::Break => (ENDLESS, ENDLESS),
        Kind::Cut => (ENDLESS, dice.magnitude(1, 64 << 10)),
    }
}

/// Fast, or in one of many slow ways.
fn pace(dice: &mut Dice, amount: u64) -> Pace {
    if dice.percent(60) {
        return FAST;
    }
    let stride = dice.magnitude(1 << 10, 256 << 10);
    let pauses = (amount.min(LARGEST) / stride).max(1);
    let longest = (PAUSES.as_millis() as u64 / pauses).clamp(1, 1000);
    Pace {
        piece: dice.magnitude(64, 64 << 10) as usize,
        stride,
        pause: Duration::from_millis(dice.between(1, longest)),
    }
}
