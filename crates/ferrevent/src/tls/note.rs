//! Which certificate was chosen in a handshake. rustls asks the resolver on
//! the thread that works on the records, and tells nobody of its answer.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::sign::CertifiedKey;

thread_local! {
    static CHOSEN: RefCell<Chosen> = RefCell::default();
}

#[derive(Default)]
pub(super) struct Chosen {
    pub(super) key: Option<Arc<CertifiedKey>>,
    /// The name that the client asked for.
    pub(super) name: Option<Box<str>>,
}

pub(super) fn chosen(key: &Arc<CertifiedKey>) {
    CHOSEN.with_borrow_mut(|chosen| chosen.key = Some(Arc::clone(key)));
}

pub(super) fn asked_for(name: Option<&str>) {
    CHOSEN.with_borrow_mut(|chosen| chosen.name = name.map(Into::into));
}

/// What was chosen since this was asked last.
pub(super) fn take() -> Chosen {
    CHOSEN.take()
}
