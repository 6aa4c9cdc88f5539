//! What the fuzzer has found worth keeping, once more.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use ferrevent_models::{TARGETS, random_bytes};

#[test]
fn the_corpus_passes() {
    for (name, run) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
        let inputs: Vec<_> = fs::read_dir(folder.join(name)).unwrap().collect();
        assert!(inputs.len() >= 10, "the corpus of {name} is gone");
        for input in inputs {
            let path = input.unwrap().path();
            eprintln!("{}", path.display());
            run(&fs::read(path).unwrap());
        }
    }
}

#[test]
fn any_bytes_pass() {
    for (name, run) in TARGETS {
        for seed in 0..200 {
            eprintln!("{name}, seed {seed}");
            run(&random_bytes(seed, 3 * seed as usize));
        }
    }
}
