//! What callbacks, and those who own a loop or a pool, can do with it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ferrevent_core::timer::Tick;
use ferrevent_os::socket;

use super::{
    Host, Inner, Key, ListenerId, OneThread, Remote, SignalId, Stop, TimerId, Trigger, WatchId, on,
};
use crate::engine::{Allowance, Priority};
use crate::handle::Handle;
use crate::mailbox::Mailbox;

/// The loop or the pool, for the length of one callback. What is added by it
/// must be `Send`, because a handler may run on either; what is not can be
/// added by its [`local`](Self::local) half, which only a loop has.
///
/// ```
/// # use std::time::Duration;
/// # use ferrevent::{EventLoop};
/// # let mut events = EventLoop::new()?;
/// events.timer(Duration::from_millis(1), |context| {
///     println!("it is {:?}", context.now());
///     context.stop(true);
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Context<'a> {
    pub(super) host: Host<'a>,
    pub(super) now: Tick,
}

/// A loop, with what need not be `Send`.
///
/// ```
/// # use std::{rc::Rc, time::Duration};
/// # use ferrevent::EventLoop;
/// # let mut events = EventLoop::new()?;
/// let ours = Rc::new("not Send");
/// events.local().timer(Duration::from_millis(1), move |_| println!("{ours}"))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Local<'a> {
    pub(super) host: Host<'a>,
}

impl<'a> Local<'a> {
    pub(crate) fn new(inner: &'a mut Inner<OneThread>) -> Self {
        Self {
            host: Host::Loop(inner),
        }
    }
}

impl<'a> Context<'a> {
    pub(crate) fn new(host: Host<'a>, now: Tick) -> Self {
        Self { host, now }
    }

    pub(crate) fn now_tick(&self) -> Tick {
        self.now
    }

    pub(crate) fn mailbox(&self) -> Arc<Mailbox> {
        self.host.mailbox()
    }

    #[cfg(feature = "dns")]
    pub(crate) fn sys(&self) -> ferrevent_os::sys::Sys {
        self.host.sys()
    }

    #[cfg(feature = "dns")]
    pub(crate) fn keep_resolver(&mut self, resolver: Option<crate::resolver::Resolver>) {
        // The old one goes last, when no lock is held.
        let _old = on!(&mut self.host, inner => std::mem::replace(&mut inner.resolver, resolver));
    }

    /// The loop, with what need not be `Send`; `None` on a pool.
    ///
    /// ```
    /// # use std::{cell::Cell, rc::Rc, time::Duration};
    /// # use ferrevent::EventLoop;
    /// # let mut events = EventLoop::new()?;
    /// let count = Rc::new(Cell::new(0));
    /// events.local().timer(Duration::from_millis(1), move |context| {
    ///     count.set(count.get() + 1);
    ///     let again = Rc::clone(&count);
    ///     if let Some(mut local) = context.local() {
    ///         let _ = local.timer(Duration::from_millis(1), move |_| again.set(0));
    ///     }
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn local(&mut self) -> Option<Local<'_>> {
        match &mut self.host {
            Host::Loop(inner) => Some(Local::new(inner)),
            Host::Pool(_) => None,
        }
    }

    /// The time of this turn, since the clock was made.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// events.timer(Duration::from_millis(1), |context| println!("{:?}", context.now()))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn now(&self) -> Duration {
        Duration::from_micros(self.now.0)
    }

    /// Stops the loop: at once, with the rest of the turn left for its next
    /// run, or after this turn.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// events.timer(Duration::from_millis(1), |context| context.stop(true))?;
    /// events.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stop(&mut self, at_once: bool) {
        let stop = if at_once { Stop::Now } else { Stop::AfterTurn };
        on!(&mut self.host, inner => inner.stop = stop);
    }

    /// How many bytes a stream has received and sent so far. None for one that
    /// is over, that is on another loop, or whose callback runs just now.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// let (one, _) = events.context().pair(|_: &mut Stream<'_>| (), |_: &mut Stream<'_>| ())?;
    /// assert_eq!(events.context().transferred(&one), Some((0, 0)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn transferred(&mut self, stream: &Handle) -> Option<(u64, u64)> {
        if !Arc::ptr_eq(&stream.mailbox, &self.mailbox()) {
            return None;
        }
        on!(&mut self.host, inner => {
            let machine = &inner.engine.stream(stream.shared.token)?.machine;
            Some((machine.received_bytes(), machine.sent_bytes()))
        })
    }

    /// Sets which queue something's events go to: 0 is served first. A number
    /// past the last priority means the last. Returns whether there is such a
    /// thing; false too for a stream whose callback runs just now.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// let urgent = events.timer(Duration::from_secs(1), |_| ())?;
    /// assert!(events.context().set_priority(urgent, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_priority(&mut self, which: impl Into<Key>, priority: u8) -> bool {
        let key = which.into();
        on!(&mut self.host, inner => inner.engine.set_priority(key.0, Priority(priority)))
    }

    /// The address a listener is bound to, port included.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// let listener = events.listen("127.0.0.1:0".parse()?, || |_: &mut Stream<'_>| ())?;
    /// let address = events.context().listener_addr(listener);
    /// assert!(address.is_some_and(|address| address.port() != 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn listener_addr(&mut self, listener: ListenerId) -> Option<SocketAddr> {
        on!(&mut self.host, inner => socket::local(inner.engine.listener_port(listener.0)?))
    }

    /// Takes no connections for a while, or goes on. Returns whether there is
    /// such a listener.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// let listener = events.listen("127.0.0.1:0".parse()?, || |_: &mut Stream<'_>| ())?;
    /// assert!(events.context().pause_listener(listener, true));
    /// assert!(events.context().pause_listener(listener, false));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pause_listener(&mut self, listener: ListenerId, pause: bool) -> bool {
        on!(&mut self.host, inner => inner.engine.pause_listener(listener.0, pause))
    }

    /// Lets a listener take no more connections than this allowance has, from
    /// now on: see [`Allowance`]. Returns whether there is such a listener.
    ///
    /// ```
    /// # use ferrevent::{Allowance, EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// let allowance = Allowance::new(1);
    /// let listener = events.listen("127.0.0.1:0".parse()?, || |_: &mut Stream<'_>| ())?;
    /// assert!(events.context().limit(listener, &allowance));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn limit(&mut self, listener: ListenerId, allowance: &Allowance) -> bool {
        let allowance = allowance.clone();
        on!(&mut self.host, inner => inner.engine.limit_listener(listener.0, allowance))
    }

    /// Lets the listeners of an allowance take so many connections more, as
    /// when these have ended.
    ///
    /// ```
    /// # use ferrevent::{Allowance, EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// let allowance = Allowance::new(1);
    /// events.context().give_back(&allowance, 1);
    /// assert_eq!(allowance.left(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn give_back(&mut self, allowance: &Allowance, connections: u32) {
        on!(&mut self.host, inner => inner.engine.give_back(allowance, connections));
    }

    /// Ends a listener; the streams it took live on.
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// let listener = events.listen("127.0.0.1:0".parse()?, || |_: &mut Stream<'_>| ())?;
    /// assert!(events.context().close_listener(listener));
    /// assert!(events.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close_listener(&mut self, listener: ListenerId) -> bool {
        self.remove(listener.into())
    }

    /// Arms a timer anew, counted from the time of this turn. Returns whether
    /// there is such a timer.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// let timer = events.timer(Duration::from_secs(60), |_| ())?;
    /// assert!(events.context().arm_timer(timer, Duration::from_millis(1)));
    /// events.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn arm_timer(&mut self, timer: TimerId, after: Duration) -> bool {
        on!(&mut self.host, inner => inner.arm_timer(timer, after))
    }

    /// Ends a timer. On a pool its callback may be running just now, for the
    /// last time.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// let timer = events.timer(Duration::from_secs(60), |_| ())?;
    /// assert!(events.context().remove_timer(timer));
    /// assert!(!events.context().remove_timer(timer));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove_timer(&mut self, timer: TimerId) -> bool {
        self.remove(timer.into())
    }

    /// Arms a one-shot registration anew.
    ///
    /// # Errors
    /// As [`Engine::arm_watch`](crate::engine::Engine::arm_watch).
    ///
    /// ```
    /// # use std::os::fd::AsFd;
    /// # use ferrevent::{EventLoop, Readiness, engine::Registration};
    /// # let mut events = EventLoop::new()?;
    /// let (near, far) = std::os::unix::net::UnixStream::pair()?;
    /// let once = Registration {
    ///     persistent: false,
    ///     ..Registration::new(Readiness::WRITE)
    /// };
    /// let watch = events.context().watch(near.as_fd(), once, |_, _| ())?;
    /// events.poll()?;
    /// events.context().arm_watch(watch)?;
    /// # drop(far);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn arm_watch(&mut self, watch: WatchId) -> io::Result<()> {
        on!(&mut self.host, inner => inner.engine.arm_watch(watch.0))
    }

    /// Ends a registration.
    ///
    /// ```
    /// # use std::os::fd::AsFd;
    /// # use ferrevent::{EventLoop, Readiness, engine::Registration};
    /// # let mut events = EventLoop::new()?;
    /// let (near, far) = std::os::unix::net::UnixStream::pair()?;
    /// let watch = events.context().watch(near.as_fd(), Registration::new(Readiness::READ), |_, _| ())?;
    /// assert!(events.context().remove_watch(watch));
    /// # drop(far);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove_watch(&mut self, watch: WatchId) -> bool {
        self.remove(watch.into())
    }

    /// Ends a user event; its triggers do nothing from then on.
    ///
    /// ```
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// let trigger = events.context().trigger(|_| ())?;
    /// assert!(events.context().remove_trigger(&trigger));
    /// assert!(events.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove_trigger(&mut self, trigger: &Trigger) -> bool {
        self.remove(trigger.into())
    }

    /// Listens for a signal no more.
    ///
    /// ```
    /// # use ferrevent::EventLoop;
    /// # let mut events = EventLoop::new()?;
    /// const SIGUSR1: i32 = 10;
    /// let signal = events.context().signal(SIGUSR1, |_, times| println!("{times} more"))?;
    /// assert!(events.context().remove_signal(signal));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove_signal(&mut self, signal: SignalId) -> bool {
        on!(&mut self.host, inner => inner.forget_signal(signal));
        self.remove(signal.into())
    }

    /// Runs this on the loop, in its next turn. `remote` handles do the same
    /// from other threads.
    ///
    /// ```
    /// # use ferrevent::{EventLoop};
    /// # let mut events = EventLoop::new()?;
    /// let remote = events.context().remote();
    /// let thread = std::thread::spawn(move || remote.run(|context| println!("{:?} on the loop", context.now())));
    /// # assert!(thread.join().is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remote(&self) -> Remote {
        Remote {
            mailbox: self.mailbox(),
        }
    }

    /// Has a stream's handler called: [`nudged`](crate::Handler::nudged).
    #[cfg(feature = "async")]
    pub(crate) fn nudge(&mut self, stream: ferrevent_os::Token) {
        use crate::mailbox::{Command, Message};
        let there = on!(&mut self.host, inner => {
            // One that is out is asked when it is back.
            inner.engine.missing(stream).is_none() && {
                inner.engine.with_stream(stream, |stream, _| stream.machine.nudge());
                true
            }
        });
        if !there {
            // A loop that is gone has told its streams so.
            let _ = self
                .mailbox()
                .send(Message::Command(stream, Command::Nudge));
        }
    }

    /// The owner goes last, when no lock is held.
    fn remove(&mut self, key: Key) -> bool {
        match &mut self.host {
            Host::Loop(inner) => inner.engine.remove(key.0).is_some(),
            Host::Pool(core) => {
                let removed = core.with(|inner| inner.engine.remove(key.0));
                removed.is_some()
            }
        }
    }
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("now", &self.now())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Local<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local").finish_non_exhaustive()
    }
}
