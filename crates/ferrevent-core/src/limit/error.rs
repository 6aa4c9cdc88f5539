use std::fmt;

use super::RateLimit;

/// Why a limit was refused. Nothing has changed then.
///
/// ```
/// use ferrevent_core::limit::{LimitError, RateLimit};
/// assert_eq!(RateLimit::new(0), Err(LimitError::ZeroRate));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitError {
    /// A rate of no bytes a second: nothing would ever move.
    ZeroRate,
    /// A burst of no bytes: nothing would ever move.
    ZeroBurst,
    /// A rate for a period of less than a microsecond.
    ZeroPeriod,
    /// A rate above [`RateLimit::MAX`].
    RateTooHigh(u64),
    /// A burst above [`RateLimit::MAX`].
    BurstTooHigh(u64),
    /// A share of nothing.
    ZeroWeight,
    /// The group lies below the one that was to go into it, or is that one.
    Cycle,
    /// The group belongs to another loop or pool.
    Foreign,
    /// The loop or pool, the group or the stream is gone.
    Gone,
    /// Four billion streams and groups are limited.
    Full,
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max = RateLimit::MAX;
        match self {
            LimitError::ZeroRate => f.write_str(
                "a rate of zero would let nothing move: pause the stream, or give no limit",
            ),
            LimitError::ZeroBurst => {
                f.write_str("a burst of zero would let nothing move: give at least one byte")
            }
            LimitError::ZeroPeriod => {
                f.write_str("a rate for no time: give a period of at least one microsecond")
            }
            LimitError::RateTooHigh(rate) => {
                write!(f, "a rate of {rate} bytes a second is above {max}")
            }
            LimitError::BurstTooHigh(burst) => {
                write!(f, "a burst of {burst} bytes is above {max}")
            }
            LimitError::ZeroWeight => {
                f.write_str("a share of weight zero would get nothing: give at least one")
            }
            LimitError::Cycle => f.write_str("a group cannot be put into one that lies inside it"),
            LimitError::Foreign => f.write_str("the group belongs to another loop or pool"),
            LimitError::Gone => f.write_str("what was to be limited is gone"),
            LimitError::Full => f.write_str("four billion streams and groups are limited"),
        }
    }
}

impl std::error::Error for LimitError {}
