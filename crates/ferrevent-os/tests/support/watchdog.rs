//! Something that hangs is ended, and named.

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often it looks.
const LOOK: Duration = Duration::from_millis(200);

/// Ends the process when something is not over in time. Its thread stays
/// until the process ends.
pub(crate) struct Watchdog(Arc<Mutex<Option<(Instant, String)>>>);

impl Watchdog {
    pub(crate) fn new() -> Self {
        let watched = Self(Arc::default());
        let state = Self(Arc::clone(&watched.0));
        thread::spawn(move || {
            loop {
                thread::sleep(LOOK);
                if let Some((end, what)) = &*state.lock()
                    && Instant::now() > *end
                {
                    // The harness captures what the macros print.
                    let _ = writeln!(std::io::stderr(), "it hangs: {what}");
                    std::process::abort();
                }
            }
        });
        watched
    }

    /// Watches over what begins now.
    pub(crate) fn watch(&self, limit: Duration, what: String) {
        *self.lock() = Some((Instant::now() + limit, what));
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Instant, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
