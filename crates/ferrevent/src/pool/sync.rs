//! What the desk is built on: the standard library's, or loom's, under which
//! every order of events is tried.

#[cfg(not(loom))]
pub(super) use std::sync::{Condvar, Mutex, MutexGuard};

#[cfg(loom)]
pub(super) use loom::sync::{Condvar, Mutex, MutexGuard};
