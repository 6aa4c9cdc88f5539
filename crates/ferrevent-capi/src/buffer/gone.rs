//! What the program is told of memory that nobody reads any more.
//!
//! The buffer lets go of it in the middle of its work, where the program must
//! not come in: it is told as soon as that is done.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

type Tell = Box<dyn FnOnce()>;

thread_local!(static GONE: RefCell<VecDeque<Tell>> = const { RefCell::new(VecDeque::new()) });

/// How many wait, of all threads: mostly there are none, and that is quickly
/// seen.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Has this called at the next [`tell`] of this thread.
pub(super) fn note(tell: impl FnOnce() + 'static) {
    // At a thread's end there is nobody left who could be in the middle.
    let mut tell: Option<Tell> = Some(Box::new(tell));
    let _ = GONE.try_with(|gone| {
        WAITING.fetch_add(1, Ordering::Relaxed);
        gone.borrow_mut().extend(tell.take());
    });
    if let Some(tell) = tell {
        tell();
    }
}

/// Tells what was noted. To be called where no buffer is borrowed.
#[inline]
pub(super) fn tell() {
    // A thread's own are never missed: it has counted them itself.
    if WAITING.load(Ordering::Relaxed) != 0 {
        tell_all();
    }
}

#[cold]
fn tell_all() {
    while let Ok(Some(tell)) = GONE.try_with(|gone| gone.borrow_mut().pop_front()) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
        tell();
    }
}
