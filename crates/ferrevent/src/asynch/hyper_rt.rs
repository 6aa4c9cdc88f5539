//! What hyper asks of a runtime: streams, timers, somebody who polls.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context as Polling, Poll};
use std::time::{Duration, Instant};

use hyper::rt;

use super::{AsyncStream, LocalExecutor, Runtime, Sleep};

impl rt::Read for AsyncStream {
    fn poll_read(
        self: Pin<&mut Self>,
        polling: &mut Polling<'_>,
        mut into: rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let room = into.remaining();
        self.poll_read_chunks(polling, room, |bytes| into.put_slice(bytes))
    }
}

impl rt::Write for AsyncStream {
    fn poll_write(
        self: Pin<&mut Self>,
        polling: &mut Polling<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_from(polling, from)
    }

    fn poll_flush(self: Pin<&mut Self>, polling: &mut Polling<'_>) -> Poll<io::Result<()>> {
        self.cell().poll_flush(polling, false)
    }

    fn poll_shutdown(self: Pin<&mut Self>, polling: &mut Polling<'_>) -> Poll<io::Result<()>> {
        self.cell().poll_close(polling)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        polling: &mut Polling<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_slices(polling, from)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

impl rt::Sleep for Sleep {}

impl rt::Timer for Runtime {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Runtime::sleep(self, duration))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Runtime::sleep_until(self, deadline))
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn rt::Sleep>>, deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<Sleep>() {
            Some(ours) => {
                let deadline = self.hub().sys.clock().tick_of(deadline);
                ours.get_mut().reset_to(deadline);
            }
            None => *sleep = rt::Timer::sleep_until(self, deadline),
        }
    }
}

/// Tasks that hyper starts go on by themselves, as far as their connection
/// does.
impl<F> rt::Executor<F> for Runtime
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.spawn(future).detach();
    }
}

/// The same, for connections whose futures are not `Send`.
impl<F> rt::Executor<F> for LocalExecutor
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        self.spawn(future).detach();
    }
}
