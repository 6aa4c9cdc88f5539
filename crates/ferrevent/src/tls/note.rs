//! What has come about in a handshake that rustls tells nobody of: it asks
//! the resolver for a certificate, and tells the key log of secrets, on the
//! thread that works on the records.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::sign::CertifiedKey;

use super::export::Told;

thread_local! {
    static NOTES: RefCell<Notes> = RefCell::default();
}

#[derive(Default)]
pub(super) struct Notes {
    pub(super) key: Option<Arc<CertifiedKey>>,
    /// The name that the client asked for.
    pub(super) name: Option<Box<str>>,
    pub(super) told: Option<Told>,
}

pub(super) fn chosen(key: &Arc<CertifiedKey>) {
    NOTES.with_borrow_mut(|notes| notes.key = Some(Arc::clone(key)));
}

pub(super) fn asked_for(name: Option<&str>) {
    NOTES.with_borrow_mut(|notes| notes.name = name.map(Into::into));
}

pub(super) fn told(secret: Option<Told>) {
    NOTES.with_borrow_mut(|notes| notes.told = secret);
}

/// What was noted since this was asked last.
pub(super) fn take() -> Notes {
    NOTES.take()
}
