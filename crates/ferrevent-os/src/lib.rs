//! Operating-system backends.
