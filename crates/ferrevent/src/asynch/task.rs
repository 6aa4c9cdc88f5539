//! Tasks, and what is known of them elsewhere.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as Polling, Poll, Wake, Waker};

use super::body::{Body, Outcome, Work};
use super::here::{self, Runnable};
use super::hub::Hub;
use super::lock;
use super::state::State;

/// A task that was spawned, on its way to an outcome.
///
/// Dropped, it cancels the task: the future is dropped by the thread that
/// would poll it next. [`detach`](Self::detach) lets it go on by itself.
/// Awaiting it is cancel-safe: the outcome stays where it is until it was
/// returned.
///
/// ```
/// use ferrevent::EventLoop;
///
/// let mut events = EventLoop::new()?;
/// let runtime = events.runtime();
/// let sum = events.block_on(async move { runtime.spawn(async { 1 + 1 }).await })??;
/// assert_eq!(sum, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a task that is dropped is canceled; detach it, or await it"]
pub struct Task<T> {
    of: Option<Owned<T>>,
}

/// Why a task has no outcome.
///
/// ```
/// use ferrevent::{EventLoop, asynch::TaskError};
///
/// let mut events = EventLoop::new()?;
/// let runtime = events.runtime();
/// let outcome = events.block_on(async move {
///     runtime.spawn(async { panic!("no good") }).await
/// })?;
/// assert_eq!(outcome, Err(TaskError::Panicked("no good".to_owned())));
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskError {
    /// It panicked, with this message. Other tasks go on.
    Panicked(String),
    /// It was canceled, or its loop or pool is no more.
    Canceled,
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskError::Panicked(message) => write!(f, "the task panicked: {message}"),
            TaskError::Canceled => f.write_str("the task was canceled"),
        }
    }
}

impl std::error::Error for TaskError {}

impl From<TaskError> for std::io::Error {
    fn from(error: TaskError) -> Self {
        std::io::Error::other(error)
    }
}

/// A task as its runtime keeps it.
pub(super) struct Spawned {
    hub: Arc<Hub>,
    state: State,
    slot: u32,
    /// Taken out while it is polled.
    body: Mutex<Option<Boxed>>,
}

type Boxed = Pin<Box<dyn Work + Send>>;

/// A task as its owner keeps it.
struct Owned<T> {
    spawned: Arc<Spawned>,
    outcome: Outcome<T>,
}

/// Puts a future among the tasks of a runtime.
pub(super) fn spawn<T: Send + 'static>(
    hub: &Arc<Hub>,
    future: impl Future<Output = T> + Send + 'static,
) -> Task<T> {
    let (body, outcome) = Body::new(future);
    let body: Boxed = Box::pin(body);
    let spawned = hub.keep(|slot| Spawned {
        hub: Arc::clone(hub),
        state: State::scheduled(),
        slot,
        body: Mutex::new(Some(body)),
    });
    Task {
        of: spawned.map(|spawned| {
            here::schedule(Arc::clone(&spawned));
            Owned { spawned, outcome }
        }),
    }
}

impl Runnable for Spawned {
    fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    fn run(self: Arc<Self>) {
        let body = lock(&self.body).take();
        let Some(mut body) = body else { return };
        if !self.state.begin() {
            self.cancel(body);
            return;
        }
        let waker = Waker::from(Arc::clone(&self));
        if body
            .as_mut()
            .poll(&mut Polling::from_waker(&waker))
            .is_ready()
        {
            self.end(body);
            return;
        }
        // Nobody looks for it before it may be polled again.
        *lock(&self.body) = Some(body);
        if self.state.pause() {
            if self.hub.is_over() {
                self.shut();
            } else {
                here::schedule(self);
            }
        }
    }
}

impl Spawned {
    /// Drops the future; it is not polled any more.
    pub(super) fn shut(&self) {
        let body = lock(&self.body).take();
        if let Some(body) = body {
            self.cancel(body);
        }
    }

    fn cancel(&self, mut body: Boxed) {
        body.as_mut().cancel();
        self.end(body);
    }

    fn end(&self, body: Boxed) {
        body.over();
        self.state.finish();
        self.hub.let_go(self.slot);
    }
}

impl Wake for Spawned {
    fn wake(self: Arc<Self>) {
        if self.state.wake() {
            here::schedule(self);
        }
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.wake() {
            here::schedule(Arc::clone(self));
        }
    }
}

impl<T> Task<T> {
    /// Lets it go on without anybody waiting for it. Its outcome is dropped,
    /// and a panic of it is told to nobody.
    ///
    /// ```
    /// # let mut events = ferrevent::EventLoop::new()?;
    /// events.runtime().spawn(async { println!("by itself") }).detach();
    /// events.run()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn detach(mut self) {
        self.of = None;
    }

    /// Asks for its end, and keeps waiting for it: the outcome is
    /// [`TaskError::Canceled`], or what it came to before it heard of it.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, asynch::TaskError};
    /// # let mut events = EventLoop::new()?;
    /// # let runtime = events.runtime();
    /// let task = runtime.spawn(std::future::pending::<()>());
    /// task.cancel();
    /// assert_eq!(events.block_on(task)?, Err(TaskError::Canceled));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn cancel(&self) {
        if let Some(of) = &self.of
            && of.spawned.state.cancel()
        {
            here::schedule(Arc::clone(&of.spawned));
        }
    }

    /// Whether it is over.
    ///
    /// ```
    /// # let mut events = ferrevent::EventLoop::new()?;
    /// let task = events.runtime().spawn(async {});
    /// assert!(!task.is_done());
    /// events.run()?;
    /// assert!(task.is_done());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn is_done(&self) -> bool {
        self.of.as_ref().is_none_or(|of| of.outcome.is_known())
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, polling: &mut Polling<'_>) -> Poll<Self::Output> {
        match &mut self.of {
            Some(of) => of.outcome.poll_outcome(polling),
            None => Poll::Ready(Err(TaskError::Canceled)),
        }
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("done", &self.is_done())
            .finish()
    }
}
