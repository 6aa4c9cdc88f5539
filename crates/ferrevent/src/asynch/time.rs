//! Time as futures.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as Polling, Poll, Waker};
use std::time::{Duration, Instant};

use ferrevent_core::timer::Tick;

use super::Runtime;
use super::hub::Hub;
use super::timers::Entry;

/// Ready once its time has come, never earlier. Cancel-safe: dropped, its
/// timer is gone; when the loop or pool is no more it is never ready.
///
/// ```
/// # use std::time::Duration;
/// # let mut events = ferrevent::EventLoop::new()?;
/// # let runtime = events.runtime();
/// events.block_on(runtime.sleep(Duration::from_millis(1)))?;
/// # std::io::Result::Ok(())
/// ```
#[must_use = "a future does nothing unless it is awaited"]
pub struct Sleep {
    hub: Arc<Hub>,
    deadline: Tick,
    entry: Option<Entry>,
}

impl Sleep {
    fn until(hub: &Arc<Hub>, deadline: Tick) -> Self {
        Self {
            hub: Arc::clone(hub),
            deadline,
            entry: None,
        }
    }

    /// Has it be ready so long from now on instead.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let mut events = ferrevent::EventLoop::new()?;
    /// # let runtime = events.runtime();
    /// let mut sleep = runtime.sleep(Duration::from_secs(3600));
    /// sleep.reset(Duration::from_millis(1));
    /// events.block_on(sleep)?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn reset(&mut self, after: Duration) {
        self.reset_to(self.hub.now() + after);
    }

    pub(super) fn reset_to(&mut self, deadline: Tick) {
        self.disarm();
        self.deadline = deadline;
    }

    fn disarm(&mut self) {
        if let Some(entry) = self.entry.take() {
            self.hub.remove_timer(entry);
        }
    }

    fn poll_at(&mut self, waker: &Waker) -> Poll<()> {
        // At first nothing is asked of the clock: what is due already is told
        // in the next turn.
        let Some(entry) = self.entry else {
            self.entry = Some(self.hub.add_timer(self.deadline, waker));
            return Poll::Pending;
        };
        if self.hub.now() >= self.deadline {
            self.disarm();
            return Poll::Ready(());
        }
        self.hub.change_timer(entry, waker);
        Poll::Pending
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, polling: &mut Polling<'_>) -> Poll<()> {
        self.poll_at(polling.waker())
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.disarm();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// Ready again and again, at the same distance. One that was late is ready at
/// once, and what it has missed is left out.
///
/// ```
/// # use std::time::Duration;
/// # let mut events = ferrevent::EventLoop::new()?;
/// # let runtime = events.runtime();
/// events.block_on(async move {
///     let mut interval = runtime.interval(Duration::from_millis(1));
///     interval.tick().await;
///     interval.tick().await;
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Interval {
    sleep: Sleep,
    every: Duration,
}

impl Interval {
    /// The next time. Cancel-safe: a time that came and was not waited for is
    /// there for the next call.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # async fn example(runtime: ferrevent::asynch::Runtime) {
    /// let mut interval = runtime.interval(Duration::from_secs(1));
    /// loop {
    ///     interval.tick().await;
    ///     println!("tick");
    /// }
    /// # }
    /// ```
    pub async fn tick(&mut self) {
        Pin::new(&mut self.sleep).await;
        let now = self.sleep.hub.now();
        let mut next = self.sleep.deadline + self.every;
        if next <= now {
            let every = Tick::from(self.every).0.max(1);
            let missed = now.since(self.sleep.deadline).as_micros() as u64 / every;
            next = Tick(self.sleep.deadline.0 + (missed + 1) * every);
        }
        self.sleep.reset_to(next);
    }
}

/// The time was over.
///
/// ```
/// println!("{}", ferrevent::asynch::Elapsed);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time for it was over")
    }
}

impl std::error::Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> Self {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}

impl Runtime {
    /// Ready after so long, by the clock of the loop or pool, to the
    /// microsecond.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let mut events = ferrevent::EventLoop::new()?;
    /// # let runtime = events.runtime();
    /// events.block_on(async move {
    ///     runtime.sleep(Duration::from_millis(1)).await;
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn sleep(&self, after: Duration) -> Sleep {
        let hub = self.hub();
        Sleep::until(hub, hub.now() + after)
    }

    /// Ready at this moment of the real clock.
    ///
    /// ```
    /// # use std::time::{Duration, Instant};
    /// # let mut events = ferrevent::EventLoop::new()?;
    /// # let runtime = events.runtime();
    /// let soon = Instant::now() + Duration::from_millis(1);
    /// events.block_on(runtime.sleep_until(soon))?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn sleep_until(&self, moment: Instant) -> Sleep {
        let hub = self.hub();
        Sleep::until(hub, hub.sys.clock().tick_of(moment))
    }

    /// Ready again and again, for the first time after so long; at least a
    /// microsecond lies between.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # async fn example(runtime: ferrevent::asynch::Runtime) {
    /// let mut interval = runtime.interval(Duration::from_secs(1));
    /// interval.tick().await;
    /// # }
    /// ```
    pub fn interval(&self, every: Duration) -> Interval {
        let every = every.max(Duration::from_micros(1));
        Interval {
            sleep: self.sleep(every),
            every,
        }
    }

    /// Waits for a future, so long at most. Cancel-safe where that is.
    ///
    /// # Errors
    /// [`Elapsed`] when it was not ready in time; then it is dropped.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ferrevent::asynch::Elapsed;
    /// # let mut events = ferrevent::EventLoop::new()?;
    /// # let runtime = events.runtime();
    /// let never = std::future::pending::<()>();
    /// let outcome = events.block_on(runtime.timeout(Duration::from_millis(1), never))?;
    /// assert_eq!(outcome, Err(Elapsed));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn timeout<F: Future>(
        &self,
        after: Duration,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Elapsed>> + use<F> {
        let mut sleep = self.sleep(after);
        async move {
            let mut future = pin!(future);
            poll_fn(|polling| {
                if let Poll::Ready(output) = future.as_mut().poll(polling) {
                    return Poll::Ready(Ok(output));
                }
                sleep.poll_at(polling.waker()).map(|()| Err(Elapsed))
            })
            .await
        }
    }
}
