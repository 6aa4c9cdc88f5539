//! A task's future, in one piece with the way to whoever waits for its
//! outcome.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context as Polling, Poll};

use pin_project_lite::pin_project;

use super::ask::{Answer, Answering, question};
use super::task::TaskError;
use crate::host::panic_message;

/// What a runtime does with a future that it knows nothing else of.
pub(super) trait Work {
    /// Polls it once. When it is over what it holds is let go of, and then its
    /// owner is told of its outcome.
    fn poll(self: Pin<&mut Self>, polling: &mut Polling<'_>) -> Poll<()>;

    /// Drops the future; its owner hears that it was canceled.
    fn cancel(self: Pin<&mut Self>);
}

/// What the owner of a task waits for.
pub(super) type Outcome<T> = Answer<Result<T, TaskError>>;

impl<T> Outcome<T> {
    /// What it came to; for a second time, that there is nothing.
    pub(super) fn poll_outcome(&mut self, polling: &mut Polling<'_>) -> Poll<Result<T, TaskError>> {
        Pin::new(self)
            .poll(polling)
            .map(|outcome| outcome.unwrap_or(Err(TaskError::Canceled)))
    }
}

pin_project! {
    /// A future and its owner, as long as there is one: the room for an outcome
    /// that nobody waits for is given back.
    pub(super) struct Body<F: Future> {
        owner: Option<Answering<Result<F::Output, TaskError>>>,
        // None once it is over.
        #[pin]
        future: Option<F>,
    }
}

impl<F: Future> Body<F> {
    pub(super) fn new(future: F) -> (Self, Outcome<F::Output>) {
        let (answering, outcome) = question();
        let body = Self {
            owner: Some(answering),
            future: Some(future),
        };
        (body, outcome)
    }

    fn end(self: Pin<&mut Self>, outcome: Result<F::Output, TaskError>) {
        let mut this = self.project();
        let dropped = guarded(|| this.future.set(None));
        let owner = this.owner.take();
        // Nobody hears of an outcome that panics as nobody takes it.
        let _ = guarded(|| {
            let outcome = outcome.and_then(|value| dropped.map(|()| value));
            if let Some(owner) = owner {
                owner.answer(outcome);
            }
        });
    }
}

impl<F: Future> Work for Body<F> {
    fn poll(mut self: Pin<&mut Self>, polling: &mut Polling<'_>) -> Poll<()> {
        let this = self.as_mut().project();
        if this.owner.as_ref().is_some_and(Answering::is_for_nobody) {
            *this.owner = None;
        }
        let Some(future) = this.future.as_pin_mut() else {
            return Poll::Ready(());
        };
        let mut polled = Poll::Pending;
        let outcome = match guarded(|| polled = future.poll(polling)) {
            Ok(()) => match polled {
                Poll::Ready(value) => Ok(value),
                Poll::Pending => return Poll::Pending,
            },
            Err(panicked) => Err(panicked),
        };
        self.end(outcome);
        Poll::Ready(())
    }

    fn cancel(self: Pin<&mut Self>) {
        self.end(Err(TaskError::Canceled));
    }
}

/// Calls what is another's; a panic of it is an error.
fn guarded(work: impl FnOnce()) -> Result<(), TaskError> {
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|payload| TaskError::Panicked(panic_message(&*payload)))
}
