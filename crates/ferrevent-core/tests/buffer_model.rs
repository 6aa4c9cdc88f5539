//! The buffer against a plain `Vec<u8>`: long random runs over several
//! buffers, with moves, shares, pins, foreign memory and file ranges.

use ferrevent_core::buffer::{Buffer, Pinned};
use ferrevent_models::buffer::{World, run_on};
use ferrevent_models::random_bytes;

#[test]
fn a_buffer_is_a_vec_that_moves_without_copying() {
    let rounds = std::env::var("FERREVENT_CASES").ok();
    let rounds: u64 = rounds.and_then(|it| it.parse().ok()).unwrap_or(300);
    for seed in [1, 20_091_124, 77] {
        let mut world = World::new();
        for round in 0..rounds {
            // About fifty operations.
            run_on(&mut world, &random_bytes(seed ^ round << 32, 600));
        }
        world.finish();
    }
}

#[test]
fn a_buffer_is_small_and_can_be_sent() {
    fn can_be_sent<T: Send>() {}
    can_be_sent::<Buffer>();
    can_be_sent::<Pinned>();
    assert!(size_of::<Buffer>() <= 48);
}
