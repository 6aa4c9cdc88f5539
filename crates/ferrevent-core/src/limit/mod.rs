//! Rate limits: token buckets, in a tree of groups.
//!
//! A [`Tree`] holds members (streams) and groups, each with a bucket for every
//! direction it limits. A member's bytes are taken from its own bucket and
//! from that of every group above it, so none of them moves more than its rate
//! times a window, and its burst, in any window. Members of a group share it
//! by [weight](Share) and priority, and what one does not use the others have.
//!
//! There is no tick. A member asks ([`Tree::ask`]) and is told how many bytes
//! it may move now, or to wait; then its turn comes when the buckets have what
//! it needs, and [`Tree::wake_at`] tells when that is. Nobody who has nothing
//! to move is ever woken. There is no clock, no socket and no thread in here
//! either: the time is an argument, and the refill is exact, in whole
//! millionths of a byte for a microsecond.

mod account;
mod bucket;
mod error;
mod lane;
mod rate;
mod schedule;
mod tree;

pub use bucket::Bucket;
pub use error::LimitError;
pub use rate::{Direction, RateLimit, RateLimits, Share};
pub use tree::{NodeId, Tree};
