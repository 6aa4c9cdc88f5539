//! Tasks and time.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ferrevent::EventLoop;
use ferrevent::asynch::{Elapsed, Runtime, TaskError};

use crate::everywhere::everywhere;

/// Counts when it is dropped.
struct Counts(Arc<AtomicUsize>);

impl Drop for Counts {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_task_has_an_outcome() {
    everywhere(|runtime| async move {
        let tasks: Vec<_> = (0..100)
            .map(|number| runtime.spawn(async move { number * 2 }))
            .collect();
        for (number, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await, Ok(number * 2));
        }
        Ok(())
    });
}

#[test]
fn a_panic_is_the_tasks_own() {
    everywhere(|runtime| async move {
        let task = runtime.spawn(async { panic!("on purpose") });
        let fine = runtime.spawn(async { 1 });
        assert_eq!(
            task.await,
            Err::<(), _>(TaskError::Panicked("on purpose".to_owned()))
        );
        assert_eq!(fine.await, Ok(1));
        Ok(())
    });
}

#[test]
fn a_canceled_task_drops_what_it_has() {
    everywhere(|runtime| async move {
        let dropped = Arc::new(AtomicUsize::new(0));
        let holds = |dropped: &Arc<AtomicUsize>| {
            let held = Counts(Arc::clone(dropped));
            async move {
                let _held = held;
                pending::<()>().await;
            }
        };
        let task = runtime.spawn(holds(&dropped));
        task.cancel();
        assert_eq!(task.await, Err(TaskError::Canceled));
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
        drop(runtime.spawn(holds(&dropped)));
        while dropped.load(Ordering::SeqCst) < 2 {
            runtime.sleep(Duration::from_micros(100)).await;
        }
        // This one ends with its loop or pool.
        runtime.spawn(holds(&dropped)).detach();
        Ok(())
    });
}

#[test]
fn a_loop_that_goes_drops_its_tasks() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let mut events = EventLoop::new().unwrap();
    let runtime = events.runtime();
    let (one, other) = (Counts(Arc::clone(&dropped)), Counts(Arc::clone(&dropped)));
    let sleeping = runtime.clone();
    let task = runtime.spawn(async move {
        let _one = one;
        sleeping.sleep(Duration::from_secs(3600)).await;
    });
    let local = events.spawn_local(async move {
        let _other = other;
        pending::<()>().await;
    });
    events.poll().unwrap();
    assert_eq!(dropped.load(Ordering::SeqCst), 0);
    drop(events);
    assert_eq!(dropped.load(Ordering::SeqCst), 2);
    assert!(task.is_done() && local.is_done());
    let late = runtime.spawn(async {});
    assert!(late.is_done());
    let outcome = EventLoop::new().unwrap().block_on(late).unwrap();
    assert_eq!(outcome, Err(TaskError::Canceled));
}

#[test]
fn tasks_wake_one_another() {
    everywhere(|runtime| async move {
        const TIMES: usize = 1000;
        let (to, from) = futures_channel();
        let (back, answers) = futures_channel();
        let echo = runtime.spawn(async move {
            for _ in 0..TIMES {
                back.send(from.recv().await);
            }
        });
        for number in 0..TIMES {
            to.send(number);
            assert_eq!(answers.recv().await, number);
        }
        echo.await?;
        Ok(())
    });
}

/// As small a channel as can be.
struct Sender<T>(Arc<std::sync::Mutex<(std::collections::VecDeque<T>, Option<std::task::Waker>)>>);
struct Receiver<T>(
    Arc<std::sync::Mutex<(std::collections::VecDeque<T>, Option<std::task::Waker>)>>,
);

fn futures_channel<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(std::sync::Mutex::new((Default::default(), None)));
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

impl<T> Sender<T> {
    fn send(&self, value: T) {
        let waker = {
            let mut state = self.0.lock().unwrap();
            state.0.push_back(value);
            state.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Receiver<T> {
    async fn recv(&self) -> T {
        std::future::poll_fn(|polling| {
            let mut state = self.0.lock().unwrap();
            match state.0.pop_front() {
                Some(value) => std::task::Poll::Ready(value),
                None => {
                    state.1 = Some(polling.waker().clone());
                    std::task::Poll::Pending
                }
            }
        })
        .await
    }
}

#[test]
fn time_passes() {
    everywhere(|runtime| async move {
        let begun = Instant::now();
        let sleeps: Vec<_> = [30, 10, 20, 1]
            .map(|millis| runtime.sleep(Duration::from_millis(millis)))
            .into_iter()
            .collect();
        for sleep in sleeps {
            sleep.await;
        }
        assert!(begun.elapsed() >= Duration::from_millis(30));
        let mut interval = runtime.interval(Duration::from_millis(2));
        let begun = Instant::now();
        for _ in 0..3 {
            interval.tick().await;
        }
        assert!(begun.elapsed() >= Duration::from_millis(6));
        let outcome = runtime
            .timeout(Duration::from_millis(1), pending::<()>())
            .await;
        assert_eq!(outcome, Err(Elapsed));
        let outcome = runtime
            .timeout(Duration::from_secs(3600), async { 1 })
            .await;
        assert_eq!(outcome, Ok(1));
        drop(runtime.sleep(Duration::from_secs(3600)));
        Ok(())
    });
}

#[test]
fn work_that_blocks_holds_up_nobody() {
    everywhere(|runtime| async move {
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let blocked = runtime.clone();
        let task = runtime
            .spawn(async move { blocked.spawn_blocking(move || wait.recv().is_err()).await });
        runtime.sleep(Duration::from_millis(1)).await;
        drop(release);
        assert_eq!(task.await?, Ok(true));
        let outcome = runtime.spawn_blocking(|| panic!("in a thread")).await;
        assert_eq!(
            outcome,
            Err::<(), _>(TaskError::Panicked("in a thread".to_owned()))
        );
        Ok(())
    });
}

#[test]
fn what_is_not_send_stays_where_it_is() {
    let mut events = EventLoop::new().unwrap();
    let runtime = events.runtime();
    let outcome = events.block_on(async move {
        let ours = std::rc::Rc::new(std::cell::Cell::new(0));
        let same = std::rc::Rc::clone(&ours);
        let tasks = runtime.clone();
        let task = runtime.spawn_local(async move {
            tasks.sleep(Duration::from_millis(1)).await;
            same.set(7);
        })?;
        task.await?;
        let panics = runtime.spawn_local(async { panic!("here") })?;
        assert_eq!(
            panics.await,
            Err::<(), _>(TaskError::Panicked("here".to_owned()))
        );
        io::Result::Ok(ours.get())
    });
    assert_eq!(outcome.unwrap().unwrap(), 7);
}

#[test]
fn only_a_task_of_the_loop_spawns_there() {
    let mut events = EventLoop::new().unwrap();
    let runtime = events.runtime();
    let refused = runtime.spawn_local(async {}).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::Unsupported);
    let pool = ferrevent::Pool::new(1).unwrap();
    let on_pool = pool.runtime();
    let refused = pool.block_on(async move { on_pool.spawn_local(async {}).is_err() });
    assert!(refused.unwrap());
    assert!(Runtime::current().is_none());
}
