//! What this thread does for a runtime while it calls into user code: tasks
//! that are woken here are polled here, by the thread that made them ready,
//! before it goes on. So a task is polled in the same callback that brought
//! its bytes, and what it writes leaves with the same send.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use ferrevent_os::Token;

use super::hub::Hub;
use crate::host::Context;
use crate::mailbox::Message;

/// Something that a runtime is to do: to poll a task.
pub(crate) trait Runnable: Send + Sync {
    fn hub(&self) -> &Arc<Hub>;
    fn run(self: Arc<Self>);
}

/// So many polls at most before the streams have their turn again.
const BUDGET: usize = 64;
/// On a pool, others get what is more than this.
const SHARE: usize = 4;

thread_local! {
    static HERE: RefCell<Here> = const { RefCell::new(Here::NOTHING) };
}

struct Here {
    hub: Option<Arc<Hub>>,
    /// Whether the hub is worked for at this moment.
    active: bool,
    ready: VecDeque<Arc<dyn Runnable>>,
    /// Streams that a task has written to, or let go of.
    touched: Vec<Token>,
    /// A timer is due before the one that is armed.
    timers: bool,
}

impl Here {
    const NOTHING: Self = Self {
        hub: None,
        active: false,
        ready: VecDeque::new(),
        touched: Vec::new(),
        timers: false,
    };

    #[inline]
    fn is(&self, hub: &Arc<Hub>) -> bool {
        self.active && self.hub.as_ref().is_some_and(|it| Arc::ptr_eq(it, hub))
    }
}

/// Calls user code for a runtime, polls what becomes ready by that, and does
/// what it wants of the engine.
#[inline]
pub(crate) fn work<R>(hub: &Arc<Hub>, context: &mut Context<'_>, first: impl FnOnce() -> R) -> R {
    let here = Entered::new(hub);
    let result = first();
    poll_ready(hub);
    let wanted = here.leave();
    wanted.settle(hub, context);
    result
}

/// Polls a task, in answer to a message.
pub(crate) fn run(context: &mut Context<'_>, task: Arc<dyn Runnable>) {
    let hub = Arc::clone(task.hub());
    work(&hub, context, || task.run());
}

/// Has a task polled: here, if this thread works for its runtime.
#[inline]
pub(super) fn schedule<T: Runnable + 'static>(task: Arc<T>) {
    let mut task = Some(task);
    let _ = HERE.try_with(|here| {
        let mut here = here.borrow_mut();
        if task.as_ref().is_some_and(|task| here.is(task.hub())) {
            here.ready
                .extend(task.take().map(|it| it as Arc<dyn Runnable>));
        }
    });
    if let Some(task) = task {
        by_mail(task);
    }
}

/// Has a stream's handler look at what its task wants of it.
#[inline]
pub(super) fn touch(hub: &Arc<Hub>, token: Token) {
    let here = HERE.try_with(|here| {
        let mut here = here.borrow_mut();
        let is = here.is(hub);
        if is {
            here.touched.push(token);
        }
        is
    });
    if !here.unwrap_or(false) {
        hub.nudge(token);
    }
}

/// A timer is due sooner than what is armed: returns whether this thread will
/// see to it.
#[inline]
pub(super) fn note_timers(hub: &Arc<Hub>) -> bool {
    let here = HERE.try_with(|here| {
        let mut here = here.borrow_mut();
        let is = here.is(hub);
        here.timers |= is;
        is
    });
    here.unwrap_or(false)
}

/// The runtime that this thread works for.
pub(super) fn current() -> Option<Arc<Hub>> {
    HERE.try_with(|here| {
        let here = here.borrow();
        here.active.then(|| here.hub.clone())?
    })
    .ok()?
}

pub(super) fn is_current(hub: &Arc<Hub>) -> bool {
    HERE.try_with(|here| here.borrow().is(hub)).unwrap_or(false)
}

/// Forgets a runtime that is no more.
pub(super) fn forget(hub: &Arc<Hub>) {
    let forgotten = HERE.try_with(|here| {
        let mut here = here.borrow_mut();
        let same = here.hub.as_ref().is_some_and(|it| Arc::ptr_eq(it, hub));
        if same && !here.active {
            here.hub.take()
        } else {
            None
        }
    });
    drop(forgotten);
}

fn by_mail(task: Arc<dyn Runnable>) {
    let hub = Arc::clone(task.hub());
    // A runtime that is gone polls nothing any more.
    let _ = hub.mailbox.send(Message::Poll(task));
}

fn poll_ready(hub: &Arc<Hub>) {
    for _ in 0..BUDGET {
        let (task, excess) = HERE.with(|here| {
            let mut here = here.borrow_mut();
            let task = here.ready.pop_front();
            let excess =
                (hub.is_pool && here.ready.len() > SHARE).then(|| here.ready.split_off(SHARE));
            (task, excess)
        });
        for task in excess.into_iter().flatten() {
            by_mail(task);
        }
        match task {
            Some(task) => task.run(),
            None => return,
        }
    }
}

/// This thread works for a hub; what it did before is kept meanwhile.
struct Entered {
    outer: Option<Box<Here>>,
    left: bool,
}

/// What tasks want of the engine.
struct Wanted {
    touched: Vec<Token>,
    timers: bool,
}

impl Entered {
    #[inline]
    fn new(hub: &Arc<Hub>) -> Self {
        HERE.with(|here| {
            let mut here = here.borrow_mut();
            let outer = here
                .active
                .then(|| Box::new(std::mem::replace(&mut *here, Here::NOTHING)));
            if !here.hub.as_ref().is_some_and(|it| Arc::ptr_eq(it, hub)) {
                here.hub = Some(Arc::clone(hub));
            }
            here.active = true;
            Self { outer, left: false }
        })
    }

    #[inline]
    fn leave(mut self) -> Wanted {
        self.left = true;
        leave(self.outer.take())
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // What panicked here is told where it is caught; nothing is lost.
        if !self.left {
            let hub = current();
            let wanted = leave(self.outer.take());
            if let Some(hub) = hub {
                for token in wanted.touched {
                    hub.nudge(token);
                }
                if wanted.timers {
                    hub.arm_timers_by_mail();
                }
            }
        }
    }
}

fn leave(outer: Option<Box<Here>>) -> Wanted {
    let (wanted, rest, old, gone) = HERE.with(|here| {
        let mut here = here.borrow_mut();
        let wanted = Wanted {
            touched: std::mem::take(&mut here.touched),
            timers: std::mem::take(&mut here.timers),
        };
        here.active = false;
        // One that is over has told its streams so, and comes no more.
        let gone = here.hub.take_if(|hub| hub.is_over());
        let rest = (!here.ready.is_empty()).then(|| std::mem::take(&mut here.ready));
        let old = outer.map(|outer| std::mem::replace(&mut *here, *outer));
        (wanted, rest, old, gone)
    });
    drop((old, gone));
    for task in rest.into_iter().flatten() {
        by_mail(task);
    }
    wanted
}

impl Wanted {
    #[inline]
    fn settle(mut self, hub: &Arc<Hub>, context: &mut Context<'_>) {
        for token in self.touched.drain(..) {
            context.nudge(token);
        }
        if self.timers {
            hub.arm_timers(context);
        }
        if self.touched.capacity() > 0 {
            // Its room is used again.
            HERE.with(|here| {
                let mut here = here.borrow_mut();
                if here.touched.is_empty() {
                    here.touched = self.touched;
                }
            });
        }
    }
}
