//! Names for what a loop or a pool has, and ways to reach it from elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ferrevent_os::Token;

use super::Context;
use crate::handle::Handle;
use crate::mailbox::{Mailbox, Message};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name(pub(crate) Token);
    )*};
}

ids! {
    /// A listener.
    ListenerId;
    /// A timer.
    TimerId;
    /// A registration of interest in a descriptor.
    WatchId;
    /// A signal that is listened to.
    SignalId;
}

/// Anything that has events.
///
/// ```
/// # use std::time::Duration;
/// # use ferrevent::{EventLoop};
/// # let mut events = EventLoop::new()?;
/// let timer = events.timer(Duration::from_secs(1), |_| ())?;
/// events.context().set_priority(timer, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(pub(crate) Token);

macro_rules! keys {
    ($($name:ty: $id:ident => $token:expr;)*) => {$(
        impl From<$name> for Key {
            fn from($id: $name) -> Self {
                Key($token)
            }
        }
    )*};
}

keys! {
    ListenerId: id => id.0;
    TimerId: id => id.0;
    WatchId: id => id.0;
    SignalId: id => id.0;
    &Trigger: id => id.token;
    &Handle: id => id.shared.token;
}

/// Raises a user event of a loop, from any thread.
///
/// ```
/// # use ferrevent::{EventLoop};
/// # let mut events = EventLoop::new()?;
/// let trigger = events.context().trigger(|_| println!("raised"))?;
/// let thread = std::thread::spawn(move || trigger.raise());
/// # assert!(thread.join().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Trigger {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) token: Token,
    pub(super) raised: Arc<AtomicBool>,
}

impl Trigger {
    /// Has the event's callback run once, soon. Raising it again before the
    /// loop has seen it changes nothing. Returns false when the loop is no
    /// more.
    ///
    /// ```
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// let trigger = events.context().trigger(|context| context.stop(true))?;
    /// assert!(trigger.raise());
    /// events.run()?;
    /// drop(events);
    /// assert!(!trigger.raise());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn raise(&self) -> bool {
        if self.raised.swap(true, Ordering::AcqRel) {
            return true;
        }
        self.mailbox
            .send(Message::Raise(self.token, Arc::clone(&self.raised)))
            .is_ok()
    }
}

impl std::fmt::Debug for Trigger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trigger")
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

/// A loop, from any thread.
///
/// ```
/// # use ferrevent::{EventLoop};
/// # let mut events = EventLoop::new()?;
/// let remote = events.context().remote();
/// let thread = std::thread::spawn(move || remote.stop());
/// # assert!(thread.join().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Remote {
    pub(super) mailbox: Arc<Mailbox>,
}

impl Remote {
    /// Runs this on the loop. Returns false when the loop is no more.
    ///
    /// ```
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// let remote = events.context().remote();
    /// assert!(remote.run(|context| context.stop(true)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run(&self, work: impl FnOnce(&mut Context<'_>) + Send + 'static) -> bool {
        self.mailbox.send(Message::Run(Box::new(work))).is_ok()
    }

    /// Stops the loop. Returns false when it is no more.
    ///
    /// ```
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// let remote = events.context().remote();
    /// assert!(remote.stop());
    /// drop(events);
    /// assert!(!remote.stop());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stop(&self) -> bool {
        self.mailbox.send(Message::Stop).is_ok()
    }
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Remote")
    }
}
