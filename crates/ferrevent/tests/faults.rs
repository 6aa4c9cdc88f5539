//! What the kernel may do at the worst moment, done on purpose.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::cell::Cell;
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use common::{Recorder, Shared, listen, random_bytes, until};
use ferrevent::sys::{Call, Fault, FaultPlan, Rule};
use ferrevent::{BackendKind, Builder, CloseReason, EventLoop, Stream, Trouble};

const EINTR: i32 = 4;
const EAGAIN: i32 = 11;
const ENOMEM: i32 = 12;
const EMFILE: i32 = 24;
const ENOBUFS: i32 = 105;

fn with_faults(kind: BackendKind, plan: &Arc<FaultPlan>) -> std::io::Result<EventLoop> {
    Builder::new()
        .backend(kind)
        .faults(Arc::clone(plan))
        .build()
}

/// An echo server and a client that sends these bytes and then ends.
fn echo(events: &mut EventLoop, sent: &[u8]) -> std::io::Result<Shared> {
    let listener = events.listen("127.0.0.1:0".parse().unwrap(), || {
        |stream: &mut Stream<'_>| stream.echo()
    })?;
    let to = events.context().listener_addr(listener).unwrap();
    let mut left = sent.to_vec();
    let (client, record) = Recorder::with(move |stream, what| {
        if what == "opened" || what == "writable" {
            let n = left.len().min(50_000);
            if n == 0 {
                stream.finish_write();
            } else {
                let piece: Vec<u8> = left.drain(..n).collect();
                let _ = stream.write(&piece);
            }
        }
    });
    events.connect(to.into(), client)?;
    Ok(record)
}

#[test]
fn storms_of_interruptions_and_short_calls_lose_nothing() {
    for kind in BackendKind::ALL {
        for seed in 1..=4 {
            eprintln!("-- on {kind}, seed {seed}");
            let rules = vec![
                Rule::often(Call::Receive, 200, Fault::Errno(EINTR)),
                Rule::often(Call::Receive, 200, Fault::Errno(EAGAIN)),
                Rule::often(Call::Receive, 300, Fault::Short(100)),
                Rule::often(Call::Send, 200, Fault::Errno(EINTR)),
                Rule::often(Call::Send, 200, Fault::Errno(EAGAIN)),
                Rule::often(Call::Send, 300, Fault::Short(1000)),
                Rule::often(Call::Accept, 300, Fault::Errno(EAGAIN)),
                Rule::often(Call::Accept, 300, Fault::Errno(EINTR)),
                Rule::often(Call::Wait, 200, Fault::Errno(EINTR)),
            ];
            let plan = Arc::new(FaultPlan::new(seed, rules));
            let mut events = with_faults(*kind, &plan).unwrap();
            let sent = random_bytes(400_000, seed);
            let record = echo(&mut events, &sent).unwrap();
            until(&mut events, "the end", || record.see().reason.is_some());
            let record = record.see();
            assert!(matches!(record.reason, Some(CloseReason::Finished)));
            assert!(record.bytes == sent);
            assert!(plan.struck() > 20);
        }
    }
}

#[test]
fn a_listener_rests_when_descriptors_run_out_and_recovers() {
    for kind in BackendKind::ALL {
        for errno in [EMFILE, ENOMEM, ENOBUFS] {
            eprintln!("-- on {kind}, errno {errno}");
            let rule = Rule {
                call: Call::Accept,
                fault: Fault::Errno(errno),
                after: 0,
                per_mille: 1000,
                times: 2,
            };
            let plan = Arc::new(FaultPlan::new(1, vec![rule]));
            let mut events = with_faults(*kind, &plan).unwrap();
            let (server, record) = Recorder::new();
            let mut server = Some(server);
            let to = listen(&mut events, &"127.0.0.1:0".parse().unwrap(), move || {
                server.take().unwrap()
            });
            let (rests, waits): (Rc<Cell<u32>>, Rc<Cell<u32>>) = Default::default();
            let (own_rests, own_waits) = (Rc::clone(&rests), Rc::clone(&waits));
            events.on_trouble(move |trouble| {
                assert!(matches!(trouble, Trouble::Resting(..)));
                own_rests.set(own_rests.get() + 1);
            });
            events.before_wait(move |_| own_waits.set(own_waits.get() + 1));
            let ferrevent::Address::Socket(to) = to else {
                panic!("no socket address")
            };
            let _peer = TcpStream::connect(to).unwrap();
            let end = std::time::Instant::now() + common::PATIENCE;
            while record.see().log.is_empty() && std::time::Instant::now() < end {
                events.run_for(Duration::from_millis(50)).unwrap();
            }
            assert_eq!(record.see().log, ["opened"]);
            assert_eq!(rests.get(), 2);
            // Two rests of a quarter of a second: a handful of waits, no spin.
            assert!(waits.get() < 200, "{} waits", waits.get());
        }
    }
}

#[test]
fn every_call_may_fail_once_and_nothing_hangs_or_panics() {
    const CALLS: [Call; 13] = [
        Call::Receive,
        Call::Send,
        Call::Accept,
        Call::Connect,
        Call::Socket,
        Call::Bind,
        Call::Listen,
        Call::Shutdown,
        Call::SocketOption,
        Call::WaiterCreate,
        Call::WaiterControl,
        Call::Wait,
        Call::WakeCreate,
    ];
    for kind in BackendKind::ALL {
        for call in CALLS {
            for nth in 0..8 {
                let rule = Rule::nth(call, nth, Fault::Errno(ENOMEM));
                let plan = Arc::new(FaultPlan::new(1, vec![rule]));
                // An error of making the loop is typed, and all there is.
                let Ok(mut events) = with_faults(*kind, &plan) else {
                    assert_eq!(plan.struck(), 1);
                    continue;
                };
                let sent = random_bytes(120_000, nth);
                let Ok(record) = echo(&mut events, &sent) else {
                    assert_eq!(plan.struck(), 1);
                    continue;
                };
                let end = std::time::Instant::now() + common::PATIENCE;
                while record.see().reason.is_none() {
                    assert!(
                        std::time::Instant::now() < end,
                        "{call:?} number {nth} on {kind} hangs"
                    );
                    // The wait itself may fail; the loop can be turned again.
                    if events.run_for(Duration::from_millis(5)).is_err() {
                        assert_eq!(plan.struck(), 1);
                    }
                }
                let record = record.see();
                if plan.struck() == 0 {
                    assert!(record.bytes == sent);
                }
                // Whatever came is the beginning of what was sent.
                assert!(sent.starts_with(&record.bytes), "{call:?} {nth} on {kind}");
                if matches!(record.reason, Some(CloseReason::Finished)) {
                    assert!(record.bytes == sent || plan.struck() == 1);
                }
            }
        }
    }
}
