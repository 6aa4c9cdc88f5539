//! Tasks, and what is known of them elsewhere.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as Polling, Poll, Wake, Waker};

use super::here::{self, Runnable};
use super::hub::Hub;
use super::lock;
use super::state::State;
use crate::host::panic_message;

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
    of: Option<Arc<dyn Joined<T>>>,
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

/// What a runtime does with the tasks that it keeps.
pub(super) trait AnyTask: Runnable {
    /// Drops the future; it is not polled any more.
    fn shut(&self);
}

/// What the owner of a task sees of it.
trait Joined<T>: Send + Sync {
    fn poll_join(&self, polling: &mut Polling<'_>) -> Poll<Result<T, TaskError>>;
    fn cancel(self: Arc<Self>);
    fn is_done(&self) -> bool;
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

struct Spawned<T> {
    hub: Arc<Hub>,
    state: State,
    slot: u32,
    body: Mutex<Body<T>>,
}

struct Body<T> {
    /// Taken out while it is polled.
    future: Option<Boxed<T>>,
    outcome: Option<Result<T, TaskError>>,
    /// The outcome was given out.
    given: bool,
    joiner: Option<Waker>,
}

/// Puts a future among the tasks of a runtime.
pub(super) fn spawn<T: Send + 'static>(
    hub: &Arc<Hub>,
    future: impl Future<Output = T> + Send + 'static,
) -> Task<T> {
    let future: Boxed<T> = Box::pin(future);
    let task = hub.keep(|slot| {
        Arc::new(Spawned {
            hub: Arc::clone(hub),
            state: State::scheduled(),
            slot,
            body: Mutex::new(Body {
                future: Some(future),
                outcome: None,
                given: false,
                joiner: None,
            }),
        })
    });
    if let Some(task) = &task {
        here::schedule(Arc::clone(task));
    }
    Task {
        of: task.map(|it| it as Arc<dyn Joined<T>>),
    }
}

impl<T: Send + 'static> Runnable for Spawned<T> {
    fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    fn run(self: Arc<Self>) {
        let future = lock(&self.body).future.take();
        let Some(future) = future else { return };
        if !self.state.begin() {
            self.end(future, Err(TaskError::Canceled));
            return;
        }
        let waker = Waker::from(Arc::clone(&self));
        let (future, outcome) = poll_once(future, &mut Polling::from_waker(&waker));
        match outcome {
            Poll::Ready(outcome) => self.end(future, outcome),
            Poll::Pending => {
                // Nobody looks for it before it may be polled again.
                lock(&self.body).future = Some(future);
                if self.state.pause() {
                    if self.hub.is_over() {
                        self.shut();
                    } else {
                        here::schedule(self);
                    }
                }
            }
        }
    }
}

/// Polls a future once; what panics is its outcome.
pub(super) fn poll_once<F, T>(
    mut future: Pin<Box<F>>,
    polling: &mut Polling<'_>,
) -> (Pin<Box<F>>, Poll<Result<T, TaskError>>)
where
    F: Future<Output = T> + ?Sized,
{
    let outcome = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(polling)));
    let outcome = match outcome {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Err(payload) => Poll::Ready(Err(TaskError::Panicked(panic_message(&*payload)))),
    };
    (future, outcome)
}

/// Drops what is another's, who may panic in it.
pub(super) fn let_go<T>(value: T) -> Result<(), TaskError> {
    catch_unwind(AssertUnwindSafe(|| drop(value)))
        .map_err(|payload| TaskError::Panicked(panic_message(&*payload)))
}

impl<T: Send + 'static> Spawned<T> {
    fn end(&self, future: Boxed<T>, outcome: Result<T, TaskError>) {
        // What it holds is let go of before anybody hears of its end.
        let dropped = let_go(future);
        self.state.finish();
        let joiner = {
            let mut body = lock(&self.body);
            body.outcome = Some(outcome.and_then(|value| dropped.map(|()| value)));
            body.joiner.take()
        };
        self.hub.let_go(self.slot);
        if let Some(joiner) = joiner {
            joiner.wake();
        }
    }
}

impl<T: Send + 'static> AnyTask for Spawned<T> {
    fn shut(&self) {
        let future = lock(&self.body).future.take();
        if let Some(future) = future {
            self.end(future, Err(TaskError::Canceled));
        }
    }
}

impl<T: Send + 'static> Wake for Spawned<T> {
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

impl<T: Send + 'static> Joined<T> for Spawned<T> {
    fn poll_join(&self, polling: &mut Polling<'_>) -> Poll<Result<T, TaskError>> {
        let mut body = lock(&self.body);
        match body.outcome.take() {
            Some(outcome) => {
                body.given = true;
                Poll::Ready(outcome)
            }
            None if body.given => Poll::Ready(Err(TaskError::Canceled)),
            None => {
                super::remember(&mut body.joiner, polling.waker());
                Poll::Pending
            }
        }
    }

    fn cancel(self: Arc<Self>) {
        if self.state.cancel() {
            here::schedule(self);
        }
    }

    fn is_done(&self) -> bool {
        self.state.is_done()
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
        if let Some(of) = &self.of {
            Arc::clone(of).cancel();
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
        self.of.as_ref().is_none_or(|of| of.is_done())
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, polling: &mut Polling<'_>) -> Poll<Self::Output> {
        match &self.of {
            Some(of) => of.poll_join(polling),
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
