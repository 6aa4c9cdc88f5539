//! Compression on either side of a relay: what it is told, why it ends
//! connections, and what it came to.

use clap::{ArgGroup, Args};
use ferrevent::compress::{Bounds, CompressError, Compression, Tally};

use crate::log::{Compressed, Side};

/// Compression on either side.
#[derive(Args, Clone, Default)]
#[group(skip)]
#[command(
    next_help_heading = "Compression",
    group = ArgGroup::new("compression").multiple(true)
)]
pub(super) struct Options {
    /// Compress what goes to the upstream, and decompress what comes: zstd, lz4, deflate, gzip.
    ///
    /// The upstream is another relay with --listen-compress and the same
    /// format, or anything else that speaks it. A level may follow, such as
    /// zstd:9: -7 to 22 for zstd, 0 to 9 for deflate and gzip, more is smaller
    /// and slower. With --connect-tls it is compressed first and encrypted then.
    /// What a client sends goes on at once, not only when there is more.
    #[arg(long, value_name = "FORMAT[:LEVEL]", group = "compression")]
    compress: Option<Compression>,
    /// Decompress what clients send, and compress what they get.
    ///
    /// Clients are relays with --compress and the same format, or anything
    /// else that speaks it. Levels as for --compress; each side chooses its
    /// own.
    #[arg(long, value_name = "FORMAT[:LEVEL]", group = "compression")]
    listen_compress: Option<Compression>,
    /// Take at most so many times as many bytes out of compressed ones as came.
    ///
    /// And a gigabyte more: whoever sends more is cut off for a decompression
    /// bomb. Files of zeros longer than that need more, or none, which allows
    /// anything; memory is bounded in any case.
    #[arg(long, value_name = "TIMES", default_value_t, requires = "compression")]
    max_expansion: Expansion,
}

/// A number, or none.
#[derive(Clone, Copy)]
struct Expansion(Option<u32>);

impl Default for Expansion {
    fn default() -> Self {
        Self(Bounds::DEFAULT.ratio)
    }
}

impl std::fmt::Display for Expansion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(times) => times.fmt(f),
            None => f.write_str("none"),
        }
    }
}

impl std::str::FromStr for Expansion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "none" => Ok(Self(None)),
            Ok(times) if times > 0 => Ok(Self(Some(times))),
            _ => Err("write a number from 1 on, such as 200, or none".into()),
        }
    }
}

impl Options {
    /// What the upstream is spoken to by.
    pub(super) fn upstream(&self) -> Option<Compression> {
        self.compress.map(|it| self.bounded(it))
    }

    /// What clients are spoken to by.
    pub(super) fn clients(&self) -> Option<Compression> {
        self.listen_compress.map(|it| self.bounded(it))
    }

    fn bounded(&self, how: Compression) -> Compression {
        how.bounds(Bounds {
            ratio: self.max_expansion.0,
            ..Bounds::DEFAULT
        })
    }
}

/// What it came to, for the log.
pub(super) fn summary(how: Compression, tally: &Tally) -> Compressed {
    let (sent, received) = (tally.sent(), tally.received());
    Compressed {
        method: how.to_string(),
        sent: sent.plain,
        sent_packed: sent.packed,
        received: received.plain,
        received_packed: received.packed,
    }
}

/// The code of an error of compression; docs/relay.md lists them.
pub(super) fn code(error: &CompressError) -> &'static str {
    match error {
        CompressError::Truncated(_) => "compression_cut",
        CompressError::Foreign(_) => "not_compressed",
        CompressError::Corrupt { .. } => "compression_damaged",
        CompressError::Unsupported { .. } => "compression_unsupported",
        CompressError::Window { .. } => "compression_memory",
        CompressError::Bomb { .. } => "bomb",
        CompressError::OutOfMemory => "out_of_resources",
        _ => "compression_failed",
    }
}

/// What the operator can do about it, if anything.
pub(super) fn remedy(code: &str, side: Option<Side>) -> Option<&'static str> {
    Some(match (code, side?) {
        ("not_compressed", Side::Client) => {
            "clients of this address must compress: is that a relay with --compress and this \
             format?"
        }
        ("not_compressed", Side::Upstream) => {
            "does it compress? a relay there needs --listen-compress and this format; if it \
             compresses nothing, leave out --compress"
        }
        ("compression_cut", Side::Client) => {
            "so do port scans and health checks; else its own log may say why"
        }
        ("compression_cut", Side::Upstream) => "its own log may say why",
        ("compression_damaged", _) => {
            "something in between that changes bytes, or an attack? TLS tells of that first"
        }
        ("compression_unsupported", _) => "it must compress in frames, without a dictionary",
        ("compression_memory", _) => {
            "it must compress for a smaller window: a lower level, and no --long or --ultra of zstd"
        }
        ("bomb", _) => "if it was none, --max-expansion allows more",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expansion_is_a_number_or_none() {
        assert_eq!("none".parse::<Expansion>().unwrap().0, None);
        assert_eq!("7".parse::<Expansion>().unwrap().0, Some(7));
        assert_eq!(Expansion::default().to_string(), "200");
        for text in ["0", "-1", "", "1.5", "99999999999"] {
            assert!(text.parse::<Expansion>().is_err(), "{text}");
        }
    }
}
