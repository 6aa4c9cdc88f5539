//! Filters: bytes into bytes, in both directions, between a stream's buffers
//! and the wire.
//!
//! A [`Filter`] does no input or output and has no clock. It is given bytes
//! from one side, told how much it may put out, and puts it out; whatever it
//! leaves it is given again, with more behind it. Filters are stacked on a
//! stream by [`Machine::add_filter`](crate::stream::Machine::add_filter), the
//! last one added next to the owner. TLS is one.
//!
//! What lies between two layers, and between the lowest one and the kernel,
//! is bounded by [`LAYER_BYTES`], so that a peer who does not read, or an
//! owner who does not, is felt at the other end.

mod pass;
mod stack;

use std::any::Any;
use std::io;

pub use pass::Pass;
pub(crate) use stack::{Ends, Outcome, Stack};

/// The most bytes between two layers before the one that puts them out is
/// asked for no more: 64 KiB. One unit of a filter that cannot be divided may
/// lie above it.
///
/// ```
/// assert_eq!(ferrevent_core::filter::LAYER_BYTES, 64 * 1024);
/// ```
pub const LAYER_BYTES: usize = 64 * 1024;

/// Turns the bytes of a stream into others, in both directions.
///
/// A direction is at its end once its source [is](Pass::is_last), everything
/// was taken from it, the filter [is open](Filter::is_open) and left room
/// unused; or when the filter says so by [`Pass::end`].
///
/// # Errors
/// An error ends the stream, with the filter's error as its reason: what was
/// put out before is still told, what the filter has
/// [to say to the peer](Filter::encode) still sent.
///
/// ```
/// use ferrevent_core::filter::{Filter, Pass};
/// use ferrevent_core::stream::Machine;
/// use ferrevent_core::timer::Tick;
///
/// struct Invert;
///
/// impl Filter for Invert {
///     fn decode(&mut self, pass: &mut Pass<'_>) -> std::io::Result<()> {
///         pass.map(|bytes| bytes.iter_mut().for_each(|byte| *byte = !*byte));
///         Ok(())
///     }
///
///     fn encode(&mut self, pass: &mut Pass<'_>) -> std::io::Result<()> {
///         self.decode(pass)
///     }
/// }
///
/// let mut machine = Machine::connected();
/// machine.add_filter(Tick(0), Box::new(Invert)).unwrap();
/// machine.write(&[0, 1]).unwrap();
/// assert_eq!(*machine.sendable(Tick(0)).unwrap(), [255, 254]);
/// ```
pub trait Filter: Any + Send {
    /// Bytes that came from the wire's side into bytes for the owner's.
    ///
    /// Called when there are new ones, or new room, and once when the last
    /// has come.
    ///
    /// # Errors
    /// When the bytes mean nothing, or end where they must not.
    fn decode(&mut self, pass: &mut Pass<'_>) -> io::Result<()>;

    /// Bytes that came from the owner's side into bytes for the wire's, and
    /// whatever the filter itself has to say to its peer.
    ///
    /// Called whenever the stream is worked on, also without new bytes, and
    /// once more without any after an error.
    ///
    /// # Errors
    /// When the bytes cannot be sent.
    fn encode(&mut self, pass: &mut Pass<'_>) -> io::Result<()>;

    /// Whether the owner's bytes can pass, or something must be agreed upon
    /// with the peer before. Once true it stays so.
    ///
    /// While it is false the stream receives even when it is paused, and the
    /// handshake's time limit runs.
    fn is_open(&self) -> bool {
        true
    }

    /// What the owner sends ends before its time: the peer must not take the
    /// end that comes for that of something whole. TLS sends no close_notify
    /// then.
    fn cut_short(&mut self) {}
}
