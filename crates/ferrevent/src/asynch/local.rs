//! Tasks that are not `Send`: they stay on the thread of their loop, in a
//! table of that thread; what wakes them from elsewhere knows only their key.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as Polling, Poll, Wake, Waker};

use super::body::{Body, Outcome, Work};
use super::here::{self, Runnable};
use super::hub::Hub;
use super::state::State;
use super::task::TaskError;

thread_local! {
    /// A table for each loop of this thread.
    static TABLES: RefCell<Vec<Table>> = const { RefCell::new(Vec::new()) };
}

/// The tasks of one loop.
struct Table {
    hub: Arc<Hub>,
    slots: Vec<Slot>,
    free: Vec<u32>,
}

struct Slot {
    generation: u32,
    /// Taken out while it is polled.
    body: Option<Boxed>,
}

type Boxed = Pin<Box<dyn Work>>;

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
    of: Option<Owned<T>>,
    /// Not `Send`.
    here: PhantomData<Rc<()>>,
}

/// What wakes such a task.
struct Key {
    hub: Arc<Hub>,
    state: State,
    slot: u32,
    generation: u32,
}

/// A task as its owner keeps it.
struct Owned<T> {
    key: Arc<Key>,
    outcome: Outcome<T>,
}

/// Puts a future among those of this thread, which must be that of the loop.
pub(super) fn spawn<T: 'static>(
    hub: &Arc<Hub>,
    future: impl Future<Output = T> + 'static,
) -> LocalTask<T> {
    let of = if hub.is_over() {
        None
    } else {
        let (body, outcome) = Body::new(future);
        keep(hub, Box::pin(body)).map(|key| {
            hub.begins();
            here::schedule(Arc::clone(&key));
            Owned { key, outcome }
        })
    };
    LocalTask {
        of,
        here: PhantomData,
    }
}

fn keep(hub: &Arc<Hub>, body: Boxed) -> Option<Arc<Key>> {
    TABLES.with(|tables| {
        let mut tables = tables.borrow_mut();
        let known = tables.iter().position(|it| Arc::ptr_eq(&it.hub, hub));
        let at = known.unwrap_or_else(|| {
            tables.push(Table {
                hub: Arc::clone(hub),
                slots: Vec::new(),
                free: Vec::new(),
            });
            tables.len() - 1
        });
        let table = tables.get_mut(at)?;
        let slot = match table.free.pop() {
            Some(slot) => slot,
            None => {
                let slot = u32::try_from(table.slots.len()).ok()?;
                table.slots.push(Slot {
                    generation: 0,
                    body: None,
                });
                slot
            }
        };
        let entry = table.slots.get_mut(slot as usize)?;
        entry.body = Some(body);
        Some(Arc::new(Key {
            hub: Arc::clone(hub),
            state: State::scheduled(),
            slot,
            generation: entry.generation,
        }))
    })
}

/// Ends the tasks of a loop that is going.
pub(super) fn shut_down(hub: &Arc<Hub>) {
    let table = TABLES.try_with(|tables| {
        let mut tables = tables.borrow_mut();
        let at = tables.iter().position(|it| Arc::ptr_eq(&it.hub, hub))?;
        Some(tables.swap_remove(at))
    });
    let Ok(Some(table)) = table else { return };
    for mut body in table.slots.into_iter().filter_map(|slot| slot.body) {
        body.as_mut().cancel();
        body.over();
        hub.ends();
    }
}

/// So many places are kept when nobody uses them.
const KEPT: usize = 64;

impl Table {
    fn slot(&mut self, key: &Key) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        (slot.generation == key.generation).then_some(slot)
    }

    fn forget(&mut self, key: &Key) -> bool {
        let Some(slot) = self.slot(key) else {
            return false;
        };
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.slot);
        if self.free.len() == self.slots.len() && self.slots.len() > KEPT {
            // Generations begin anew: no key of old may match one of these.
            let oldest = self.slots.iter().map(|slot| slot.generation).max();
            self.free = vec![0];
            self.slots = vec![Slot {
                generation: oldest.unwrap_or(0).wrapping_add(1),
                body: None,
            }];
        }
        true
    }
}

impl Key {
    /// Works on its table; one that has ended with its loop has none any more.
    fn with<R>(&self, work: impl FnOnce(&mut Table) -> R) -> Option<R> {
        let result = TABLES.try_with(|tables| {
            let mut tables = tables.borrow_mut();
            let table = tables
                .iter_mut()
                .find(|it| Arc::ptr_eq(&it.hub, &self.hub))?;
            Some(work(table))
        });
        result.ok().flatten()
    }

    fn end(&self, body: Boxed) {
        body.over();
        self.state.finish();
        if self.with(|table| table.forget(self)) == Some(true) {
            self.hub.ends();
        }
    }
}

impl Runnable for Key {
    fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    fn run(self: Arc<Self>) {
        let body = self.with(|table| table.slot(&self)?.body.take());
        let Some(mut body) = body.flatten() else {
            return;
        };
        if !self.state.begin() {
            body.as_mut().cancel();
            self.end(body);
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
        self.with(|table| {
            if let Some(slot) = table.slot(&self) {
                slot.body = Some(body);
            }
        });
        if self.state.pause() {
            here::schedule(self);
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
            && of.key.state.cancel()
        {
            here::schedule(Arc::clone(&of.key));
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
        self.of.as_ref().is_none_or(|of| of.outcome.is_known())
    }
}

impl<T> Future for LocalTask<T> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, polling: &mut Polling<'_>) -> Poll<Self::Output> {
        match &mut self.of {
            Some(of) => of.outcome.poll_outcome(polling),
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
