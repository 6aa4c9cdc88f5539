//! A chain of byte segments: what streams receive into and send from.
//!
//! [`Buffer`] is the chain, [`Block`] the pooled memory it is mostly made of, [`Pinned`] a view
//! of its front that a kernel may read from while the buffer goes on changing.
//!
//! Copying is avoided where it costs more than it saves. Moving bytes between buffers, sharing
//! them and referring to memory of somebody else all count references; pieces of up to 512 bytes
//! are copied, because a segment of their own would be dearer.
//!
//! ```
//! use ferrevent_core::buffer::{Block, BlockClass, Buffer};
//!
//! // What a backend does with a receive ...
//! let mut block = Block::take(BlockClass::K16);
//! block.as_mut_slice()[..2000].fill(b'x');
//! let mut input = Buffer::new();
//! input.append_block(block, 2000)?;
//!
//! // ... and an echo server with what was received: the same block, not a copy.
//! let received = input.chunk().as_ptr();
//! let mut output = Buffer::new();
//! output.append_buffer(&mut input)?;
//! assert_eq!(output.chunk().as_ptr(), received);
//! # Ok::<(), ferrevent_core::buffer::BufferError>(())
//! ```

mod append;
mod block;
mod chain;
mod error;
mod find;
mod line;
mod observe;
mod pin;
mod pool;
mod segment;
mod take;
mod traits;
mod view;

pub use block::{Block, BlockClass};
pub use chain::Buffer;
pub use error::{BufferError, End};
pub use line::{Eol, LineEnd};
pub use observe::{Change, ObserverId};
pub use pin::Pinned;
pub use pool::{POOL_LIMIT, pooled_bytes, trim_pool};
pub use segment::FileRangeRef;
pub use view::{Chunk, Chunks};
