//! The formats.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A format of compressed data.
///
/// Memory of a stream, once the direction has been used:
///
/// | | sending | receiving |
/// |---|---|---|
/// | deflate, gzip | 256 KiB | 40 KiB |
/// | zstd | level 1: 1.8 MiB; 3: 2.5; 9: 12; 19: 83 | the window the peer chose and 0.2 MiB: 1.2 MiB from this library |
/// | lz4 | 0.3 MiB | three to four times the peer's largest block: 0.3 MiB from this library, up to 16 MiB |
///
/// ```
/// use ferrevent::compress::Format;
/// assert_eq!("zstd".parse(), Ok(Format::Zstd));
/// assert_eq!(Format::Gzip.to_string(), "gzip");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Deflate in a zlib stream, RFC 1950: what HTTP calls `deflate`. The
    /// name is `deflate`, or `zlib`.
    Zlib,
    /// Deflate as it is, RFC 1951: nothing tells where it begins and whether
    /// it is whole, but for its last block. The name is `raw-deflate`.
    RawDeflate,
    /// Deflate in gzip members, RFC 1952.
    Gzip,
    /// Zstandard frames, RFC 8878.
    Zstd,
    /// LZ4 frames, by the LZ4 frame format of version 1.6.
    Lz4,
}

impl Format {
    /// All of them.
    ///
    /// ```
    /// use ferrevent::compress::Format;
    /// for format in Format::ALL {
    ///     println!("{format}: levels {:?}", format.levels());
    /// }
    /// ```
    pub const ALL: [Format; 5] = [
        Format::Zlib,
        Format::RawDeflate,
        Format::Gzip,
        Format::Zstd,
        Format::Lz4,
    ];

    /// The levels there are, fast to small: zstd's negative ones are the
    /// fastest. LZ4 has one here.
    ///
    /// ```
    /// use ferrevent::compress::Format;
    /// assert_eq!(Format::Gzip.levels(), 0..=9);
    /// assert_eq!(Format::Zstd.levels(), -7..=22);
    /// ```
    pub fn levels(self) -> RangeInclusive<i32> {
        match self {
            Format::Zlib | Format::RawDeflate | Format::Gzip => 0..=9,
            Format::Zstd => -7..=22,
            Format::Lz4 => 1..=1,
        }
    }

    /// The level where none is asked for: the libraries' own.
    ///
    /// ```
    /// use ferrevent::compress::Format;
    /// assert_eq!(Format::Zstd.default_level(), 3);
    /// ```
    pub fn default_level(self) -> i32 {
        match self {
            Format::Zlib | Format::RawDeflate | Format::Gzip => 6,
            Format::Zstd => 3,
            Format::Lz4 => 1,
        }
    }

    /// Whether something of this format can begin with these bytes, of which
    /// the first four are looked at.
    pub(super) fn may_begin(self, head: &[u8]) -> bool {
        let begins = |magic: &[u8]| head.iter().zip(magic).all(|(is, should)| is == should);
        // Skippable frames, RFC 8878 section 3.1.2: LZ4 has the same.
        let skippable = |head: &[u8]| {
            let low = head.first().is_none_or(|byte| byte & 0xF0 == 0x50);
            low && head[1.min(head.len())..]
                .iter()
                .zip([0x2A, 0x4D, 0x18])
                .all(|(is, should)| *is == should)
        };
        match self {
            Format::RawDeflate => true,
            Format::Gzip => begins(&[0x1F, 0x8B]),
            Format::Zstd => begins(&[0x28, 0xB5, 0x2F, 0xFD]) || skippable(head),
            Format::Lz4 => begins(&[0x04, 0x22, 0x4D, 0x18]) || skippable(head),
            Format::Zlib => match head {
                [] => true,
                [method] => method & 0x0F == 8,
                [method, flags, ..] => {
                    let check = u16::from_be_bytes([*method, *flags]);
                    method & 0x0F == 8 && check % 31 == 0
                }
            },
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Format::Zlib => "deflate",
            Format::RawDeflate => "raw-deflate",
            Format::Gzip => "gzip",
            Format::Zstd => "zstd",
            Format::Lz4 => "lz4",
        })
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Format::ALL.iter().find(|it| it.to_string() == text);
        match (named, text) {
            (Some(format), _) => Ok(*format),
            (None, "zlib") => Ok(Format::Zlib),
            (None, other) => Err(format!(
                "there is no compression {other:?} here: zstd, lz4, deflate, gzip or raw-deflate"
            )),
        }
    }
}
