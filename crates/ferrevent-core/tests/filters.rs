//! Stacks of filters under everything that holds for plain streams, and what
//! holds for filters alone.

mod random;

use ferrevent_models::stream::{Layer, World};
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
