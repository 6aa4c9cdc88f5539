//! How to compress, and what to take from a peer.

use std::fmt;
use std::str::FromStr;

use super::{CompressError, Compressor, Format};
use crate::Filter;

/// How a stream is compressed: in both directions, or in one.
///
/// ```
/// use ferrevent::compress::{Compression, Flush, Format};
///
/// let zstd = Compression::new(Format::Zstd).level(9)?.flush(Flush::Asked);
/// assert_eq!(zstd.to_string(), "zstd:9");
/// // Takes the output of gzip, and sends plain bytes.
/// let gunzip = Compression::receiving(Format::Gzip);
/// # Ok::<(), ferrevent::compress::CompressError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    pub(super) sends: Option<Format>,
    pub(super) receives: Option<Format>,
    pub(super) level: i32,
    pub(super) flush: Flush,
    pub(super) bounds: Bounds,
}

/// When what was written is put out although more of it would be smaller.
///
/// ```
/// use ferrevent::compress::Flush;
/// assert_eq!(Flush::default(), Flush::Turn);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flush {
    /// At the end of a turn of the stream's handler, once everything that was
    /// written has been taken: the peer can read it as soon as it arrives.
    #[default]
    Turn,
    /// When [`Stream::flush`](crate::Stream::flush) asks for it, and at the
    /// end: many small writes become smaller. Until then the library holds
    /// what it likes: up to 128 KiB of zstd, 64 KiB of the others.
    Asked,
}

/// What a peer's frames may ask for.
///
/// ```
/// use ferrevent::compress::Bounds;
/// let strict = Bounds { ratio: Some(20), free: 1 << 20, ..Bounds::DEFAULT };
/// assert!(strict.window <= Bounds::DEFAULT.window);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The most that a frame may look back, in bytes, and so about the memory
    /// that a stream's decompression takes: of zstd the window, of which only
    /// the power of two below counts, from 1 KiB on; of LZ4 the largest block,
    /// of which it takes up to four. Deflate always looks back 32 KiB.
    /// 8 MiB, unless changed: what RFC 8878 section 3.1.1.1.2 recommends, and
    /// `zstd` needs up to level 19.
    pub window: usize,
    /// All that came out may be at most so many times as much as came in, and
    /// `free` bytes more. 200, unless changed; None allows anything.
    pub ratio: Option<u32>,
    /// So many bytes may come out whatever came in. 1 GiB, unless changed.
    pub free: u64,
}

impl Bounds {
    /// What is allowed unless something else is said: text, logs and
    /// databases stay far below it, a disk image with holes passes if a
    /// gigabyte of them does not come first.
    ///
    /// ```
    /// use ferrevent::compress::Bounds;
    /// assert_eq!(Bounds::default(), Bounds::DEFAULT);
    /// ```
    pub const DEFAULT: Bounds = Bounds {
        window: 8 << 20,
        ratio: Some(200),
        free: 1 << 30,
    };

    /// Whether so much may have come out of that.
    pub(super) fn allow(&self, packed: u64, plain: u64) -> bool {
        self.ratio.is_none_or(|ratio| {
            let most = packed.saturating_mul(u64::from(ratio));
            plain <= most.saturating_add(self.free)
        })
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Compression {
    /// Of what is sent and of what is received.
    ///
    /// ```
    /// use ferrevent::compress::{Compression, Format};
    /// let both = Compression::new(Format::Lz4);
    /// ```
    pub const fn new(format: Format) -> Self {
        Self::of(Some(format), Some(format), format)
    }

    /// Of what is sent; what is received is taken as it comes.
    ///
    /// ```
    /// use ferrevent::compress::{Compression, Format};
    /// let download = Compression::sending(Format::Gzip);
    /// ```
    pub const fn sending(format: Format) -> Self {
        Self::of(Some(format), None, format)
    }

    /// Of what is received; what is sent goes as it is.
    ///
    /// ```
    /// use ferrevent::compress::{Compression, Format};
    /// let upload = Compression::receiving(Format::Gzip);
    /// ```
    pub const fn receiving(format: Format) -> Self {
        Self::of(None, Some(format), format)
    }

    const fn of(sends: Option<Format>, receives: Option<Format>, format: Format) -> Self {
        let level = match format {
            Format::Zlib | Format::RawDeflate | Format::Gzip => 6,
            Format::Zstd => 3,
            Format::Lz4 => 1,
        };
        Self {
            sends,
            receives,
            level,
            flush: Flush::Turn,
            bounds: Bounds::DEFAULT,
        }
    }

    /// How hard it tries, one of [`Format::levels`].
    ///
    /// # Errors
    /// [`CompressError::Level`] where the format has no such level.
    ///
    /// ```
    /// use ferrevent::compress::{CompressError, Compression, Format};
    /// let refused = Compression::new(Format::Gzip).level(10);
    /// assert!(matches!(refused, Err(CompressError::Level { level: 10, .. })));
    /// ```
    pub fn level(mut self, level: i32) -> Result<Self, CompressError> {
        let format = self.format();
        if !format.levels().contains(&level) {
            return Err(CompressError::Level { format, level });
        }
        self.level = level;
        Ok(self)
    }

    /// When what was written is put out.
    ///
    /// ```
    /// use ferrevent::compress::{Compression, Flush, Format};
    /// let patient = Compression::new(Format::Zstd).flush(Flush::Asked);
    /// ```
    #[must_use]
    pub fn flush(mut self, flush: Flush) -> Self {
        self.flush = flush;
        self
    }

    /// What a peer may ask for.
    ///
    /// ```
    /// use ferrevent::compress::{Bounds, Compression, Format};
    /// let trusting = Bounds { ratio: None, ..Bounds::DEFAULT };
    /// let zstd = Compression::new(Format::Zstd).bounds(trusting);
    /// ```
    #[must_use]
    pub fn bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// The format.
    ///
    /// ```
    /// use ferrevent::compress::{Compression, Format};
    /// assert_eq!(Compression::sending(Format::Lz4).format(), Format::Lz4);
    /// ```
    pub fn format(&self) -> Format {
        self.sends.or(self.receives).unwrap_or(Format::Zstd)
    }

    /// A filter for one stream.
    ///
    /// ```
    /// use ferrevent::Stream;
    /// use ferrevent::compress::{Compression, Format};
    /// fn begin(stream: &mut Stream<'_>) -> Result<(), ferrevent::WriteError> {
    ///     stream.add_filter(Compression::new(Format::Zstd).filter())
    /// }
    /// ```
    pub fn filter(&self) -> Box<dyn Filter> {
        Box::new(Compressor::new(*self))
    }
}

/// As it is parsed: `zstd:3`, `lz4`.
impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = self.format();
        if self.level == format.default_level() {
            write!(f, "{format}")
        } else {
            write!(f, "{format}:{}", self.level)
        }
    }
}

/// `FORMAT`, or `FORMAT:LEVEL`: both directions.
///
/// ```
/// use ferrevent::compress::{Compression, Format};
/// assert_eq!("zstd:3".parse(), Ok(Compression::new(Format::Zstd)));
/// assert_eq!(
///     "gzip:11".parse::<Compression>(),
///     Err("gzip has no level 11: they go from 0 to 9".to_owned())
/// );
/// ```
impl FromStr for Compression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (format, level) = match text.split_once(':') {
            Some((format, level)) => (format, Some(level)),
            None => (text, None),
        };
        let compression = Compression::new(format.parse()?);
        let Some(level) = level else {
            return Ok(compression);
        };
        let number = level
            .parse()
            .map_err(|_| format!("the level {level:?} is no number"))?;
        compression.level(number).map_err(|error| error.to_string())
    }
}
