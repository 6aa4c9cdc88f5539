//! What a program waits for at its outermost: `block_on`.

use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as Polling, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use super::hub::Hub;
use super::{LocalExecutor, LocalTask, Runnable, Runtime, here, local};
use crate::mailbox::Message;
use crate::{EventLoop, Pool};

/// Wakes the future that a loop's thread waits for.
struct LoopWaker {
    hub: Arc<Hub>,
    woken: AtomicBool,
}

impl Wake for LoopWaker {
    fn wake(self: Arc<Self>) {
        // In a turn of its loop the flag is enough: it is looked at next.
        if !self.woken.swap(true, Ordering::AcqRel) && !here::is_current(&self.hub) {
            let hub = Arc::clone(&self.hub);
            // A loop that is gone waits for nothing.
            let _ = hub.mailbox.send(Message::Poll(self));
        }
    }
}

impl Runnable for LoopWaker {
    fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    fn run(self: Arc<Self>) {}
}

/// Something goes on, so that the loop or pool does too.
struct Busy(Arc<Hub>);

impl Busy {
    fn new(hub: &Arc<Hub>) -> Self {
        hub.begins();
        Self(Arc::clone(hub))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.ends();
    }
}

impl EventLoop {
    /// This loop, for tasks.
    ///
    /// ```
    /// let mut events = ferrevent::EventLoop::new()?;
    /// let runtime = events.runtime();
    /// events.block_on(async move { runtime.spawn(async {}).await })?.unwrap();
    /// # std::io::Result::Ok(())
    /// ```
    pub fn runtime(&mut self) -> Runtime {
        Runtime::of(&self.hub())
    }

    /// Runs the loop until this future is ready. Tasks, streams and handlers
    /// go on meanwhile; afterwards they rest until the loop is run again. A
    /// panic of the future is the caller's.
    ///
    /// # Errors
    /// As [`run`](Self::run); the future is dropped then. `Interrupted` when
    /// [`stop`](crate::Context::stop) was called before it was ready.
    ///
    /// ```
    /// let mut events = ferrevent::EventLoop::new()?;
    /// assert_eq!(events.block_on(async { 1 + 1 })?, 2);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn block_on<F: Future>(&mut self, future: F) -> io::Result<F::Output> {
        let hub = self.hub();
        let _busy = Busy::new(&hub);
        let waker = Arc::new(LoopWaker {
            hub: Arc::clone(&hub),
            woken: AtomicBool::new(true),
        });
        let as_waker = Waker::from(Arc::clone(&waker));
        let mut polling = Polling::from_waker(&as_waker);
        let mut future = pin!(future);
        loop {
            // Tasks that it waits for may have woken it at once.
            for _ in 0..POLLS {
                if !waker.woken.swap(false, Ordering::AcqRel) {
                    break;
                }
                let mut context = self.context();
                let polled = here::work(&hub, &mut context, || future.as_mut().poll(&mut polling));
                if let Poll::Ready(output) = polled {
                    // What it has written leaves.
                    self.poll()?;
                    return Ok(output);
                }
            }
            if !self.turn_for_tasks(waker.woken.load(Ordering::Acquire))? {
                return Err(stopped());
            }
        }
    }

    /// What spawns futures that are not `Send`, for its tasks to keep.
    ///
    /// ```
    /// let mut events = ferrevent::EventLoop::new()?;
    /// let tasks = events.local_executor();
    /// events.block_on(async move { tasks.spawn(async {}).await })?.unwrap();
    /// # std::io::Result::Ok(())
    /// ```
    pub fn local_executor(&mut self) -> LocalExecutor {
        LocalExecutor::of(self.hub())
    }

    /// As [`Runtime::spawn`], for a future that is not `Send`.
    ///
    /// ```
    /// let mut events = ferrevent::EventLoop::new()?;
    /// let ours = std::rc::Rc::new(5);
    /// events.spawn_local(async move { println!("{ours}") }).detach();
    /// events.run()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn spawn_local<T: 'static>(
        &mut self,
        future: impl Future<Output = T> + 'static,
    ) -> LocalTask<T> {
        local::spawn(&self.hub(), future)
    }
}

/// So often at most before the kernel is asked again.
const POLLS: u32 = 32;

fn stopped() -> io::Error {
    io::Error::new(
        io::ErrorKind::Interrupted,
        "the loop or pool was stopped before the future was ready",
    )
}

/// Wakes the thread that waits for a pool.
struct ThreadWaker {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for ThreadWaker {
    fn wake(self: Arc<Self>) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.thread.unpark();
        }
    }
}

impl Pool {
    /// This pool, for tasks.
    ///
    /// ```
    /// let pool = ferrevent::Pool::new(2)?;
    /// let runtime = pool.runtime();
    /// let sum = pool.block_on(async move { runtime.spawn(async { 1 + 1 }).await })?;
    /// assert_eq!(sum, Ok(2));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn runtime(&self) -> Runtime {
        Runtime::of(&self.hub())
    }

    /// Runs the pool, on threads of its own, until this future is ready; the
    /// calling thread polls it, and nothing else. A panic of the future is the
    /// caller's.
    ///
    /// # Errors
    /// When threads have run out, or waiting for the kernel failed.
    /// `Interrupted` when the pool was stopped before it was ready.
    ///
    /// ```
    /// let pool = ferrevent::Pool::new(2)?;
    /// assert_eq!(pool.block_on(async { 1 + 1 })?, 2);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn block_on<F: Future>(&self, future: F) -> io::Result<F::Output> {
        let hub = self.hub();
        let busy = Busy::new(&hub);
        let waker = Arc::new(ThreadWaker {
            thread: thread::current(),
            woken: AtomicBool::new(true),
        });
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            let started = thread::Builder::new().name("workers".to_owned());
            let workers = started.spawn_scoped(scope, || {
                let outcome = self.run();
                ended.store(true, Ordering::Release);
                waker.thread.unpark();
                outcome
            })?;
            let polled = catch_unwind(AssertUnwindSafe(|| {
                self.wait_for(&hub, &waker, &ended, future)
            }));
            drop(busy);
            self.context().stop(true);
            let ran = workers
                .join()
                .unwrap_or_else(|payload| resume_unwind(payload));
            self.forget_stop();
            here::forget(&hub);
            match polled {
                Ok(Some(output)) => Ok(output),
                Ok(None) => ran.and_then(|()| Err(stopped())),
                Err(payload) => resume_unwind(payload),
            }
        })
    }

    fn wait_for<F: Future>(
        &self,
        hub: &Arc<Hub>,
        waker: &Arc<ThreadWaker>,
        ended: &AtomicBool,
        future: F,
    ) -> Option<F::Output> {
        let as_waker = Waker::from(Arc::clone(waker));
        let mut polling = Polling::from_waker(&as_waker);
        let mut future = pin!(future);
        loop {
            if waker.woken.swap(false, Ordering::AcqRel) {
                let mut context = self.context();
                let polled = here::work(hub, &mut context, || future.as_mut().poll(&mut polling));
                if let Poll::Ready(output) = polled {
                    // What it has written leaves.
                    self.settle(SETTLING);
                    return Some(output);
                }
            }
            // Who polls may have been woken from a sleep of its own meanwhile.
            while !waker.woken.load(Ordering::Acquire) {
                if ended.load(Ordering::Acquire) {
                    return None;
                }
                thread::park();
            }
        }
    }
}

/// So long a pool goes on with what is ready at the end.
const SETTLING: Duration = Duration::from_secs(1);
