//! What a client asks of the server: the first bytes of a connection.

use std::fmt;

/// How many bytes an order is.
pub const ORDER_LEN: usize = 47;

const MAGIC: u32 = 0x6b61_6f73;

/// What the server is to do with a connection, and how that will end.
///
/// ```
/// use soak::{Ending, Order, Work};
///
/// let order = Order {
///     work: Work::Both,
///     ending: Ending::Complete,
///     direct: false,
///     seed: 7,
///     up: 1000,
///     down: 2000,
///     stride: 500,
///     pause_ms: 10,
///     name: (3, 4),
/// };
/// assert_eq!(Order::decode(&order.encode()), Ok(order));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// What is done.
    pub work: Work,
    /// How it ends.
    pub ending: Ending,
    /// Nobody is in between: the server sees for itself how the client ends.
    pub direct: bool,
    /// Seed of the noise, up and down.
    pub seed: u64,
    /// Bytes the client sends.
    pub up: u64,
    /// Bytes the server sends.
    pub down: u64,
    /// After so many bytes received the server rests; 0 is never.
    pub stride: u32,
    /// How long it rests, in milliseconds.
    pub pause_ms: u32,
    /// Which connection this is, for a complaint: slot and number.
    pub name: (u32, u32),
}

/// What the server does with the bytes.
///
/// ```
/// assert_ne!(soak::Work::Echo, soak::Work::Both);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// It sends back what it receives.
    Echo,
    /// It checks what it receives and sends noise at the same time.
    Both,
    /// It checks what it receives, and sends only once that has ended: its end
    /// tells that everything has come.
    AnswerLast,
}

/// How a connection ends.
///
/// ```
/// assert_ne!(soak::Ending::Complete, soak::Ending::ClientBreaks);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Each side sends everything and ends; the order of the ends is open.
    Complete,
    /// The client resets it in the middle.
    ClientBreaks,
    /// The server sends everything it has, receives nothing, and breaks off.
    ServerBreaks,
}

/// Bytes that are no order.
///
/// ```
/// println!("{}", soak::Order::decode(&[0; soak::ORDER_LEN]).unwrap_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoOrder;

impl fmt::Display for NoOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the first bytes of the connection are no order")
    }
}

impl std::error::Error for NoOrder {}

impl Order {
    /// Seed of the client's bytes.
    ///
    /// ```
    /// # let order = soak::Order::decode(&[0; soak::ORDER_LEN]);
    /// println!("{:?}", order.map(|order| order.up_seed()));
    /// ```
    pub fn up_seed(&self) -> u64 {
        self.seed
    }

    /// Seed of the server's bytes.
    ///
    /// ```
    /// # let order = soak::Order::decode(&[0; soak::ORDER_LEN]);
    /// println!("{:?}", order.map(|order| order.down_seed()));
    /// ```
    pub fn down_seed(&self) -> u64 {
        match self.work {
            Work::Echo => self.seed,
            Work::Both | Work::AnswerLast => !self.seed,
        }
    }

    /// As it is sent.
    ///
    /// ```
    /// # let order = soak::Order::decode(&[0; soak::ORDER_LEN]);
    /// println!("{:?}", order.map(|order| order.encode()));
    /// ```
    pub fn encode(&self) -> [u8; ORDER_LEN] {
        let mut bytes = Vec::with_capacity(ORDER_LEN);
        bytes.extend(MAGIC.to_le_bytes());
        bytes.push(match self.work {
            Work::Echo => 0,
            Work::Both => 1,
            Work::AnswerLast => 2,
        });
        bytes.push(match self.ending {
            Ending::Complete => 0,
            Ending::ClientBreaks => 1,
            Ending::ServerBreaks => 2,
        });
        bytes.push(u8::from(self.direct));
        for long in [self.seed, self.up, self.down] {
            bytes.extend(long.to_le_bytes());
        }
        for short in [self.stride, self.pause_ms, self.name.0, self.name.1] {
            bytes.extend(short.to_le_bytes());
        }
        let mut order = [0; ORDER_LEN];
        order[..bytes.len()].copy_from_slice(&bytes);
        order
    }

    /// Reads it.
    ///
    /// # Errors
    /// When the bytes are no order.
    ///
    /// ```
    /// assert!(soak::Order::decode(&[0; soak::ORDER_LEN]).is_err());
    /// ```
    pub fn decode(bytes: &[u8; ORDER_LEN]) -> Result<Self, NoOrder> {
        let long = |at: usize| u64::from_le_bytes(piece(bytes, at));
        let short = |at: usize| u32::from_le_bytes(piece(bytes, at));
        if short(0) != MAGIC {
            return Err(NoOrder);
        }
        Ok(Self {
            work: match bytes[4] {
                0 => Work::Echo,
                1 => Work::Both,
                2 => Work::AnswerLast,
                _ => return Err(NoOrder),
            },
            ending: match bytes[5] {
                0 => Ending::Complete,
                1 => Ending::ClientBreaks,
                2 => Ending::ServerBreaks,
                _ => return Err(NoOrder),
            },
            direct: match bytes[6] {
                0 => false,
                1 => true,
                _ => return Err(NoOrder),
            },
            seed: long(7),
            up: long(15),
            down: long(23),
            stride: short(31),
            pause_ms: short(35),
            name: (short(39), short(43)),
        })
    }
}

fn piece<const N: usize>(bytes: &[u8; ORDER_LEN], at: usize) -> [u8; N] {
    let mut piece = [0; N];
    piece.copy_from_slice(&bytes[at..at + N]);
    piece
}
