//! What may happen to a stream machine, at random.

use ferrevent_models::stream::Action;
use proptest::prelude::*;

pub(crate) fn actions() -> impl Strategy<Value = Vec<Action>> {
    let side = || 0..2_usize;
    let action = prop_oneof![
        6 => (side(), 1..3000_u16).prop_map(|(s, n)| Action::Write(s, n)),
        3 => (side(), 1..3000_u16).prop_map(|(s, n)| Action::Read(s, n)),
        1 => (side(), any::<bool>()).prop_map(|(s, on)| Action::Lazy(s, on)),
        1 => side().prop_map(Action::Pause),
        2 => side().prop_map(Action::Resume),
        1 => (side(), any::<bool>()).prop_map(|(s, on)| Action::Hold(s, on)),
        1 => (side(), any::<bool>()).prop_map(|(s, on)| Action::Listen(s, on)),
        2 => (side(), 1..9000_u16).prop_map(|(s, n)| Action::Eager(s, n)),
        1 => side().prop_map(Action::Again),
        1 => side().prop_map(Action::Flush),
        1 => (side(), any::<u8>()).prop_map(|(s, n)| Action::Configure(s, n)),
        8 => (side(), 1..4096_u16, any::<bool>())
            .prop_map(|(s, n, unasked)| Action::Deliver(s, n, unasked)),
        8 => (side(), 1..4096_u16).prop_map(|(s, n)| Action::Take(s, n)),
        2 => (0..30_000_u32).prop_map(Action::Pass),
    ];
    prop::collection::vec(action, 1..120)
}

pub(crate) fn endings() -> impl Strategy<Value = Vec<Action>> {
    let side = || 0..2_usize;
    let ending = prop_oneof![
        3 => side().prop_map(Action::FinishWrite),
        2 => side().prop_map(Action::Finish),
        1 => side().prop_map(Action::Close),
        1 => (side(), any::<bool>()).prop_map(|(s, peer)| Action::FailSend(s, peer)),
        1 => side().prop_map(Action::FailReceive),
    ];
    prop::collection::vec(ending, 0..3)
}

pub(crate) fn config() -> ProptestConfig {
    let cases = std::env::var("FERREVENT_CASES").ok();
    ProptestConfig {
        cases: cases.and_then(|cases| cases.parse().ok()).unwrap_or(600),
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(20_091_124),
        ..ProptestConfig::default()
    }
}
