//! Two stream machines over a simulated network and clock: whatever the
//! order of things, nothing is lost, doubled or reordered, and a close is
//! told once and last.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod random;

use std::io;
use std::time::Duration;

use ferrevent_core::stream::{CloseReason, Machine, StreamConfig, StreamEvent, Timeout};
use ferrevent_core::timer::Tick;
use ferrevent_models::stream::World;
use proptest::prelude::*;
use random::{actions, config, endings};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_written_is_read_and_both_close(actions in actions()) {
        let mut world = World::new();
        for action in &actions {
            world.act(action);
        }
        world.end_well();
    }

    #[test]
    fn any_ending_at_any_time_is_told_once_and_last(
        before in actions(),
        endings in endings(),
        after in actions(),
    ) {
        let mut world = World::new();
        for action in before.iter().chain(&endings).chain(&after) {
            world.act(action);
        }
        world.end_anyhow();
    }
}

#[test]
fn a_machine_is_small() {
    assert!(size_of::<Machine>() <= 144, "{}", size_of::<Machine>());
}

#[test]
fn a_timeout_is_told_when_it_is_due_and_not_before() {
    let mut machine = Machine::connected();
    let config = StreamConfig {
        read_timeout: Some(Duration::from_millis(5)),
        ..StreamConfig::DEFAULT
    };
    machine.configure(Tick(0), config);
    assert!(matches!(machine.next_event(), Some(StreamEvent::Opened)));
    assert_eq!(machine.wake_at(), None, "nothing is being received");
    machine.receive_began(Tick(100));
    assert_eq!(machine.wake_at(), Some(Tick(5100)));
    machine.time_passed(Tick(5099));
    assert!(machine.next_event().is_none());
    machine.time_passed(Tick(5100));
    assert!(matches!(
        machine.next_event(),
        Some(StreamEvent::TimedOut(Timeout::Read))
    ));
    machine.pause();
    assert_eq!(machine.wake_at(), None, "nobody waits for bytes now");
}

#[test]
fn bytes_below_the_low_mark_are_told_at_the_end() {
    let mut machine = Machine::connected();
    let mut config = StreamConfig::DEFAULT;
    config.input.low = 100;
    machine.configure(Tick(0), config);
    machine.next_event();
    machine.receive_began(Tick(0));
    machine.received(Tick(0), true, 3, |input| input.append(b"abc").unwrap());
    assert!(machine.next_event().is_none());
    machine.receive_ended(Tick(0));
    assert!(matches!(machine.next_event(), Some(StreamEvent::Readable)));
    assert!(matches!(machine.next_event(), Some(StreamEvent::Ended)));
}

/// On a completion kernel the peer's end may come home before the send that it
/// answers: that the rest was sent is told before the close all the same.
#[test]
fn the_last_progress_is_told_before_the_close() {
    let mut machine = Machine::connected();
    machine.set_tells_sent(true);
    assert!(matches!(machine.next_event(), Some(StreamEvent::Opened)));
    machine.receive_began(Tick(0));
    machine.write(b"all of it").unwrap();
    machine.finish_write();
    let bytes = machine.next_send(Tick(0)).unwrap();
    machine.receive_ended(Tick(0));
    assert!(matches!(machine.next_event(), Some(StreamEvent::Ended)));
    machine.sent(Tick(0), Ok(bytes.len()));
    drop(bytes);
    assert!(machine.wants_shutdown());
    machine.shutdown_ended(Ok(()));
    assert!(matches!(machine.next_event(), Some(StreamEvent::Sent)));
    assert!(matches!(
        machine.next_event(),
        Some(StreamEvent::Closed(CloseReason::Finished))
    ));
}

#[test]
fn what_the_peer_sent_before_it_broke_is_told_first() {
    let mut machine = Machine::connected();
    machine.next_event();
    machine.receive_began(Tick(0));
    machine.write(b"request").unwrap();
    assert!(machine.next_send(Tick(0)).is_some());
    machine.sent(Tick(0), Err(io::ErrorKind::BrokenPipe.into()));
    assert!(
        machine.next_event().is_none(),
        "its answer may be on the way"
    );
    machine.received(Tick(0), true, 3, |input| input.append(b"no!").unwrap());
    machine.receive_failed(Tick(0), io::ErrorKind::ConnectionReset.into());
    assert!(matches!(machine.next_event(), Some(StreamEvent::Readable)));
    let Some(StreamEvent::Closed(CloseReason::Failed { error, .. })) = machine.next_event() else {
        panic!("it did not close")
    };
    assert_eq!(
        error.kind(),
        io::ErrorKind::BrokenPipe,
        "the first one counts"
    );
    assert!(machine.next_event().is_none());
}

/// An echo keeps writing to a peer that is gone: that must neither stop it
/// from meeting the end nor be kept.
#[test]
fn what_is_written_to_a_broken_stream_keeps_nothing_back() {
    let mut machine = Machine::connected();
    machine.write(b"lost").unwrap();
    let bytes = machine.next_send(Tick(0)).unwrap();
    machine.sent(Tick(0), Err(io::ErrorKind::BrokenPipe.into()));
    drop(bytes);
    for _ in 0..100 {
        assert!(machine.wants_receive());
        machine.receive_began(Tick(0));
        machine.received(Tick(0), false, 100_000, |input| {
            input.append(&[7; 100_000]).unwrap();
        });
        while machine.next_event().is_some() {}
        let (input, output) = machine.buffers();
        output.append_buffer(input).unwrap();
        assert!(machine.output().len() <= 100_000);
    }
    machine.receive_began(Tick(0));
    machine.receive_ended(Tick(0));
    let mut last = None;
    while let Some(event) = machine.next_event() {
        last = Some(event);
    }
    let reason = last.map(|event| format!("{event:?}")).unwrap_or_default();
    assert!(reason.contains("Failed"), "{reason}");
}

#[test]
fn a_failure_is_told_once_the_bytes_before_it_were_passed_on() {
    let mut machine = Machine::connected();
    machine.next_event();
    machine.set_piped(true);
    machine.receive_began(Tick(0));
    machine.received(Tick(0), true, 3, |input| input.append(b"abc").unwrap());
    machine.receive_failed(Tick(0), io::ErrorKind::ConnectionReset.into());
    assert!(!machine.take_end());
    assert!(!machine.has_events(), "the bytes come first");
    machine.input().clear().unwrap();
    assert!(!machine.take_end(), "a failure is no end to pass on");
    assert!(machine.has_events());
    assert!(matches!(
        machine.next_event(),
        Some(StreamEvent::Closed(CloseReason::Failed { .. }))
    ));
}
