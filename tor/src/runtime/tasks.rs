//! Tasks, time, and work that blocks.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use ferrevent::asynch::{BlockingTask, Sleep, TaskError};
use futures::task::{FutureObj, Spawn, SpawnError};
use tor_rtcompat::{
    Blocking, CoarseInstant, CoarseTimeProvider, RealCoarseTimeProvider, SleepProvider,
    ToplevelBlockOn,
};

use super::TorRuntime;

impl Spawn for TorRuntime {
    fn spawn_obj(&self, future: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        self.status()?;
        self.shared.tasks.spawn(future).detach();
        Ok(())
    }

    fn status(&self) -> Result<(), SpawnError> {
        self.pool().map_err(|_| SpawnError::shutdown()).map(drop)
    }
}

impl SleepProvider for TorRuntime {
    type SleepFuture = Sleep;

    fn sleep(&self, duration: Duration) -> Sleep {
        self.shared.tasks.sleep(duration)
    }
}

impl CoarseTimeProvider for TorRuntime {
    fn now_coarse(&self) -> CoarseInstant {
        RealCoarseTimeProvider::new().now_coarse()
    }
}

impl ToplevelBlockOn for TorRuntime {
    /// # Panics
    /// Where [`TorRuntime::run`] has an error: the trait has no other way.
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        match self.run(future) {
            Ok(output) => output,
            Err(error) => panic!("the runtime cannot run: {error}"),
        }
    }
}

impl Blocking for TorRuntime {
    type ThreadHandle<T: Send + 'static> = BlockingHandle<T>;

    fn spawn_blocking<F, T>(&self, work: F) -> BlockingHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        BlockingHandle(self.shared.tasks.spawn_blocking(work))
    }

    fn reenter_block_on<F>(&self, future: F) -> F::Output
    where
        F: Future,
        F::Output: Send + 'static,
    {
        // What wakes it is the pool's workers, whoever waits.
        futures::executor::block_on(future)
    }
}

/// What blocking work on another thread comes to. Dropped, the work goes on.
///
/// # Panics
/// When it is awaited and the work has panicked, or the runtime is no more:
/// `tor-rtcompat` has it so.
///
/// ```
/// use tor_rtcompat::{Blocking, ToplevelBlockOn};
///
/// let runtime = ferrevent_tor::TorRuntime::new()?;
/// let sum = runtime.block_on(async { runtime.spawn_blocking(|| 1 + 1).await });
/// assert_eq!(sum, 2);
/// # std::io::Result::Ok(())
/// ```
pub struct BlockingHandle<T>(BlockingTask<T>);

impl<T> Future for BlockingHandle<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, polling: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0)
            .poll(polling)
            .map(|outcome| match outcome {
                Ok(value) => value,
                Err(TaskError::Panicked(message)) => panic!("{message}"),
                Err(error) => panic!("blocking work: {error}"),
            })
    }
}

impl<T> fmt::Debug for BlockingHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlockingHandle")
    }
}
