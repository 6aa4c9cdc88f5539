//! What tasks and timers cost, for any runtime: a line for each figure, in
//! nanoseconds. Shared by the peers that have tasks.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

const TASKS: u32 = 200_000;
const TIMERS: u32 = 1_000_000;
const DATAGRAMS: u32 = 50_000;

/// Spawns tasks that are polled, wake themselves, are polled again, and are
/// waited for; makes timers that are asked once and dropped; has datagrams of
/// 64 bytes go there and back between two sockets.
pub(crate) async fn measure<J: Future, S: Future<Output = ()>>(
    spawn: impl Fn(YieldOnce) -> J,
    sleep: impl Fn(Duration) -> S,
    datagrams: impl AsyncFn(u32) -> io::Result<()>,
) -> io::Result<()> {
    for warm in [true, false] {
        let begun = Instant::now();
        for _ in 0..TASKS {
            spawn(YieldOnce(false)).await;
        }
        print("spawn", begun, TASKS, warm);
        let begun = Instant::now();
        let count = Rc::new(Cell::new(0));
        for number in 0..TIMERS {
            let mut sleep = pin!(sleep(Duration::from_millis(
                u64::from(number % 10_000) + 60_000
            )));
            poll_fn(|polling| {
                if sleep.as_mut().poll(polling).is_pending() {
                    count.set(count.get() + 1);
                }
                Poll::Ready(())
            })
            .await;
        }
        assert_eq!(count.get(), TIMERS, "they are not due");
        print("timer", begun, TIMERS, warm);
        let begun = Instant::now();
        datagrams(DATAGRAMS).await?;
        print("datagram", begun, DATAGRAMS, warm);
    }
    Ok(())
}

fn print(name: &str, begun: Instant, count: u32, warm: bool) {
    if !warm {
        let each = begun.elapsed().as_nanos() as f64 / f64::from(count);
        println!("{name}\t{each:.1}");
    }
}

/// Ready when it is polled for the second time; it wakes itself for that.
pub(crate) struct YieldOnce(bool);

impl Future for YieldOnce {
    type Output = ();

    fn poll(mut self: std::pin::Pin<&mut Self>, polling: &mut std::task::Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        polling.waker().wake_by_ref();
        Poll::Pending
    }
}
