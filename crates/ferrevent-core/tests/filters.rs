//! Stacks of filters under everything that holds for plain streams, and what
//! holds for filters alone.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod random;

use std::io;

use ferrevent_core::filter::{Filter, LAYER_BYTES, Pass};
use ferrevent_core::stream::{Machine, StreamEvent};
use ferrevent_core::timer::Tick;
use ferrevent_models::stream::{Layer, World, every_trip};
use proptest::prelude::*;
use random::{actions, config, endings};

fn stack() -> impl Strategy<Value = Vec<Layer>> {
    let layer = prop_oneof![
        any::<u8>().prop_map(Layer::Xor),
        Just(Layer::Stutter),
        Just(Layer::Frames),
        Just(Layer::Hold),
        Just(Layer::Hello),
    ];
    prop::collection::vec(layer, 1..4)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_written_is_read_and_both_close(stack in stack(), actions in actions()) {
        let mut world = World::filtered(&stack);
        for action in &actions {
            world.act(action);
        }
        world.end_well();
    }

    #[test]
    fn any_ending_at_any_time_is_told_once_and_last(
        stack in stack(),
        before in actions(),
        endings in endings(),
        after in actions(),
    ) {
        let mut world = World::filtered(&stack);
        for action in before.iter().chain(&endings).chain(&after) {
            world.act(action);
        }
        world.end_anyhow();
    }
}

/// Ends where a byte says so, as TLS does by its close_notify.
struct Goodbye;

impl Filter for Goodbye {
    fn decode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        let said = pass.source().chunk().contains(&b'.');
        pass.map(|_| ());
        if said {
            pass.end();
        }
        Ok(())
    }

    fn encode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        pass.map(|_| ());
        Ok(())
    }
}

/// The peer said goodbye and was gone before ours came to it: that is seen
/// when the sending side is to be ended, and its goodbye is received after.
#[test]
fn a_goodbye_counts_though_the_wire_was_gone_before_it_was_received() {
    for says_goodbye in [true, false] {
        let mut machine = Machine::connected();
        machine.add_filter(Tick(0), Box::new(Goodbye)).unwrap();
        machine.next_event();
        machine.receive_began(Tick(0));
        machine.finish_write();
        assert!(machine.sendable(Tick(0)).is_none());
        assert!(machine.wants_shutdown());
        machine.shutdown_ended(Err(io::ErrorKind::NotConnected.into()));
        if says_goodbye {
            machine.received(Tick(0), true, 4, |input| input.append(b"bye.").unwrap());
            assert!(matches!(machine.next_event(), Some(StreamEvent::Readable)));
            assert!(matches!(machine.next_event(), Some(StreamEvent::Ended)));
        } else {
            machine.receive_failed(Tick(0), io::ErrorKind::ConnectionReset.into());
        }
        let Some(StreamEvent::Closed(reason)) = machine.next_event() else {
            panic!("it did not close")
        };
        assert_eq!(reason.is_clean(), says_goodbye, "{reason}");
    }
}

/// Makes a hundred kilobytes of every byte, as much of it at a time as there is
/// room for, and remembers how much there was of it at once.
struct Yeast {
    owes: usize,
    most: usize,
}

impl Filter for Yeast {
    fn decode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        while pass.room() > 0 && pass.available() > 0 {
            if self.owes == 0 {
                self.owes = 100_000;
            }
            let n = self.owes.min(pass.room()).min(16_000);
            pass.target().append(&vec![0; n])?;
            self.owes -= n;
            if self.owes == 0 {
                pass.source().drain(1)?;
            }
            self.most = self.most.max(pass.target().len());
        }
        Ok(())
    }

    fn encode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        pass.map(|_| ());
        Ok(())
    }
}

/// What an owner who has finished throws away is not gathered for that.
#[test]
fn what_is_thrown_away_is_bounded_too() {
    let mut machine = Machine::connected();
    let yeast = Yeast { owes: 0, most: 0 };
    machine.add_filter(Tick(0), Box::new(yeast)).unwrap();
    machine.finish(Tick(0));
    machine.received(Tick(0), true, 50, |input| input.append(&[1; 50]).unwrap());
    assert_eq!(machine.received_bytes(), 5_000_000);
    assert!(machine.input().is_empty());
    let most = machine.filter::<Yeast>().unwrap().most;
    assert!(most <= LAYER_BYTES, "{most} bytes at once");
}

/// What died on the way is not ended as if it were whole.
#[test]
fn a_failure_cuts_short_what_is_sent() {
    struct Picky(bool);
    impl Filter for Picky {
        fn decode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
            pass.source().clear()?;
            Err(io::ErrorKind::InvalidData.into())
        }
        fn encode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
            pass.map(|_| ());
            Ok(())
        }
        fn cut_short(&mut self) {
            self.0 = true;
        }
    }
    let mut machine = Machine::connected();
    machine.add_filter(Tick(0), Box::new(Picky(false))).unwrap();
    machine.received(Tick(0), true, 1, |input| input.append(b"x").unwrap());
    assert!(machine.filter::<Picky>().unwrap().0);
}

/// Watermarks, pauses, sips, pieces and kernels of every kind, in simulated
/// time: nothing stands still longer than the network and the pauses have it.
#[test]
fn a_transfer_takes_at_most_twice_as_long_as_it_has_to() {
    let stacks: &[&[Layer]] = &[
        &[],
        &[Layer::Xor(5)],
        &[Layer::Hello, Layer::Frames],
        &[Layer::Frames, Layer::Hello, Layer::Stutter],
    ];
    every_trip(60, |trip| {
        for stack in stacks {
            trip.make(|_, machine| {
                for layer in *stack {
                    machine.add_filter(Tick(0), layer.filter()).unwrap();
                }
            });
        }
    });
}
