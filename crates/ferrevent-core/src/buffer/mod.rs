//! A chain of byte segments.
