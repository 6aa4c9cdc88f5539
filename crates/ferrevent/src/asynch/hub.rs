//! What all that belongs to one runtime shares.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use ferrevent_core::timer::Tick;
use ferrevent_os::Token;
use ferrevent_os::sys::Sys;

use super::accepting::Accepting;
use super::blocking::Blocking;
use super::here;
use super::local;
use super::task::Spawned;
use super::timers::Timers;
use crate::host::Context;
use crate::mailbox::{Command, Mailbox, Message};
use crate::{ListenerId, Trouble};

/// A loop or a pool, as its tasks know it.
pub(crate) struct Hub {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) sys: Sys,
    pub(super) is_pool: bool,
    pub(super) timers: Mutex<Timers>,
    pub(super) blocking: Blocking,
    tasks: Mutex<Tasks>,
    listeners: Mutex<HashMap<ListenerId, Weak<Accepting>>>,
    /// Tasks that go on, and the futures that somebody waits for outside.
    alive: AtomicUsize,
    over: AtomicBool,
}

/// The tasks that are `Send`, to be ended with their runtime.
#[derive(Default)]
struct Tasks {
    slots: Vec<Option<Arc<Spawned>>>,
    free: Vec<u32>,
}

impl Hub {
    pub(crate) fn new(mailbox: Arc<Mailbox>, sys: Sys, is_pool: bool) -> Arc<Self> {
        let now = sys.now();
        Arc::new(Self {
            mailbox,
            sys,
            is_pool,
            timers: Mutex::new(Timers::new(now)),
            blocking: Blocking::default(),
            tasks: Mutex::default(),
            listeners: Mutex::default(),
            alive: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        })
    }

    pub(super) fn now(&self) -> Tick {
        self.sys.now()
    }

    /// Whether something goes on that nothing registered stands for.
    pub(crate) fn is_busy(&self) -> bool {
        self.alive.load(Ordering::Acquire) > 0
    }

    pub(super) fn begins(&self) {
        self.alive.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn ends(&self) {
        self.alive.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Has a stream's handler look at what its task wants of it.
    pub(super) fn nudge(&self, token: Token) {
        // A loop that is gone has told its streams so.
        let _ = self.mailbox.send(Message::Command(token, Command::Nudge));
    }

    /// Keeps a task until its end; `None` when the runtime is over.
    pub(super) fn keep(&self, make: impl FnOnce(u32) -> Spawned) -> Option<Arc<Spawned>> {
        let mut tasks = self.lock();
        if self.is_over() {
            return None;
        }
        let slot = match tasks.free.pop() {
            Some(slot) => slot,
            None => {
                let slot = u32::try_from(tasks.slots.len()).ok()?;
                tasks.slots.push(None);
                slot
            }
        };
        let task = Arc::new(make(slot));
        tasks.slots[slot as usize] = Some(Arc::clone(&task));
        drop(tasks);
        self.begins();
        Some(task)
    }

    /// A task has ended.
    pub(super) fn let_go(&self, slot: u32) {
        let mut tasks = self.lock();
        let gone = tasks.slots.get_mut(slot as usize).and_then(Option::take);
        if gone.is_some() {
            tasks.free.push(slot);
            if tasks.free.len() == tasks.slots.len() {
                // Many have come and gone.
                *tasks = Tasks::default();
            }
            drop(tasks);
            self.ends();
        }
        drop(gone);
    }

    /// A listener is one of tasks.
    pub(super) fn listens(&self, id: ListenerId, accepting: &Arc<Accepting>) {
        super::lock(&self.listeners).insert(id, Arc::downgrade(accepting));
    }

    pub(super) fn listens_no_more(&self, id: ListenerId) {
        super::lock(&self.listeners).remove(&id);
    }

    /// What a listener of tasks is to be told of.
    pub(crate) fn heed(&self, trouble: &Trouble) {
        let Trouble::ListenerFailed(id, error) = trouble else {
            return;
        };
        let accepting = super::lock(&self.listeners).remove(id);
        if let Some(accepting) = accepting.and_then(|it| it.upgrade()) {
            accepting.failed(error);
        }
    }

    /// Ends every task: their futures are dropped, here.
    pub(crate) fn shut_down(self: &Arc<Self>) {
        let tasks = {
            let mut tasks = self.lock();
            self.over.store(true, Ordering::Release);
            std::mem::take(&mut *tasks)
        };
        for task in tasks.slots.into_iter().flatten() {
            task.shut();
            self.ends();
        }
        local::shut_down(self);
        let wakers = super::lock(&self.timers).clear();
        drop(wakers);
        self.blocking.close();
        here::forget(self);
    }

    fn lock(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has work done on the loop, or by a worker.
    pub(super) fn run(
        &self,
        work: impl FnOnce(&mut Context<'_>) + Send + 'static,
    ) -> io::Result<()> {
        self.mailbox
            .send(Message::Run(Box::new(work)))
            .map_err(|_| gone())
    }
}

/// What is answered where a runtime is over.
pub(super) fn gone() -> io::Error {
    io::Error::new(
        io::ErrorKind::NotConnected,
        "the loop or pool of this runtime is no more",
    )
}

/// The same error, for one more who is to be told.
pub(super) fn again(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
