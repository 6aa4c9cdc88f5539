//! Work that blocks, on threads of its own.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context as Polling, Poll};
use std::time::Duration;

use super::ask::{Answer, question};
use super::hub::{Hub, gone};
use super::task::TaskError;
use super::{Runtime, lock};
use crate::host::panic_message;

type Work = Box<dyn FnOnce() + Send>;

/// The threads of one runtime.
#[derive(Default)]
pub(super) struct Blocking(Arc<Threads>);

#[derive(Default)]
struct Threads {
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Work>,
    threads: usize,
    idle: usize,
    closed: bool,
}

/// So many threads at most; what is more waits.
const MOST: usize = 128;
/// A thread that had nothing to do for so long ends.
const IDLE: Duration = Duration::from_secs(5);

impl Blocking {
    fn run(&self, hub: &Hub, work: Work) -> io::Result<()> {
        let mut state = lock(&self.0.state);
        if state.closed {
            return Err(gone());
        }
        if state.idle <= state.queue.len() && state.threads < MOST {
            let threads = Arc::clone(&self.0);
            let started = hub.sys.start_thread("blocking", move || threads.work());
            match started {
                Ok(_) => state.threads += 1,
                // Those that there are will come to it.
                Err(_) if state.threads > 0 => {}
                Err(error) => return Err(error),
            }
        }
        state.queue.push_back(work);
        drop(state);
        self.0.bell.notify_one();
        Ok(())
    }

    /// What waits is dropped; what runs is not waited for.
    pub(super) fn close(&self) {
        let queue = {
            let mut state = lock(&self.0.state);
            state.closed = true;
            std::mem::take(&mut state.queue)
        };
        drop(queue);
        self.0.bell.notify_all();
    }
}

impl Threads {
    fn work(&self) {
        let mut state = lock(&self.state);
        loop {
            if let Some(work) = state.queue.pop_front() {
                drop(state);
                work();
                state = lock(&self.state);
                continue;
            }
            if state.closed {
                break;
            }
            state.idle += 1;
            let (again, waited) = self
                .bell
                .wait_timeout(state, IDLE)
                .unwrap_or_else(PoisonError::into_inner);
            state = again;
            state.idle -= 1;
            if waited.timed_out() && state.queue.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }
}

impl Runtime {
    /// Does work that blocks on another thread, and begins at once: at most
    /// 128 such threads for each runtime, and the rest waits. It is done
    /// whether anybody waits for its outcome or not.
    ///
    /// # Errors
    /// [`TaskError::Panicked`] when it panicked, [`TaskError::Canceled`] when
    /// the loop or pool is no more, or no thread could be started.
    ///
    /// ```
    /// # let mut events = ferrevent::EventLoop::new()?;
    /// # let runtime = events.runtime();
    /// let sum = events.block_on(async move {
    ///     runtime.spawn_blocking(|| (1..=1000).sum::<u64>()).await
    /// })?;
    /// assert_eq!(sum, Ok(500_500));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn spawn_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> BlockingTask<T> {
        let (answering, answer) = question();
        let work = Box::new(move || {
            let outcome = catch_unwind(AssertUnwindSafe(work));
            answering.answer(outcome.map_err(|payload| panic_message(&*payload)));
        });
        let hub = self.hub();
        // What was refused is dropped, and there is no answer.
        let _ = hub.blocking.run(hub, work);
        BlockingTask { answer }
    }
}

/// What work on another thread comes to. Dropped, the work goes on. Awaiting
/// it is cancel-safe.
///
/// ```
/// # let mut events = ferrevent::EventLoop::new()?;
/// # let runtime = events.runtime();
/// let reading = runtime.spawn_blocking(|| std::fs::read("/etc/hostname"));
/// let name = events.block_on(reading)?;
/// # drop(name);
/// # std::io::Result::Ok(())
/// ```
pub struct BlockingTask<T> {
    answer: Answer<Result<T, String>>,
}

impl<T> Future for BlockingTask<T> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, polling: &mut Polling<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer)
            .poll(polling)
            .map(|answer| match answer {
                Some(outcome) => outcome.map_err(TaskError::Panicked),
                None => Err(TaskError::Canceled),
            })
    }
}

impl<T> fmt::Debug for BlockingTask<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlockingTask")
    }
}
