//! What a machine remembers, one bit each.

/// One bit for each fact.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flags(pub(super) u32);

#[rustfmt::skip]
impl Flags {
    // Life.
    pub(super) const CONNECTING: u32 = 1;
    pub(super) const CLOSED: u32 = 1 << 1;
    // Input.
    pub(super) const PAUSED: u32 = 1 << 2;         // the owner wants nothing now
    pub(super) const RECEIVING: u32 = 1 << 3;      // a receive is in flight
    pub(super) const INPUT_ENDED: u32 = 1 << 4;    // the peer's end has come
    pub(super) const DISCARDING: u32 = 1 << 5;     // finishing: what comes is thrown away
    // Output.
    pub(super) const SENDING: u32 = 1 << 6;        // a send is in flight
    pub(super) const FINISH_WRITE: u32 = 1 << 7;   // end the side once all is sent
    pub(super) const OUTPUT_ENDED: u32 = 1 << 8;   // our end was sent
    pub(super) const BROKEN: u32 = 1 << 9;         // sending failed; receiving goes on
    pub(super) const HELD: u32 = 1 << 10;          // the owner wants nothing sent now
    // Both.
    pub(super) const PIPED: u32 = 1 << 11;         // the engine moves its bytes
    pub(super) const NO_WRITABLE: u32 = 1 << 12;   // the owner does not listen to it
    pub(super) const FILTERED: u32 = 1 << 13;      // there are filters
    pub(super) const OPENING: u32 = 1 << 14;       // not all of them are open yet
    pub(super) const TELLS_SENT: u32 = 1 << 15;    // the owner listens to it
    pub(super) const DYING: u32 = 1 << 25;         // a filter failed: its last words go out
    pub(super) const TELLS_LOSS: u32 = 1 << 27;    // the owner is nudged when it broke
    // What is still to be told.
    pub(super) const TELL_OPENED: u32 = 1 << 16;
    pub(super) const TELL_READABLE: u32 = 1 << 17;
    pub(super) const TELL_ENDED: u32 = 1 << 18;
    pub(super) const TELL_WRITABLE: u32 = 1 << 19;
    pub(super) const TELL_READ_TIMEOUT: u32 = 1 << 20;
    pub(super) const TELL_WRITE_TIMEOUT: u32 = 1 << 21;
    pub(super) const TELL_CLOSED: u32 = 1 << 22;
    pub(super) const TELL_UPGRADED: u32 = 1 << 23;
    pub(super) const TELL_SENT: u32 = 1 << 24;
    /// What is told only of a stream that is open.
    pub(super) const TELL_NUDGED: u32 = 1 << 26;
    pub(super) const TELL_OPEN: u32 = 0x1ff << 16
        & !(Self::TELL_READ_TIMEOUT | Self::TELL_WRITE_TIMEOUT | Self::TELL_CLOSED);
    pub(super) const TELL_ANY: u32 = 0x1ff << 16 | Self::TELL_NUDGED;

    #[inline]
    pub(super) fn has(self, bits: u32) -> bool {
        self.0 & bits != 0
    }

    #[inline]
    pub(super) fn set(&mut self, bits: u32) {
        self.0 |= bits;
    }

    #[inline]
    pub(super) fn clear(&mut self, bits: u32) {
        self.0 &= !bits;
    }

    /// Clears a bit and tells whether it was set.
    #[inline]
    pub(super) fn take(&mut self, bit: u32) -> bool {
        let had = self.has(bit);
        self.clear(bit);
        had
    }
}
