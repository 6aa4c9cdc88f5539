//! Stacks of filters under everything that holds for plain streams, and what
//! holds for filters alone.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use proptest::prelude::*;
use world::layers::Layer;
use world::{Told, World, actions, config, endings};

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

fn world(stack: &[Layer]) -> World {
    World::filtered(|| stack.iter().map(|layer| layer.filter()).collect())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_written_is_read_and_both_close(stack in stack(), actions in actions()) {
        let mut world = world(&stack);
        world.engine();
        for action in &actions {
            world.act(action);
        }
        world.drain();
        for s in 0..2 {
            let side = &world.sides[s];
            prop_assert!(side.told.ends_with(&[Told::Closed]), "{:?} {:?}", side.told, side.machine);
            prop_assert!(side.reason.as_ref().unwrap().is_clean(), "{:?}", side.reason);
            prop_assert_eq!(side.read, world.sides[1 - s].written);
            prop_assert_eq!(side.machine.received_bytes(), side.read);
            prop_assert_eq!(side.machine.sent_bytes(), side.written);
            prop_assert_eq!(side.told.first(), Some(&Told::Opened));
            prop_assert!(side.told.contains(&Told::Ended));
            // What Tor asked for, 6: the bytes of the wire.
            prop_assert_eq!(side.machine.wire_sent_bytes(), side.taken);
        }
    }

    #[test]
    fn any_ending_at_any_time_is_told_once_and_last(
        stack in stack(),
        before in actions(),
        endings in endings(),
        after in actions(),
    ) {
        let mut world = world(&stack);
        world.engine();
        for action in before.iter().chain(&endings).chain(&after) {
            world.act(action);
        }
        world.drain();
        // A side that finished waits for its peer, but not for ever.
        world.pass(31_000_000);
        world.engine();
        world.drain();
        for s in 0..2 {
            let side = &world.sides[s];
            prop_assert!(side.read <= world.sides[1 - s].written);
            let closes = side.told.iter().filter(|told| **told == Told::Closed).count();
            prop_assert_eq!(closes, 1, "{:?}", side.told);
            prop_assert_eq!(side.told.last(), Some(&Told::Closed));
        }
    }
}
