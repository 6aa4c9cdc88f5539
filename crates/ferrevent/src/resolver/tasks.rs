//! Answers as futures.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as Polling, Poll, Waker};

use super::{Answer, Failure, Lookup, Question, ResolveError, Resolver};

impl Resolver {
    /// Asks, for a task. A future that is dropped before it is ready cancels its
    /// question. When the loop or pool is dropped before that, it ends with
    /// [`Failure::ShutDown`].
    ///
    /// ```
    /// use ferrevent::resolver::{Config, Families, Hosts, Question, Resolver};
    ///
    /// let mut events = ferrevent::EventLoop::new()?;
    /// let hosts = Hosts::parse(b"192.0.2.7 printer");
    /// let resolver = Resolver::new(&events.context(), Config::default(), hosts);
    /// let question = Question::addresses("printer", Families::V4);
    /// let answer = events.block_on(resolver.resolve(&question))??;
    /// assert_eq!(answer.addresses.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resolve(
        &self,
        question: &Question,
    ) -> impl Future<Output = Result<Answer, ResolveError>> + Send + Unpin + use<> {
        let slot = Arc::<Mutex<Slot>>::default();
        let promise = Promise {
            slot: Arc::clone(&slot),
            name: question.name().to_owned(),
        };
        let lookup = self.ask(question, move |_, outcome| promise.keep(outcome));
        Asked { slot, lookup }
    }
}

#[derive(Default)]
struct Slot {
    outcome: Option<Result<Answer, ResolveError>>,
    waker: Option<Waker>,
    taken: bool,
}

struct Asked {
    slot: Arc<Mutex<Slot>>,
    lookup: Lookup,
}

impl Future for Asked {
    type Output = Result<Answer, ResolveError>;

    fn poll(self: Pin<&mut Self>, polling: &mut Polling<'_>) -> Poll<Self::Output> {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outcome) = slot.outcome.take() {
            slot.taken = true;
            return Poll::Ready(outcome);
        }
        slot.waker = Some(polling.waker().clone());
        Poll::Pending
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let is_over = {
            let slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
            slot.taken || slot.outcome.is_some()
        };
        if !is_over {
            self.lookup.cancel();
        }
    }
}

/// An outcome will come: this one, or, when the loop is gone, none.
struct Promise {
    slot: Arc<Mutex<Slot>>,
    name: String,
}

impl Promise {
    fn keep(self, outcome: Result<Answer, ResolveError>) {
        self.settle(|| outcome);
    }

    fn settle(&self, outcome: impl FnOnce() -> Result<Answer, ResolveError>) {
        let waker = {
            let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
            if slot.outcome.is_none() && !slot.taken {
                slot.outcome = Some(outcome());
            }
            slot.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.settle(|| {
            Err(ResolveError {
                name: self.name.clone(),
                failure: Failure::ShutDown,
                server: None,
            })
        });
    }
}
