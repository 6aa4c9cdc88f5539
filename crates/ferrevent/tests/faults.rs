//! What the kernel may do at the worst moment, done on purpose.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::cell::Cell;
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use common::{Recorder, Shared, Works, listen, random_bytes, until};
use ferrevent::sys::errno::{EMFILE, ENOBUFS, ENOMEM};
use ferrevent::sys::{Call, Fault, FaultPlan, Rule};
use ferrevent::{BackendKind, Builder, CloseReason, EventLoop, Stream, Trouble};

fn with_faults(kind: BackendKind, plan: &Arc<FaultPlan>) -> std::io::Result<EventLoop> {
    Builder::new()
        .backend(kind)
        .faults(Arc::clone(plan))
        .build()
}

/// An echo server and a client that sends these bytes and then ends.
fn echo(events: &mut impl Works, sent: &[u8]) -> std::io::Result<Shared> {
    let any = "127.0.0.1:0".parse().unwrap();
    let listener = events
        .context()
        .listen(&any, || |stream: &mut Stream<'_>| stream.echo())?;
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
            let plan = Arc::new(FaultPlan::storm(seed));
            let mut events = with_faults(*kind, &plan).unwrap();
            let sent = random_bytes(400_000, seed);
            let record = echo(&mut events, &sent).unwrap();
            until(&mut events, "the end", || record.see().reason.is_some());
            let record = record.see();
            assert!(matches!(record.reason, Some(CloseReason::Finished)));
            assert!(record.bytes == sent);
            assert!(plan.struck() > 5, "{} faults", plan.struck());
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
