//! Readiness of any descriptor as a future.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex};
use std::task::{Context as Polling, Poll, Waker};

use crate::sys::fd::AsFd;

use super::hub::{Hub, gone};
use super::{Runtime, here, lock};
use crate::engine::Registration;
use crate::host::Context;
use crate::{Readiness, WatchId};

/// A descriptor whose readiness tasks wait for: a socket, a pipe, a terminal.
/// It must not block; nothing is asked of the kernel while nobody waits.
///
/// ```
/// use ferrevent::Readiness;
/// # let mut events = ferrevent::EventLoop::new()?;
/// # let runtime = events.runtime();
/// let (near, far) = std::os::unix::net::UnixDatagram::pair()?;
/// near.set_nonblocking(true)?;
/// far.send(b"hello")?;
/// events.block_on(async move {
///     let watched = runtime.watch(near);
///     let mut bytes = [0; 10];
///     let len = watched.io(Readiness::READ, |near| near.recv(&mut bytes)).await?;
///     assert_eq!(len, 5);
///     std::io::Result::Ok(())
/// })??;
/// # std::io::Result::Ok(())
/// ```
pub struct Watched<T: AsFd + Send + Sync + 'static> {
    of: Arc<Inner<T>>,
}

struct Inner<T> {
    hub: Arc<Hub>,
    source: T,
    sides: Mutex<[Side; 2]>,
}

/// Reading, or writing.
#[derive(Default)]
struct Side {
    id: Option<WatchId>,
    armed: bool,
    ready: bool,
    failure: Option<io::Error>,
    wakers: Vec<Waker>,
    over: bool,
}

const SIDES: [Readiness; 2] = [Readiness::READ, Readiness::WRITE];

impl Runtime {
    /// Takes a descriptor to wait for its readiness.
    ///
    /// ```
    /// # use ferrevent::Readiness;
    /// # async fn example(runtime: ferrevent::asynch::Runtime) -> std::io::Result<()> {
    /// let watched = runtime.watch(std::io::stdin());
    /// watched.ready(Readiness::READ).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn watch<T: AsFd + Send + Sync + 'static>(&self, source: T) -> Watched<T> {
        Watched {
            of: Arc::new(Inner {
                hub: Arc::clone(self.hub()),
                source,
                sides: Mutex::default(),
            }),
        }
    }
}

impl<T: AsFd + Send + Sync + 'static> Watched<T> {
    /// The descriptor's owner.
    ///
    /// ```
    /// # async fn example(runtime: ferrevent::asynch::Runtime) {
    /// let watched = runtime.watch(std::io::stdin());
    /// println!("{:?}", watched.source());
    /// # }
    /// ```
    pub fn source(&self) -> &T {
        &self.of.source
    }

    /// Waits until it is ready for one of these, and tells for which. What
    /// was ready may not be so any more: whoever reads must be content with
    /// `WouldBlock`. Cancel-safe.
    ///
    /// # Errors
    /// `InvalidInput` for anything but reading and writing; else as
    /// [`Context::watch`](crate::Context::watch).
    ///
    /// ```
    /// # use ferrevent::Readiness;
    /// # async fn example(runtime: ferrevent::asynch::Runtime) -> std::io::Result<()> {
    /// let watched = runtime.watch(std::io::stdin());
    /// watched.ready(Readiness::READ).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn ready(&self, interest: Readiness) -> io::Result<Readiness> {
        if !SIDES.iter().any(|side| interest.any(*side)) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a descriptor is waited for to read or to write",
            ));
        }
        poll_fn(|polling| {
            let mut ready = Readiness::NONE;
            for (number, side) in SIDES.into_iter().enumerate() {
                if !interest.any(side) {
                    continue;
                }
                if let Poll::Ready(outcome) = self.poll_side(polling, number) {
                    outcome?;
                    ready = ready.with(side);
                }
            }
            if ready.is_none() {
                Poll::Pending
            } else {
                Poll::Ready(Ok(ready))
            }
        })
        .await
    }

    /// Tries something, and waits and tries again while it would block.
    /// Cancel-safe: it is tried and done, or not done.
    ///
    /// # Errors
    /// Those of what is tried, and of [`ready`](Self::ready).
    ///
    /// ```
    /// # use ferrevent::Readiness;
    /// # async fn example(runtime: ferrevent::asynch::Runtime) -> std::io::Result<()> {
    /// use std::io::Read;
    /// let watched = runtime.watch(std::io::stdin());
    /// let mut line = [0; 80];
    /// watched.io(Readiness::READ, |input| input.lock().read(&mut line)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn io<R>(
        &self,
        interest: Readiness,
        mut work: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            match work(&self.of.source) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.ready(interest).await?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }

    fn poll_side(&self, polling: &Polling<'_>, number: usize) -> Poll<io::Result<()>> {
        let arm = {
            let mut sides = lock(&self.of.sides);
            let side = &mut sides[number];
            if let Some(error) = side.failure.take() {
                return Poll::Ready(Err(error));
            }
            if std::mem::take(&mut side.ready) {
                return Poll::Ready(Ok(()));
            }
            if self.of.hub.is_over() {
                return Poll::Ready(Err(gone()));
            }
            if !side.wakers.iter().any(|it| it.will_wake(polling.waker())) {
                side.wakers.push(polling.waker().clone());
            }
            !std::mem::replace(&mut side.armed, true)
        };
        if arm {
            let of = Arc::clone(&self.of);
            if let Err(error) = self.of.hub.run(move |context| of.arm(context, number)) {
                return Poll::Ready(Err(error));
            }
        }
        Poll::Pending
    }
}

impl<T: AsFd + Send + Sync + 'static> Inner<T> {
    /// Asks the kernel, once.
    fn arm(self: &Arc<Self>, context: &mut Context<'_>, number: usize) {
        let outcome = {
            let mut sides = lock(&self.sides);
            let side = &mut sides[number];
            if side.over {
                return;
            }
            match side.id {
                Some(id) => context.arm_watch(id),
                None => {
                    let of = Arc::clone(self);
                    let once = Registration {
                        persistent: false,
                        ..Registration::new(SIDES[number])
                    };
                    let made = context.watch(self.source.as_fd(), once, move |context, _| {
                        of.happened(context, number, None);
                    });
                    made.map(|id| side.id = Some(id))
                }
            }
        };
        if let Err(error) = outcome {
            self.happened(context, number, Some(error));
        }
    }

    fn happened(&self, context: &mut Context<'_>, number: usize, failure: Option<io::Error>) {
        let wakers = {
            let mut sides = lock(&self.sides);
            let side = &mut sides[number];
            side.armed = false;
            side.ready = failure.is_none();
            side.failure = failure;
            std::mem::take(&mut side.wakers)
        };
        here::work(&self.hub, context, || {
            for waker in wakers {
                waker.wake();
            }
        });
    }
}

impl<T: AsFd + Send + Sync + 'static> Drop for Watched<T> {
    fn drop(&mut self) {
        let mut ids = [None, None];
        {
            let mut sides = lock(&self.of.sides);
            for (side, id) in sides.iter_mut().zip(&mut ids) {
                side.over = true;
                *id = side.id.take();
            }
        }
        if ids.iter().all(Option::is_none) {
            return;
        }
        // The descriptor stays open until the kernel has forgotten it.
        let of = Arc::clone(&self.of);
        let _ = self.of.hub.run(move |context| {
            for id in ids.into_iter().flatten() {
                context.remove_watch(id);
            }
            drop(of);
        });
    }
}

impl<T: AsFd + Send + Sync + fmt::Debug + 'static> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched")
            .field("source", &self.of.source)
            .finish_non_exhaustive()
    }
}
