//! What is bounded, what is fair, and whose a failure is.

use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use ferrevent::asynch::TaskError;
use ferrevent::{Address, EventLoop, Pool};
use futures_util::io::{AsyncReadExt, AsyncWriteExt};

use crate::common::local_pair;
use crate::everywhere::everywhere;

/// A close is not ready before everything is sent.
#[test]
fn a_close_waits_for_the_rest() {
    everywhere(|runtime| async move {
        let (near, far) = local_pair();
        let mut writer = runtime.adopt(near.into()).await?;
        // More than the kernel takes while nobody reads.
        let wait = Duration::from_millis(50);
        while let Ok(written) = runtime.timeout(wait, writer.write(&[1; 10_000])).await {
            written?;
        }
        let close = runtime.timeout(Duration::from_millis(5), writer.close());
        // Windows may take more a little later.
        assert!(
            close.await.is_err() || cfg!(windows),
            "it is ready before the rest was sent"
        );
        let mut reader = runtime.adopt(far.into()).await?;
        let read = async {
            let mut read = Vec::new();
            reader.read_to_end(&mut read).await
        };
        let (read, closed) = futures_util::future::join(read, writer.close()).await;
        assert!(read? > 0);
        closed
    });
}

/// What was lost on its way was not flushed; what came before can be read.
#[cfg(unix)]
#[test]
fn a_close_tells_of_what_was_lost() {
    use ferrevent::asynch::Runtime;
    use ferrevent::sys::{Call, Fault, FaultPlan, Rule, errno};
    let plan = || {
        let broken = Fault::Errno(errno::EPIPE);
        FaultPlan::new(1, vec![Rule::nth(Call::Send, 0, broken)])
    };
    let test = |runtime: Runtime, at_once: bool| async move {
        let (near, far) = local_pair();
        io::Write::write_all(&mut &far, b"hello")?;
        let mut stream = runtime.adopt(near.into()).await?;
        stream.write_all(b"into the void").await?;
        if !at_once {
            stream.readable().await?;
            runtime.sleep(Duration::from_millis(1)).await;
        }
        let closed = stream.close().await.unwrap_err();
        assert_eq!(closed.kind(), io::ErrorKind::BrokenPipe);
        let more = stream.write(b"more").await.unwrap_err();
        assert_eq!(more.kind(), io::ErrorKind::BrokenPipe);
        let mut came = [0; 5];
        stream.read_exact(&mut came).await?;
        assert_eq!(&came, b"hello");
        drop(far);
        Ok(())
    };
    for at_once in [true, false] {
        crate::everywhere::with_faults(plan, |runtime| test(runtime, at_once));
    }
}

/// While there is more to read the stream goes on, but nothing is sent any more.
#[cfg(unix)]
#[test]
fn a_close_tells_of_what_was_lost_before_all_is_read() {
    use ferrevent::sys::{Call, Fault, FaultPlan, Rule, errno};
    let plan = || {
        let broken = Fault::Errno(errno::EPIPE);
        FaultPlan::new(1, vec![Rule::nth(Call::Send, 0, broken)])
    };
    crate::everywhere::with_faults(plan, |runtime| async move {
        let (near, far) = local_pair();
        far.set_nonblocking(true)?;
        let mut stream = runtime.adopt(near.into()).await?;
        let (mut sent, mut full) = (0, 0);
        while full < 20 {
            match io::Write::write(&mut &far, &[7; 10_000]) {
                Ok(len) => (sent, full) = (sent + len, 0),
                Err(_) => {
                    full += 1;
                    runtime.sleep(Duration::from_millis(1)).await;
                }
            }
        }
        stream.write_all(b"into the void").await?;
        let closed = stream.close().await.unwrap_err();
        assert_eq!(closed.kind(), io::ErrorKind::BrokenPipe);
        let (mut came, mut bytes) = (0, vec![0; 100_000]);
        while let Ok(len) = stream.read(&mut bytes).await {
            if len == 0 {
                break;
            }
            came += len;
        }
        assert_eq!(came, sent);
        drop(far);
        Ok(())
    });
}

/// A task that is always ready stops neither streams nor timers.
#[test]
fn a_busy_task_stops_nobody() {
    everywhere(|runtime| async move {
        let (near, far) = local_pair();
        let mut one = runtime.adopt(near.into()).await?;
        let mut other = runtime.adopt(far.into()).await?;
        let enough = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&enough);
        let busy = runtime.spawn(poll_fn(move |polling| {
            if ends.load(Ordering::Relaxed) {
                return Poll::Ready(());
            }
            polling.waker().wake_by_ref();
            Poll::Pending
        }));
        for number in 0..3 {
            runtime.sleep(Duration::from_micros(100)).await;
            one.write_all(&[number]).await?;
            one.flush().await?;
            let mut came = [0xff];
            other.read_exact(&mut came).await?;
            assert_eq!(came, [number]);
        }
        enough.store(true, Ordering::Relaxed);
        busy.await?;
        Ok(())
    });
}

/// More connections than wait to be taken: the rest waits in the kernel.
#[test]
fn connections_wait_for_whoever_takes_them() {
    const MANY: usize = 70;
    everywhere(|runtime| async move {
        let listener = runtime.listen(&"127.0.0.1:0".parse().unwrap()).await?;
        let address: Address = listener.local_addr().unwrap().into();
        let mut clients = Vec::new();
        for number in 0..MANY {
            let mut client = runtime.connect(&address).await?;
            client.write_all(&[number as u8]).await?;
            client.flush().await?;
            clients.push(client);
        }
        let mut seen = Vec::new();
        for _ in 0..MANY {
            let mut stream = listener.accept().await?;
            let mut number = [0];
            stream.read_exact(&mut number).await?;
            seen.push(number[0]);
        }
        seen.sort_unstable();
        assert!(seen.iter().copied().eq(0..MANY as u8));
        drop(clients);
        Ok(())
    });
}

/// Panics when it is dropped.
struct Fragile;

impl Drop for Fragile {
    fn drop(&mut self) {
        panic!("as it was dropped");
    }
}

#[test]
fn a_panic_of_a_drop_is_the_tasks_own() {
    everywhere(|runtime| async move {
        let held = Fragile;
        let task = runtime.spawn(async move {
            let _held = held;
        });
        let panicked = TaskError::Panicked("as it was dropped".to_owned());
        assert_eq!(task.await, Err(panicked));
        // One that is canceled is canceled all the same.
        let held = Fragile;
        let task = runtime.spawn(async move {
            let _held = held;
            pending::<()>().await;
        });
        task.cancel();
        assert_eq!(task.await, Err(TaskError::Canceled));
        // Nobody takes this outcome.
        runtime.spawn(async { Fragile }).detach();
        let fine = runtime.spawn(async { 1 });
        assert_eq!(fine.await, Ok(1));
        Ok(())
    });
}

#[test]
fn a_late_interval_leaves_out_what_it_missed() {
    everywhere(|runtime| async move {
        const EVERY: Duration = Duration::from_millis(5);
        let mut interval = runtime.interval(EVERY);
        let begun = Instant::now();
        runtime.sleep(10 * EVERY).await;
        // Ready at once, and then at the next whole distance only.
        interval.tick().await;
        interval.tick().await;
        interval.tick().await;
        let passed = begun.elapsed();
        assert!(passed >= 12 * EVERY, "{passed:?}");
        Ok(())
    });
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Sees what was dropped when it is woken.
struct Sees {
    dropped: Arc<AtomicUsize>,
    woken: AtomicUsize,
}

impl Wake for Sees {
    fn wake(self: Arc<Self>) {
        let seen = 1 + self.dropped.load(Ordering::SeqCst);
        self.woken.store(seen, Ordering::SeqCst);
    }
}

/// What a task holds is let go of before anybody hears of its end.
#[test]
fn a_task_lets_go_before_it_is_over() {
    struct Held(Arc<AtomicUsize>);
    impl Drop for Held {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    everywhere(|runtime| async move {
        for cancels in [false, true] {
            let dropped = Arc::new(AtomicUsize::new(0));
            let held = Held(Arc::clone(&dropped));
            let sleep = runtime.sleep(Duration::from_millis(1));
            let mut task = runtime.spawn(async move {
                let _held = held;
                sleep.await;
            });
            let sees = Arc::new(Sees {
                dropped,
                woken: AtomicUsize::new(0),
            });
            let waker = Waker::from(Arc::clone(&sees));
            let polled = Pin::new(&mut task).poll(&mut Context::from_waker(&waker));
            if cancels {
                task.cancel();
            }
            while polled.is_pending() && sees.woken.load(Ordering::SeqCst) == 0 {
                runtime.sleep(Duration::from_micros(200)).await;
            }
            if polled.is_pending() {
                assert_eq!(sees.woken.load(Ordering::SeqCst), 2);
            }
            assert!(task.is_done());
        }
        Ok(())
    });
}

/// Whoever gives up leaves nothing behind.
#[test]
fn a_future_that_is_dropped_forgets_who_waited() {
    everywhere(|runtime| async move {
        let (near, far) = local_pair();
        let stream = runtime.adopt(near.into()).await?;
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut polling = Context::from_waker(&waker);
        let mut sleep = runtime.sleep(Duration::from_secs(3600));
        assert!(Pin::new(&mut sleep).poll(&mut polling).is_pending());
        assert!(pin!(stream.readable()).poll(&mut polling).is_pending());
        assert_eq!(Arc::strong_count(&woken), 4);
        drop(sleep);
        assert_eq!(Arc::strong_count(&woken), 3);
        drop(stream);
        assert_eq!(Arc::strong_count(&woken), 2);
        runtime.sleep(Duration::from_millis(3)).await;
        assert_eq!(woken.0.load(Ordering::SeqCst), 0);
        drop(far);
        Ok(())
    });
}

#[test]
fn a_stop_ends_what_is_waited_for() {
    let mut events = EventLoop::new().unwrap();
    let remote = events.context().remote();
    let stopped = events.block_on(async move {
        remote.stop();
        pending::<()>().await;
    });
    assert_eq!(stopped.unwrap_err().kind(), io::ErrorKind::Interrupted);
    assert_eq!(events.block_on(async { 1 }).unwrap(), 1);
    let pool = Pool::new(2).unwrap();
    let remote = pool.context().remote();
    let stopped = pool.block_on(async move {
        remote.stop();
        pending::<()>().await;
    });
    assert_eq!(stopped.unwrap_err().kind(), io::ErrorKind::Interrupted);
    assert_eq!(pool.block_on(async { 1 }).unwrap(), 1);
}

/// hyper measures its time by ours.
#[test]
fn hyper_gives_up_on_a_slow_head() {
    use crate::protocols::hyper_server::answer;
    everywhere(|runtime| async move {
        let (near, far) = local_pair();
        let near = runtime.adopt(near.into()).await?;
        let mut far = runtime.adopt(far.into()).await?;
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(runtime.clone());
        http.header_read_timeout(Duration::from_millis(20));
        let service = hyper::service::service_fn(answer);
        let serve = runtime.spawn(async move { http.serve_connection(near, service).await });
        far.write_all(b"GET / HTTP/1.1\r\nhost: ").await?;
        far.flush().await?;
        let begun = Instant::now();
        let ended = serve.await?;
        assert!(begun.elapsed() >= Duration::from_millis(15));
        assert!(ended.unwrap_err().is_timeout());
        Ok(())
    });
}

/// A deadline that hyper moves is ours, or becomes ours.
#[test]
fn hyper_moves_a_deadline() {
    use hyper::rt::Timer;
    everywhere(|runtime| async move {
        let hour = Duration::from_secs(3600);
        let mut sleep = Timer::sleep(&runtime, hour);
        Timer::reset(
            &runtime,
            &mut sleep,
            Instant::now() + Duration::from_millis(1),
        );
        sleep.await;
        let begun = Instant::now();
        let mut sleep = Timer::sleep_until(&runtime, begun);
        let later = begun + Duration::from_millis(5);
        Timer::reset(&runtime, &mut sleep, later);
        sleep.await;
        assert!(Instant::now() >= later);
        Ok(())
    });
}
