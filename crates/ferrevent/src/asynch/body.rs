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
    /// Polls it once. When it is ready its outcome is kept, until it is
    /// [over](Self::over).
    fn poll(self: Pin<&mut Self>, polling: &mut Polling<'_>) -> Poll<()>;

    /// Its outcome is that it was canceled.
    fn cancel(self: Pin<&mut Self>);

    /// Lets go of what the future holds, and then tells its owner.
    fn over(self: Pin<Box<Self>>);
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
        #[pin]
        future: F,
    }
}

impl<F: Future> Body<F> {
    pub(super) fn new(future: F) -> (Self, Outcome<F::Output>) {
        let (answering, outcome) = question();
        let body = Self {
            owner: Some(answering),
            future,
        };
        (body, outcome)
    }
}

impl<F: Future> Work for Body<F> {
    fn poll(self: Pin<&mut Self>, polling: &mut Polling<'_>) -> Poll<()> {
        let this = self.project();
        if this.owner.as_ref().is_some_and(Answering::is_for_nobody) {
            *this.owner = None;
        }
        let mut polled = Poll::Pending;
        let outcome = match guarded(|| polled = this.future.poll(polling)) {
            Ok(()) => match polled {
                Poll::Ready(value) => Ok(value),
                Poll::Pending => return Poll::Pending,
            },
            Err(panicked) => Err(panicked),
        };
        // Nobody hears of an outcome that panics as nobody takes it.
        let _ = guarded(|| {
            if let Some(owner) = this.owner {
                owner.keep(outcome);
            }
        });
        Poll::Ready(())
    }

    fn cancel(self: Pin<&mut Self>) {
        if let Some(owner) = self.project().owner {
            owner.keep(Err(TaskError::Canceled));
        }
    }

    fn over(mut self: Pin<Box<Self>>) {
        let owner = self.as_mut().project().owner.take();
        let dropped = guarded(|| drop(self));
        let Some(owner) = owner else { return };
        let _ = guarded(|| {
            let outcome = owner.kept().unwrap_or(Err(TaskError::Canceled));
            owner.answer(outcome.and_then(|value| dropped.map(|()| value)));
        });
    }
}

/// Calls what is another's; a panic of it is an error.
fn guarded(work: impl FnOnce()) -> Result<(), TaskError> {
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|payload| TaskError::Panicked(panic_message(&*payload)))
}
