//! The timer queue against a sorted map.

use ferrevent_models::{random_bytes, timer};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 512,
        ..ProptestConfig::default()
    })]

    #[test]
    fn agrees_with_a_sorted_map(operations in prop::collection::vec(any::<u8>(), 0..1500)) {
        timer::run(&operations);
    }
}

#[test]
fn agrees_over_a_long_run() {
    for seed in 0..20 {
        timer::run(&random_bytes(seed, 200_000));
    }
}
