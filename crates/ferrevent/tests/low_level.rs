//! The low-level interface: timers, readiness, signals, user events, hooks.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{local_pair, on_every_loop, until};
#[cfg(unix)]
use ferrevent::BackendKind;
use ferrevent::engine::Registration;
use ferrevent::sys::Clock;
use ferrevent::sys::fd::AsFd;
use ferrevent::{Builder, EventLoop, Readiness, Trouble};

const MS: Duration = Duration::from_millis(1);

fn simulated() -> (EventLoop, Clock) {
    let clock = Clock::simulated();
    let events = Builder::new().clock(clock.clone()).build().unwrap();
    (events, clock)
}

#[test]
fn timers_fire_in_order_and_never_early() {
    let (mut events, _) = simulated();
    let fired: Rc<RefCell<Vec<(u64, u32)>>> = Rc::default();
    // Deadlines with many ties, armed in a scrambled order.
    let mut expected = Vec::new();
    for index in 0..2000_u32 {
        let micros = u64::from(index.wrapping_mul(2_654_435_761) % 500);
        expected.push((micros, index));
        let fired = Rc::clone(&fired);
        events
            .timer(Duration::from_micros(micros), move |context| {
                assert!(context.now() >= Duration::from_micros(micros));
                fired.borrow_mut().push((micros, index));
            })
            .unwrap();
    }
    expected.sort();
    events.run_for(MS).unwrap();
    assert_eq!(*fired.borrow(), expected);
}

#[test]
fn a_removed_or_rearmed_timer_does_not_fire_in_the_turn_it_was_due() {
    let (mut events, _) = simulated();
    let fired: Rc<RefCell<Vec<&str>>> = Rc::default();
    let later = |name, fired: &Rc<RefCell<Vec<&'static str>>>| {
        let fired = Rc::clone(fired);
        move |_: &mut ferrevent::Context<'_>| fired.borrow_mut().push(name)
    };
    let victims: Rc<Cell<Option<_>>> = Rc::default();
    let own = Rc::clone(&victims);
    events
        .timer(MS, move |context| {
            let (removed, rearmed) = own.get().unwrap();
            assert!(context.remove_timer(removed));
            assert!(!context.remove_timer(removed));
            assert!(context.arm_timer(rearmed, 5 * MS));
        })
        .unwrap();
    let removed = events.timer(MS, later("removed", &fired)).unwrap();
    let rearmed = events.timer(MS, later("rearmed", &fired)).unwrap();
    events.timer(2 * MS, later("later", &fired)).unwrap();
    victims.set(Some((removed, rearmed)));
    events.run_for(10 * MS).unwrap();
    assert_eq!(*fired.borrow(), ["later", "rearmed"]);
}

#[test]
fn a_timer_that_is_not_armed_again_is_gone() {
    let (mut events, _) = simulated();
    let id: Rc<Cell<Option<ferrevent::TimerId>>> = Rc::default();
    let (own, mut rounds) = (Rc::clone(&id), 0);
    let timer = events.timer(MS, move |context| {
        rounds += 1;
        if rounds < 3 {
            assert!(context.arm_timer(own.get().unwrap(), MS));
        }
    });
    id.set(Some(timer.unwrap()));
    // Ends by itself, because nothing is registered any more.
    events.run().unwrap();
    assert_eq!(events.context().now(), 3 * MS);
    assert!(!events.context().arm_timer(id.get().unwrap(), MS));
}

#[test]
fn real_timers_are_never_early() {
    on_every_loop(|events| {
        let start = Instant::now();
        let done: Rc<Cell<Option<Duration>>> = Rc::default();
        let own = Rc::clone(&done);
        events
            .timer(Duration::from_micros(3_300), move |_| {
                own.set(Some(start.elapsed()));
            })
            .unwrap();
        until(events, "the timer", || done.get().is_some());
        assert!(done.get().unwrap() >= Duration::from_micros(3_300));
    });
}

#[test]
fn level_readiness_is_told_as_long_as_it_lasts_and_registrations_share() {
    on_every_loop(|events| {
        let (mut near, far) = local_pair();
        far.set_nonblocking(true).unwrap();
        let counts: [Rc<Cell<u32>>; 3] = Default::default();
        let [reads, writes, once] = &counts;
        let count = |cell: &Rc<Cell<u32>>, expected: Readiness| {
            let cell = Rc::clone(cell);
            move |_: &mut ferrevent::Context<'_>, ready: Readiness| {
                assert!(ready.any(expected));
                cell.set(cell.get() + 1);
            }
        };
        let mut context = events.local();
        let read = Registration::new(Readiness::READ);
        let watch = context
            .watch(far.as_fd(), read, count(reads, Readiness::READ))
            .unwrap();
        let mut single = Registration::new(Readiness::READ);
        single.persistent = false;
        let once_id = context
            .watch(far.as_fd(), single, count(once, Readiness::READ))
            .unwrap();
        events.poll().unwrap();
        assert_eq!(reads.get(), 0);
        near.write_all(b"x").unwrap();
        for turn in 1..=3 {
            events.poll().unwrap();
            assert_eq!((reads.get(), once.get()), (turn, 1));
        }
        events.context().arm_watch(once_id).unwrap();
        events.poll().unwrap();
        assert_eq!(once.get(), 2);
        // A third registration, of the other direction, on the same number.
        let write = Registration::new(Readiness::WRITE);
        let writable = events
            .local()
            .watch(far.as_fd(), write, count(writes, Readiness::WRITE))
            .unwrap();
        events.poll().unwrap();
        assert_eq!(writes.get(), 1);
        assert!(events.context().remove_watch(writable));
        (&far).read_exact(&mut [0]).unwrap();
        let before = reads.get();
        events.poll().unwrap();
        assert_eq!((reads.get(), writes.get()), (before, 1));
        assert!(events.context().remove_watch(watch));
        assert!(!events.context().remove_watch(watch));
    });
}

#[cfg(target_os = "linux")]
#[test]
fn edge_readiness_is_told_once_for_each_arrival() {
    let mut events = Builder::new().backend(BackendKind::Epoll).build().unwrap();
    let (mut near, far) = local_pair();
    let count = Rc::new(Cell::new(0));
    let own = Rc::clone(&count);
    let mut edge = Registration::new(Readiness::READ);
    edge.edge = true;
    events
        .local()
        .watch(far.as_fd(), edge, move |_, _| own.set(own.get() + 1))
        .unwrap();
    for arrivals in 1..=3 {
        near.write_all(b"x").unwrap();
        events.poll().unwrap();
        events.poll().unwrap();
        assert_eq!(count.get(), arrivals);
    }
}

/// Nobody misses anything: as long as somebody asks for levels there are.
#[cfg(target_os = "linux")]
#[test]
fn edges_and_levels_of_one_descriptor() {
    for kind in [BackendKind::Epoll, BackendKind::Uring] {
        let mut events = Builder::new().backend(kind).build().unwrap();
        let (mut near, far) = local_pair();
        let counts: Rc<[Cell<u32>; 2]> = Rc::default();
        let mut watch = |edge| {
            let own = Rc::clone(&counts);
            let mut registration = Registration::new(Readiness::READ);
            registration.edge = edge;
            events
                .local()
                .watch(far.as_fd(), registration, move |_, _| {
                    own[usize::from(edge)].set(own[usize::from(edge)].get() + 1);
                })
        };
        watch(true).unwrap();
        let level = watch(false).unwrap();
        near.write_all(b"x").unwrap();
        while counts[0].get() < 3 {
            events.run_for(MS).unwrap();
        }
        assert!(counts[1].get() >= 1);
        assert!(events.context().remove_watch(level));
        for arrivals in 1..=3 {
            near.write_all(b"x").unwrap();
            let before = counts[1].get();
            while counts[1].get() == before {
                events.run_for(MS).unwrap();
            }
            assert!(counts[1].get() > before, "{arrivals}");
        }
        let quiet = counts[1].get();
        events.run_for(5 * MS).unwrap();
        // At levels it would be told at every turn.
        assert!(counts[1].get() <= quiet + 1, "{kind}");
    }
}

#[test]
fn what_cannot_be_watched_is_refused() {
    on_every_loop(|events| {
        let (_near, far) = local_pair();
        let nothing = Registration::new(Readiness::NONE);
        let refused = events.context().watch(far.as_fd(), nothing, |_, _| ());
        assert_eq!(
            refused.unwrap_err().kind(),
            std::io::ErrorKind::InvalidInput
        );
        let kind = events.backend_kind().to_string();
        if !matches!(kind.as_str(), "epoll" | "uring") {
            let mut edge = Registration::new(Readiness::READ);
            edge.edge = true;
            let refused = events.context().watch(far.as_fd(), edge, |_, _| ());
            assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::Unsupported);
        }
        assert!(events.is_empty());
    });
}

#[test]
fn a_watch_that_hears_nothing_times_out() {
    on_every_loop(|events| {
        let (_near, far) = local_pair();
        let told: Rc<Cell<Option<Readiness>>> = Rc::default();
        let own = Rc::clone(&told);
        let mut registration = Registration::new(Readiness::READ);
        registration.timeout = Some(5 * MS);
        events
            .local()
            .watch(far.as_fd(), registration, move |_, ready| {
                own.set(Some(ready));
            })
            .unwrap();
        until(events, "the timeout", || told.get().is_some());
        assert!(told.get().unwrap().is_none());
    });
}

/// On Windows the system layer's own test does this: it must call the system.
#[cfg(unix)]
#[test]
fn every_loop_that_asks_for_a_signal_gets_it() {
    const SIGUSR2: i32 = 12;
    let seen: Rc<Cell<u32>> = Rc::default();
    let mut loops: Vec<EventLoop> = BackendKind::ALL
        .iter()
        .map(|kind| {
            let mut events = Builder::new().backend(*kind).build().unwrap();
            let own = Rc::clone(&seen);
            events
                .local()
                .signal(SIGUSR2, move |_, times| own.set(own.get() + times))
                .unwrap();
            events
        })
        .collect();
    let killed = std::process::Command::new("kill")
        .args(["-USR2", &std::process::id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let all = loops.len() as u32;
    let end = Instant::now() + common::PATIENCE;
    while seen.get() < all && Instant::now() < end {
        for events in &mut loops {
            events.run_for(MS).unwrap();
        }
    }
    assert_eq!(seen.get(), all);
}

#[test]
fn user_events_come_from_any_thread_and_are_never_lost() {
    on_every_loop(|events| {
        let count = Rc::new(Cell::new(0_u32));
        let own = Rc::clone(&count);
        let trigger = events
            .local()
            .trigger(move |_| own.set(own.get() + 1))
            .unwrap();
        for round in 1..=200 {
            let from_afar = trigger.clone();
            let thread = std::thread::spawn(move || assert!(from_afar.raise()));
            until(events, "the event", || count.get() == round);
            thread.join().unwrap();
        }
        assert!(events.context().remove_trigger(&trigger));
        trigger.raise();
        events.poll().unwrap();
        assert_eq!(count.get(), 200);
    });
}

#[test]
fn a_sleeping_loop_is_woken_and_stopped_from_afar() {
    on_every_loop(|events| {
        let remote = events.context().remote();
        // Something registered, so that the loop has a reason to run.
        events.timer(Duration::from_secs(3600), |_| ()).unwrap();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(10 * MS);
            assert!(remote.run(|context| context.stop(true)));
            remote
        });
        events.run().unwrap();
        let remote = thread.join().unwrap();
        assert!(remote.stop());
    });
}

#[test]
fn a_late_remote_is_told_so() {
    let events = EventLoop::new().unwrap();
    let mut events = events;
    let remote = events.context().remote();
    drop(events);
    assert!(!remote.stop());
    assert!(!remote.run(|_| ()));
}

#[test]
fn priorities_are_served_in_order() {
    let clock = Clock::simulated();
    let mut events = Builder::new().clock(clock).priorities(3).build().unwrap();
    let order: Rc<RefCell<Vec<u8>>> = Rc::default();
    for priority in [2, 0, 1, 2, 0, 9] {
        let order = Rc::clone(&order);
        let timer = events
            .timer(MS, move |_| order.borrow_mut().push(priority))
            .unwrap();
        assert!(events.context().set_priority(timer, priority));
    }
    events.run_for(2 * MS).unwrap();
    assert_eq!(*order.borrow(), [0, 0, 1, 2, 2, 9]);
}

#[test]
fn stopping_now_leaves_the_rest_and_stopping_after_the_turn_does_not() {
    for (at_once, expected) in [(true, 1), (false, 3)] {
        let (mut events, clock) = simulated();
        let count = Rc::new(Cell::new(0));
        for _ in 0..3 {
            let count = Rc::clone(&count);
            events
                .timer(MS, move |context| {
                    count.set(count.get() + 1);
                    context.stop(at_once);
                })
                .unwrap();
        }
        clock.advance(2 * MS);
        events.run().unwrap();
        assert_eq!(count.get(), expected);
        events.poll().unwrap();
        assert!(count.get() > expected || !at_once);
    }
}

#[test]
fn hooks_run_around_the_wait_and_the_dump_names_what_is_there() {
    let (mut events, _) = simulated();
    let log: Rc<RefCell<Vec<&str>>> = Rc::default();
    let (before, after, fired) = (Rc::clone(&log), Rc::clone(&log), Rc::clone(&log));
    events.before_wait(move |_| before.borrow_mut().push("before"));
    events.after_wait(move |_| after.borrow_mut().push("after"));
    events
        .timer(MS, move |_| fired.borrow_mut().push("timer"))
        .unwrap();
    let dump = events.dump();
    assert!(dump.contains("timer, due at"), "{dump}");
    events.run().unwrap();
    assert_eq!(*log.borrow(), ["before", "after", "timer"]);
}

#[test]
fn a_timer_that_panics_is_removed_and_the_loop_goes_on() {
    let (mut events, _) = simulated();
    let trouble = Rc::new(RefCell::new(String::new()));
    let own = Rc::clone(&trouble);
    events.on_trouble(move |what| {
        if let Trouble::Panicked(message) = what {
            own.borrow_mut().push_str(message);
        }
    });
    events.timer(MS, |_| panic!("a bad timer")).unwrap();
    events.run_for(3 * MS).unwrap();
    assert_eq!(*trouble.borrow(), "a bad timer");
    assert!(events.is_empty());
}

#[test]
fn what_was_posted_before_a_run_is_done_in_it() {
    on_every_loop(|events| {
        let done = Arc::new(AtomicBool::new(false));
        let own = Arc::clone(&done);
        let remote = events.context().remote();
        assert!(remote.run(move |_| own.store(true, Ordering::SeqCst)));
        events.run().unwrap();
        assert!(done.load(Ordering::SeqCst));
    });
}
