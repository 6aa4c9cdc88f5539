//! Questions that are answered elsewhere: by the loop, by a worker, by a
//! thread of its own.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as Polling, Poll, Waker};

use super::hub::{Hub, gone};
use super::{lock, remember};
use crate::host::Context;

/// What will be known of an answer.
pub(super) struct Answer<T>(Arc<Mutex<Slot<T>>>);

/// Whoever answers; dropped without that, there will be no answer.
pub(super) struct Answering<T>(Arc<Mutex<Slot<T>>>);

struct Slot<T> {
    answer: Option<T>,
    waker: Option<Waker>,
    over: bool,
}

pub(super) fn question<T>() -> (Answering<T>, Answer<T>) {
    let slot = Arc::new(Mutex::new(Slot {
        answer: None,
        waker: None,
        over: false,
    }));
    (Answering(Arc::clone(&slot)), Answer(slot))
}

impl<T> Answering<T> {
    pub(super) fn answer(self, answer: T) {
        self.keep(answer);
    }

    /// An answer that is not yet to be known.
    pub(super) fn keep(&self, answer: T) {
        lock(&self.0).answer = Some(answer);
    }

    pub(super) fn kept(&self) -> Option<T> {
        lock(&self.0).answer.take()
    }

    /// Whether nobody waits for the answer any more.
    #[inline]
    pub(super) fn is_for_nobody(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl<T> Answer<T> {
    /// Whether there is an answer, or will be none.
    pub(super) fn is_known(&self) -> bool {
        lock(&self.0).over
    }
}

impl<T> Drop for Answering<T> {
    fn drop(&mut self) {
        let waker = {
            let mut slot = lock(&self.0);
            slot.over = true;
            slot.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Future for Answer<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, polling: &mut Polling<'_>) -> Poll<Option<T>> {
        let mut slot = lock(&self.0);
        if slot.over {
            return Poll::Ready(slot.answer.take());
        }
        remember(&mut slot.waker, polling.waker());
        Poll::Pending
    }
}

impl Hub {
    /// Asks the loop, or a worker.
    pub(super) async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Context<'_>) -> T + Send + 'static,
    ) -> io::Result<T> {
        let (answering, answer) = question();
        let hub = Arc::clone(self);
        self.run(move |context| {
            let answer = work(context);
            super::here::work(&hub, context, || answering.answer(answer));
        })?;
        answer.await.ok_or_else(gone)
    }
}
