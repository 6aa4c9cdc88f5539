//! Several buffers against plain `Vec<u8>`s: moves, shares, pins, foreign
//! memory, file ranges, searches, lines, and what is refused.

mod lines;
mod operation;
mod world;

use crate::choices::{Choices, perform};

pub use operation::Operation;
pub use world::World;

/// Does the operations that the bytes are, on empty buffers.
///
/// # Panics
/// If a buffer is not as its model.
pub fn run(data: &[u8]) {
    let mut world = World::new();
    run_on(&mut world, data);
    world.finish();
}

/// Does the operations that the bytes are, on the buffers of a world.
///
/// # Panics
/// If a buffer is not as its model.
pub fn run_on(world: &mut World, data: &[u8]) {
    let operations = Choices::new(data).all(Operation::choose);
    perform(&operations, |operation| world.act(operation));
    world.check();
}
