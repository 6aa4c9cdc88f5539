//! An event-driven networking engine.
#![forbid(unsafe_code)]
