//! Two stream machines over a simulated network and clock, plain or under
//! filters: whatever the order of things, nothing is lost, doubled or
//! reordered, and a close is told once and last.

mod action;
mod layers;
mod trip;
mod world;

use crate::choices::{Choices, perform};

pub use action::Action;
pub use layers::Layer;
pub use trip::{Kernel, Trip, every_trip};
pub use world::World;

/// Does the actions that the bytes are. The first bytes decide whether there
/// are endings and failures among them, and on the filters.
///
/// # Panics
/// If a machine loses, doubles or reorders bytes, does not tell its end, or
/// asks its engine for what it must not.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let endings = choices.flag();
    let stack = Layer::stack(&mut choices);
    let actions = choices.all(|choices| Action::choose(choices, endings));
    let mut world = World::filtered(&stack);
    perform(&actions, |action| world.act(action));
    if endings {
        world.end_anyhow();
    } else {
        world.end_well();
    }
}
