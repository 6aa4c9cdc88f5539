//! Something that is done again and again.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ferrevent::Context;

/// Calls back after every period, for as long as the loop runs.
pub(super) fn every(
    context: &mut Context<'_>,
    period: Duration,
    mut callback: impl FnMut(&mut Context<'_>) + Send + 'static,
) -> io::Result<()> {
    let id = Arc::new(Mutex::new(None));
    let own = Arc::clone(&id);
    let timer = context.timer(period, move |context| {
        callback(context);
        if let Some(id) = *own.lock().unwrap_or_else(PoisonError::into_inner) {
            context.arm_timer(id, period);
        }
    })?;
    *id.lock().unwrap_or_else(PoisonError::into_inner) = Some(timer);
    Ok(())
}
