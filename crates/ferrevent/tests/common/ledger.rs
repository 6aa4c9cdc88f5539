//! What a test's handlers lived through: who is there, who was closed and why,
//! and which fault was told to whom.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferrevent::{CloseReason, Handler, Stream, Timeout, Trouble};

/// The text of a panic that a test means to happen.
pub(crate) const ON_PURPOSE: &str = "on purpose";

/// Everything that must come out even once a rig is gone.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Handlers that were made and not dropped yet.
    alive: AtomicUsize,
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    /// What was told, in order, for a person to read.
    told: Vec<String>,
    /// How many of those end what a test counts on.
    fatal: usize,
    /// What may never happen.
    wrong: Vec<String>,
}

impl Ledger {
    /// A fault was told that the rest gets over by itself.
    pub(crate) fn note(&self, text: String) {
        self.pages().told.push(text);
    }

    /// A fault was told by an error, so the usual outcome may not come about.
    pub(crate) fn fail(&self, text: String) {
        let mut pages = self.pages();
        pages.told.push(text);
        pages.fatal += 1;
    }

    /// Whether a fault was told by an error.
    pub(crate) fn has_failed(&self) -> bool {
        self.pages().fatal > 0
    }

    pub(crate) fn trouble(&self, trouble: &Trouble) {
        match trouble {
            Trouble::Resting(_, error) => self.note(format!("a listener rests: {error}")),
            Trouble::ListenerFailed(_, error) => self.fail(format!("a listener failed: {error}")),
            Trouble::Panicked(message) => self.panicked(message),
            other => self.fail(format!("{other:?}")),
        }
    }

    fn panicked(&self, message: &str) {
        let mut pages = self.pages();
        pages.told.push(format!("a panic: {message}"));
        if !message.contains(ON_PURPOSE) {
            pages.wrong.push(format!("a panic: {message}"));
        }
    }

    fn wrong(&self, text: String) {
        self.pages().wrong.push(text);
    }

    /// Once a rig is gone: nobody may be left, and nothing have gone wrong.
    pub(crate) fn close(&self) {
        let pages = self.pages();
        assert!(
            pages.wrong.is_empty(),
            "{:#?}\n{:#?}",
            pages.wrong,
            pages.told
        );
        let alive = self.alive.load(Ordering::SeqCst);
        assert!(alive == 0, "{alive} handlers are left\n{:#?}", pages.told);
    }

    /// Forgets what was told.
    pub(crate) fn forget(&self) {
        *self.pages() = Pages::default();
    }

    /// What was told so far.
    pub(crate) fn dump(&self) -> String {
        let pages = self.pages();
        format!("told: {:#?}\nwrong: {:#?}", pages.told, pages.wrong)
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes down the lives of handlers that other handlers make.
#[derive(Clone)]
pub(crate) struct Watcher(pub(crate) Arc<Ledger>);

impl Watcher {
    pub(crate) fn watch<H: Handler>(&self, name: &str, handler: H) -> Watched<H> {
        Watched::new(name.to_owned(), handler, &self.0, Owned::default())
    }
}

/// A handler whose life is written down.
pub(crate) struct Watched<H> {
    inner: H,
    name: String,
    ledger: Arc<Ledger>,
    /// It belongs to a stream, so it must be told of the close.
    owned: Owned,
    closed: bool,
}

/// Whether a stream has this handler: not yet known while it is being made.
#[derive(Clone, Default)]
pub(crate) struct Owned(Arc<AtomicUsize>);

impl Owned {
    pub(crate) fn by_a_stream(&self) {
        self.0.store(1, Ordering::SeqCst);
    }

    /// Whoever made the stream says whether it came about.
    pub(crate) fn known_by<T>(&self, made: &std::io::Result<T>) {
        if made.is_ok() {
            self.by_a_stream();
        }
    }

    fn is_known(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 1
    }
}

impl<H: Handler> Watched<H> {
    pub(crate) fn new(name: String, inner: H, ledger: &Arc<Ledger>, owned: Owned) -> Self {
        ledger.alive.fetch_add(1, Ordering::SeqCst);
        Self {
            inner,
            name,
            ledger: Arc::clone(ledger),
            owned,
            closed: false,
        }
    }

    fn told(&mut self, what: &str) -> &mut H {
        self.owned.by_a_stream();
        if self.closed {
            self.ledger
                .wrong(format!("{}: {what} after closed", self.name));
        }
        &mut self.inner
    }
}

impl<H: Handler> Handler for Watched<H> {
    fn opened(&mut self, stream: &mut Stream<'_>) {
        self.told("opened").opened(stream);
    }

    fn readable(&mut self, stream: &mut Stream<'_>) {
        self.told("readable").readable(stream);
    }

    fn upgraded(&mut self, stream: &mut Stream<'_>) {
        self.told("upgraded").upgraded(stream);
    }

    fn sent(&mut self, stream: &mut Stream<'_>) {
        self.told("sent").sent(stream);
    }

    fn writable(&mut self, stream: &mut Stream<'_>) {
        self.told("writable").writable(stream);
    }

    fn ended(&mut self, stream: &mut Stream<'_>) {
        self.told("ended").ended(stream);
    }

    fn timed_out(&mut self, stream: &mut Stream<'_>, which: Timeout) {
        self.told("timed out").timed_out(stream, which);
    }

    fn closed(&mut self, stream: &mut Stream<'_>, reason: CloseReason) {
        self.told("closed");
        self.closed = true;
        let text = format!(
            "{}: {reason}, received {}, sent {}",
            self.name,
            stream.received_bytes(),
            stream.sent_bytes()
        );
        match &reason {
            CloseReason::Panicked(message) => self.ledger.panicked(message),
            reason if reason.is_clean() => self.ledger.note(text),
            _ => self.ledger.fail(text),
        }
        self.inner.closed(stream, reason);
    }
}

impl<H> Drop for Watched<H> {
    fn drop(&mut self) {
        self.ledger.alive.fetch_sub(1, Ordering::SeqCst);
        if self.owned.is_known() && !self.closed {
            self.ledger
                .wrong(format!("{}: dropped without a close", self.name));
        }
    }
}
