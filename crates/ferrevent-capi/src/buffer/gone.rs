//! What the program is told of memory that nobody reads any more.
//!
//! The buffer lets go of it in the middle of its work, where the program must
//! not come in: it is told as soon as that is done.

use std::cell::RefCell;
use std::collections::VecDeque;

type Tell = Box<dyn FnOnce()>;

thread_local!(static GONE: RefCell<VecDeque<Tell>> = const { RefCell::new(VecDeque::new()) });

/// Has this called at the next [`tell`] of this thread.
pub(super) fn note(tell: impl FnOnce() + 'static) {
    // At a thread's end there is nobody left who could be in the middle.
    let mut tell: Option<Tell> = Some(Box::new(tell));
    let _ = GONE.try_with(|gone| gone.borrow_mut().extend(tell.take()));
    if let Some(tell) = tell {
        tell();
    }
}

/// Tells what was noted. To be called where no buffer is borrowed.
#[inline]
pub(super) fn tell() {
    while let Ok(Some(tell)) = GONE.try_with(|gone| gone.borrow_mut().pop_front()) {
        tell();
    }
}
