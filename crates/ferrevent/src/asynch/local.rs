//! Tasks that are not `Send`: they stay on the thread of their loop, in a
//! table of that thread; what wakes them from elsewhere knows only their key.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as Polling, Poll, Wake, Waker};

use super::here::{self, Runnable};
use super::hub::Hub;
use super::state::State;
use super::task::{TaskError, let_go, poll_once};

thread_local! {
    static TASKS: RefCell<Table> = const { RefCell::new(Table { slots: Vec::new(), free: Vec::new() }) };
}

struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

struct Slot {
    generation: u32,
    task: Option<Rc<dyn LocalRun>>,
}

/// As [`Task`](super::Task), for a future that is not `Send`.
///
/// ```
/// use std::rc::Rc;
///
/// let mut events = ferrevent::EventLoop::new()?;
/// let ours = Rc::new("not Send");
/// let task = events.spawn_local(async move { ours.len() });
/// assert_eq!(events.block_on(task)?, Ok(8));
/// # std::io::Result::Ok(())
/// ```
#[must_use = "a task that is dropped is canceled; detach it, or await it"]
pub struct LocalTask<T> {
    of: Option<Rc<dyn LocalJoined<T>>>,
}

/// What wakes such a task.
struct Key {
    hub: Arc<Hub>,
    state: State,
    slot: u32,
    generation: u32,
}

struct Spawned<T> {
    key: Arc<Key>,
    body: RefCell<Body<T>>,
}

struct Body<T> {
    future: Option<Pin<Box<dyn Future<Output = T>>>>,
    outcome: Option<Result<T, TaskError>>,
    given: bool,
    joiner: Option<Waker>,
}

trait LocalRun {
    fn key(&self) -> &Arc<Key>;
    fn run(&self);
    fn shut(&self);
}

trait LocalJoined<T> {
    fn poll_join(&self, polling: &mut Polling<'_>) -> Poll<Result<T, TaskError>>;
    fn key(&self) -> &Arc<Key>;
}

/// Puts a future among those of this thread, which must be that of the loop.
pub(super) fn spawn<T: 'static>(
    hub: &Arc<Hub>,
    future: impl Future<Output = T> + 'static,
) -> LocalTask<T> {
    if hub.is_over() {
        return LocalTask { of: None };
    }
    let future = Box::pin(future);
    let task = TASKS.with(|tasks| {
        let mut tasks = tasks.borrow_mut();
        let slot = match tasks.free.pop() {
            Some(slot) => slot,
            None => {
                let slot = u32::try_from(tasks.slots.len()).ok()?;
                tasks.slots.push(Slot {
                    generation: 0,
                    task: None,
                });
                slot
            }
        };
        let entry = tasks.slots.get_mut(slot as usize)?;
        let task = Rc::new(Spawned {
            key: Arc::new(Key {
                hub: Arc::clone(hub),
                state: State::scheduled(),
                slot,
                generation: entry.generation,
            }),
            body: RefCell::new(Body {
                future: Some(future),
                outcome: None,
                given: false,
                joiner: None,
            }),
        });
        entry.task = Some(Rc::clone(&task) as Rc<dyn LocalRun>);
        Some(task)
    });
    if let Some(task) = &task {
        hub.begins();
        here::schedule(Arc::clone(&task.key));
    }
    LocalTask {
        of: task.map(|it| it as Rc<dyn LocalJoined<T>>),
    }
}

/// Ends the tasks of a loop that is going.
pub(super) fn shut_down(hub: &Arc<Hub>) {
    loop {
        let next = TASKS.try_with(|tasks| {
            let tasks = tasks.borrow();
            tasks
                .slots
                .iter()
                .filter_map(|slot| slot.task.as_ref())
                .find(|task| Arc::ptr_eq(&task.key().hub, hub))
                .cloned()
        });
        let Ok(Some(task)) = next else { return };
        task.shut();
        forget(task.key());
    }
}

fn forget(key: &Key) {
    let gone = TASKS.try_with(|tasks| {
        let mut tasks = tasks.borrow_mut();
        let slot = tasks.slots.get_mut(key.slot as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let gone = slot.task.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        tasks.free.push(key.slot);
        if tasks.free.len() == tasks.slots.len() && tasks.slots.len() > KEPT {
            // Generations begin anew: no key of old may match one of these.
            let oldest = tasks.slots.iter().map(|slot| slot.generation).max();
            tasks.free = vec![0];
            tasks.slots = vec![Slot {
                generation: oldest.unwrap_or(0).wrapping_add(1),
                task: None,
            }];
        }
        Some(gone)
    });
    if let Ok(Some(gone)) = gone {
        key.hub.ends();
        drop(gone);
    }
}

/// So many places are kept when nobody uses them.
const KEPT: usize = 64;

impl Runnable for Key {
    fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    fn run(self: Arc<Self>) {
        let task = TASKS.with(|tasks| {
            let tasks = tasks.borrow();
            let slot = tasks.slots.get(self.slot as usize)?;
            let same = slot.generation == self.generation;
            slot.task.clone().filter(|_| same)
        });
        // One that has ended in its loop's end is not there any more.
        if let Some(task) = task {
            task.run();
        }
    }
}

impl Wake for Key {
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

impl<T> Spawned<T> {
    fn end(&self, outcome: Result<T, TaskError>) {
        self.key.state.finish();
        let joiner = {
            let mut body = self.body.borrow_mut();
            body.outcome = Some(outcome);
            body.joiner.take()
        };
        forget(&self.key);
        if let Some(joiner) = joiner {
            joiner.wake();
        }
    }
}

impl<T> LocalRun for Spawned<T> {
    fn key(&self) -> &Arc<Key> {
        &self.key
    }

    fn run(&self) {
        let future = self.body.borrow_mut().future.take();
        let Some(future) = future else { return };
        if !self.key.state.begin() {
            let outcome = let_go(future);
            self.end(outcome.and(Err(TaskError::Canceled)));
            return;
        }
        let waker = Waker::from(Arc::clone(&self.key));
        let (future, outcome) = poll_once(future, &mut Polling::from_waker(&waker));
        match outcome {
            Poll::Ready(outcome) => {
                let dropped = let_go(future);
                self.end(outcome.and_then(|value| dropped.map(|()| value)));
            }
            Poll::Pending => {
                self.body.borrow_mut().future = Some(future);
                if self.key.state.pause() {
                    here::schedule(Arc::clone(&self.key));
                }
            }
        }
    }

    fn shut(&self) {
        let future = self.body.borrow_mut().future.take();
        if let Some(future) = future {
            let outcome = let_go(future);
            self.end(outcome.and(Err(TaskError::Canceled)));
        }
    }
}

impl<T> LocalJoined<T> for Spawned<T> {
    fn poll_join(&self, polling: &mut Polling<'_>) -> Poll<Result<T, TaskError>> {
        let mut body = self.body.borrow_mut();
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

    fn key(&self) -> &Arc<Key> {
        &self.key
    }
}

impl<T> LocalTask<T> {
    /// As [`Task::detach`](super::Task::detach).
    ///
    /// ```
    /// # let mut events = ferrevent::EventLoop::new()?;
    /// events.spawn_local(async { println!("by itself") }).detach();
    /// events.run()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn detach(mut self) {
        self.of = None;
    }

    /// As [`Task::cancel`](super::Task::cancel).
    ///
    /// ```
    /// # use ferrevent::asynch::TaskError;
    /// # let mut events = ferrevent::EventLoop::new()?;
    /// let task = events.spawn_local(std::future::pending::<()>());
    /// task.cancel();
    /// assert_eq!(events.block_on(task)?, Err(TaskError::Canceled));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn cancel(&self) {
        if let Some(of) = &self.of
            && of.key().state.cancel()
        {
            here::schedule(Arc::clone(of.key()));
        }
    }

    /// As [`Task::is_done`](super::Task::is_done).
    ///
    /// ```
    /// # let mut events = ferrevent::EventLoop::new()?;
    /// let task = events.spawn_local(async {});
    /// assert!(!task.is_done());
    /// events.run()?;
    /// assert!(task.is_done());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn is_done(&self) -> bool {
        self.of.as_ref().is_none_or(|of| of.key().state.is_done())
    }
}

impl<T> Future for LocalTask<T> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, polling: &mut Polling<'_>) -> Poll<Self::Output> {
        match &self.of {
            Some(of) => of.poll_join(polling),
            None => Poll::Ready(Err(TaskError::Canceled)),
        }
    }
}

impl<T> Drop for LocalTask<T> {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl<T> fmt::Debug for LocalTask<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalTask")
            .field("done", &self.is_done())
            .finish()
    }
}
