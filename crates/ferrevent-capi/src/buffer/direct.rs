//! The short way to the bytes of a buffer that is nobody's business but its
//! caller's: most buffers have no lock, and nobody is told of their changes.

use ferrevent::Buffer;

use super::add::both;
use super::{Buf, Inner, gone};

/// So many bytes were added, and so many taken.
pub(super) type Change = (usize, usize);

pub(super) const NOTHING: Change = (0, 0);

impl Inner {
    #[inline(always)]
    fn is_plain(&self) -> bool {
        !self.lock.is_some() && self.callbacks.is_none() && self.owner.is_none()
    }
}

impl Buf {
    /// Whether it has no lock, and nobody is told of its changes.
    #[inline(always)]
    pub(super) fn is_plain(self) -> bool {
        // SAFETY: the buffer is there, see `Buf`. Its lock does not change once
        // there is one; the rest is read when there is none.
        unsafe { (*self.inner()).is_plain() }
    }

    /// Whether only the program has it.
    pub(super) fn has_one_user(self) -> bool {
        // SAFETY: the buffer is there, and without a lock only one thread uses it.
        unsafe { (*self.inner()).users == 1 }
    }

    /// Looks at the bytes.
    #[inline(always)]
    pub(super) fn look<R>(self, look: impl FnOnce(&Buffer) -> R) -> R {
        if self.is_plain() {
            // SAFETY: without a lock only one thread uses it, and nobody who
            // does is called meanwhile.
            return look(unsafe { &(*self.inner()).buffer });
        }
        look(&self.hold().buffer)
    }

    /// Works on the bytes, and tells of the change. The work calls none of the
    /// program's functions, but for those that give memory.
    #[inline(always)]
    pub(super) fn change<R>(self, work: impl FnOnce(&mut Buffer) -> (R, Change)) -> R {
        if !self.is_plain() {
            return self.change_held(work);
        }
        // SAFETY: as in `look`; there is no other reference, since none is kept
        // where the program is called.
        let (result, _) = work(unsafe { &mut (*self.inner()).buffer });
        // Of memory that is gone the program is told when the buffer is not
        // used any more: it may free it.
        gone::tell();
        result
    }

    #[inline(never)]
    fn change_held<R>(self, work: impl FnOnce(&mut Buffer) -> (R, Change)) -> R {
        let mut held = self.hold();
        let (result, change) = work(&mut held.buffer);
        if change != NOTHING {
            held.changed(change.0, change.1);
        }
        result
    }

    /// Works on the bytes of two buffers that are not the same, and tells of
    /// both changes: of the one that was emptied first.
    #[inline(always)]
    pub(super) fn change_both<R>(
        from: Self,
        to: Self,
        work: impl FnOnce(&mut Buffer, &mut Buffer) -> (R, usize),
    ) -> R {
        if !from.is_plain() || !to.is_plain() {
            return Self::change_both_held(from, to, work);
        }
        // SAFETY: as in `change`, and they are not the same.
        let (result, _) = unsafe { work(&mut (*from.inner()).buffer, &mut (*to.inner()).buffer) };
        gone::tell();
        result
    }

    #[inline(never)]
    fn change_both_held<R>(
        from: Self,
        to: Self,
        work: impl FnOnce(&mut Buffer, &mut Buffer) -> (R, usize),
    ) -> R {
        let (mut from, mut to) = both(from, to);
        let (result, moved) = work(&mut from.buffer, &mut to.buffer);
        if moved == 0 {
            return result;
        }
        if from.buffer.is_empty() {
            from.changed(0, moved);
            to.changed(moved, 0);
        } else {
            to.changed(moved, 0);
            from.changed(0, moved);
        }
        result
    }
}
