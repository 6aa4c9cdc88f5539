//! Entries of the submission queue, and whose completion is whose.

use std::io;

use ferrevent_core::buffer::Pinned;
use io_uring::squeue;

use super::slots::Index;
use super::{Message, PIECES};

/// What a completion is of: the low bits of its user data; the slot's index
/// is above them.
pub(super) mod kind {
    /// Nobody waits for it.
    pub(crate) const NOTHING: u8 = 0;
    pub(crate) const RECEIVE: u8 = 1;
    pub(crate) const SEND: u8 = 2;
    pub(crate) const ACCEPT: u8 = 3;
    pub(crate) const CONNECT: u8 = 4;
    /// Readiness to read or to write, of a port.
    pub(crate) const READ: u8 = 5;
    pub(crate) const WRITE: u8 = 6;
    /// Readiness of a watched descriptor.
    pub(crate) const WATCH: u8 = 7;
    /// The wake-up counter.
    pub(crate) const WAKE: u8 = 8;

    pub(crate) const ALL: std::ops::RangeInclusive<u8> = RECEIVE..=WATCH;
}

const KIND_BITS: u32 = 4;

/// Limits what a multishot receive brings (`optlen`, io_uring_enter(2)).
pub(super) fn cap(mut entry: squeue::Entry, bytes: u32) -> squeue::Entry {
    const OPTLEN: usize = 44;
    const { assert!(size_of::<squeue::Entry>() == 64) };
    // SAFETY: an entry is a `struct io_uring_sqe` of 64 bytes, aligned to
    // eight, and its 32-bit field `optlen` begins at byte 44; the crate has no
    // name for it yet.
    unsafe {
        (&raw mut entry)
            .cast::<u8>()
            .add(OPTLEN)
            .cast::<u32>()
            .write(bytes);
    }
    entry
}

impl Message {
    pub(super) fn of(bytes: &Pinned, limit: usize) -> Box<Self> {
        let mut slices = [io::IoSlice::new(&[]); PIECES];
        let count = bytes.io_slices(0, &mut slices);
        // SAFETY: a zeroed msghdr is a valid empty one, and so is an iovec.
        let mut message: Box<Self> = Box::new(unsafe { std::mem::zeroed() });
        let mut left = limit;
        for (piece, slice) in message.pieces.iter_mut().zip(&slices[..count]) {
            piece.iov_base = slice.as_ptr().cast_mut().cast();
            piece.iov_len = slice.len().min(left);
            left -= piece.iov_len;
        }
        message.header.msg_iov = message.pieces.as_mut_ptr();
        message.header.msg_iovlen = count as _;
        message
    }
}

pub(super) fn bit(kind: u8) -> u8 {
    1 << (kind - 1)
}

pub(super) fn user_data(index: Index, kind: u8) -> u64 {
    u64::from(index) << KIND_BITS | u64::from(kind)
}

/// The slot and the kind that a completion is of.
#[inline]
pub(super) fn parse(user_data: u64) -> (Index, u8) {
    let kind = (user_data & ((1 << KIND_BITS) - 1)) as u8;
    ((user_data >> KIND_BITS) as Index, kind)
}
