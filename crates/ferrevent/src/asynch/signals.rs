//! Signals as futures.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use super::hub::{Hub, gone};
use super::{Runtime, here, lock, remember};
use crate::SignalId;

/// A signal that tasks wait for. Dropped, it is listened to no more.
///
/// ```
/// # async fn example(runtime: ferrevent::asynch::Runtime) -> std::io::Result<()> {
/// const SIGTERM: i32 = 15;
/// let mut terminate = runtime.signal(SIGTERM).await?;
/// terminate.recv().await?;
/// println!("going");
/// # Ok(())
/// # }
/// ```
pub struct Signals {
    of: Arc<Came>,
    id: SignalId,
}

struct Came {
    hub: Arc<Hub>,
    state: Mutex<(u32, Option<Waker>)>,
}

impl Runtime {
    /// Listens for a signal, as [`Context::signal`](crate::Context::signal).
    ///
    /// # Errors
    /// As there.
    ///
    /// ```
    /// # async fn example(runtime: ferrevent::asynch::Runtime) -> std::io::Result<()> {
    /// let mut interrupt = runtime.signal(2).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn signal(&self, signal: i32) -> io::Result<Signals> {
        let of = Arc::new(Came {
            hub: Arc::clone(self.hub()),
            state: Mutex::default(),
        });
        let came = Arc::clone(&of);
        let id = self
            .hub()
            .ask(move |context| {
                context.signal(signal, move |context, times| {
                    let waker = {
                        let mut state = lock(&came.state);
                        state.0 = state.0.saturating_add(times);
                        state.1.take()
                    };
                    here::work(&came.hub, context, || {
                        if let Some(waker) = waker {
                            waker.wake();
                        }
                    });
                })
            })
            .await??;
        Ok(Signals { of, id })
    }
}

impl Signals {
    /// Waits until it came, and tells how often since it was asked last.
    /// Cancel-safe.
    ///
    /// # Errors
    /// Only when the loop or pool is no more.
    ///
    /// ```
    /// # async fn example(runtime: ferrevent::asynch::Runtime) -> std::io::Result<()> {
    /// let mut hangup = runtime.signal(1).await?;
    /// println!("{} times", hangup.recv().await?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn recv(&mut self) -> io::Result<u32> {
        poll_fn(|polling| {
            let mut state = lock(&self.of.state);
            if state.0 > 0 {
                return Poll::Ready(Ok(std::mem::take(&mut state.0)));
            }
            if self.of.hub.is_over() {
                return Poll::Ready(Err(gone()));
            }
            remember(&mut state.1, polling.waker());
            Poll::Pending
        })
        .await
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let id = self.id;
        // A loop that is gone listens no more.
        let _ = self.of.hub.run(move |context| {
            context.remove_signal(id);
        });
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signals").finish_non_exhaustive()
    }
}
