//! Giving memory back while nothing happens.
//!
//! Blocks are kept because taking them anew at every turn costs more than
//! moving the bytes does. A thread that has had nothing to do for a second is
//! in no such hurry.

use std::time::Duration;

use ferrevent_core::buffer::{pooled_bytes, trim_pool};
use ferrevent_os::sys;

/// A thread that has waited for so long gives back what it keeps.
pub(crate) const QUIET: Duration = Duration::from_secs(1);

/// Less than this is not worth the while.
const WORTH: usize = 64 * 1024;

/// Whether this thread keeps memory that is worth giving back.
#[inline]
pub(crate) fn keeps_memory() -> bool {
    pooled_bytes() > WORTH
}

/// Gives it back, to the allocator and by that to the kernel.
pub(crate) fn give_back() {
    trim_pool();
    sys::give_memory_back();
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Instant;

    use ferrevent_core::buffer::{Block, BlockClass};

    use super::*;
    use crate::{EventLoop, Pool};

    /// Longer than any wait of these tests.
    const LONG: Duration = Duration::from_secs(600);

    fn keep_memory() {
        let blocks: Vec<Block> = (0..64).map(|_| Block::take(BlockClass::K16)).collect();
        drop(blocks);
        assert!(keeps_memory());
    }

    #[test]
    fn a_loop_that_has_nothing_to_do_gives_its_memory_back() {
        let mut events = EventLoop::new().unwrap();
        events.timer(LONG, |_| ()).unwrap();
        keep_memory();
        let end = Instant::now() + Duration::from_secs(30);
        while pooled_bytes() > 0 {
            assert!(Instant::now() < end);
            events.run_for(QUIET * 2).unwrap();
        }
    }

    #[test]
    fn so_does_every_worker_of_a_pool() {
        const WORKERS: usize = 3;
        let pool = Pool::new(WORKERS).unwrap();
        let (tell, told) = mpsc::channel();
        for _ in 0..WORKERS {
            let mut context = pool.context();
            // While one worker blocks the others take the other timers.
            let block = || thread::sleep(Duration::from_millis(300));
            context
                .timer(Duration::from_millis(1), move |_| {
                    keep_memory();
                    block();
                })
                .unwrap();
            let tell = tell.clone();
            context
                .timer(QUIET * 5, move |_| {
                    tell.send(pooled_bytes()).unwrap();
                    block();
                })
                .unwrap();
        }
        pool.run().unwrap();
        let seen: Vec<usize> = told.try_iter().collect();
        assert_eq!(seen, [0; WORKERS]);
    }
}
