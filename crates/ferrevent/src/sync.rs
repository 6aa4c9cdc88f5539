//! What passes wake-ups from thread to thread is built on these: the standard
//! library's, or loom's, under which every order of events is tried.

#[cfg(not(loom))]
pub(crate) use std::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, Ordering},
    sync::{Condvar, Mutex, MutexGuard},
};

#[cfg(loom)]
pub(crate) use loom::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, Ordering},
    sync::{Condvar, Mutex, MutexGuard},
};

#[cfg(all(feature = "async", not(loom)))]
pub(crate) use std::sync::atomic::AtomicU8;

#[cfg(all(feature = "async", loom))]
pub(crate) use loom::sync::atomic::AtomicU8;
