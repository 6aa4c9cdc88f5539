//! How many connections listeners may still take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A number of connections that listeners may still take together. Each one
/// taken costs one; with none left they take no more, and those who connect
/// wait in the kernel's backlog until some are
/// [given back](crate::Context::give_back).
///
/// Listeners that share one belong to the same loop or pool. What a kernel
/// took by itself meanwhile is kept, and given out when there is some left.
///
/// ```
/// # use ferrevent::{Allowance, EventLoop, Stream};
/// # let mut events = EventLoop::new()?;
/// let allowance = Allowance::new(100);
/// let listener = events.listen("127.0.0.1:0".parse()?, || |_: &mut Stream<'_>| ())?;
/// events.context().limit(listener, &allowance);
/// // Later, when a connection has ended:
/// events.context().give_back(&allowance, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Allowance(Arc<AtomicU32>);

impl Allowance {
    /// So many connections.
    ///
    /// ```
    /// assert_eq!(ferrevent::Allowance::new(3).left(), 3);
    /// ```
    pub fn new(connections: u32) -> Self {
        Self(Arc::new(AtomicU32::new(connections)))
    }

    /// How many may still be taken.
    ///
    /// ```
    /// assert_eq!(ferrevent::Allowance::new(0).left(), 0);
    /// ```
    pub fn left(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn is_spent(&self) -> bool {
        self.left() == 0
    }

    pub(super) fn take(&self) {
        self.change(|left| left.saturating_sub(1));
    }

    pub(super) fn put(&self, connections: u32) {
        self.change(|left| left.saturating_add(connections));
    }

    fn change(&self, change: impl Fn(u32) -> u32) {
        let change = |left| Some(change(left));
        // Never refused.
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
    }
}
