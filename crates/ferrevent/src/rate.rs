//! Rate limits of streams, and groups of them.

use std::fmt;
use std::io;
use std::sync::Arc;

use ferrevent_core::limit::{Direction, LimitError, NodeId, RateLimits, Share};
use ferrevent_core::timer::Tick;
use ferrevent_os::Token;
use ferrevent_os::socket;

use crate::engine::{Limited, Limits};
use crate::host::Context;
use crate::mailbox::{Command, Mailbox, Message};
use crate::{Handle, Stream};

/// Streams that share a limit, on one loop or pool; a group may lie in
/// another, to any depth. What one stream does not use the others have, each
/// by its [`Share`].
///
/// Limits count the bytes on the wire: below TLS and every other filter.
/// Sending counts when the kernel is given the bytes, receiving when they are
/// taken from it. There is no tick: a stream goes on at the microsecond at
/// which the buckets hold what it needs, and one that has nothing to move is
/// not woken.
///
/// A group can be used from any thread. It lives as long as one of its clones
/// or something in it.
///
/// ```
/// use ferrevent::limit::{RateLimit, RateLimits, Share};
/// use ferrevent::{EventLoop, Stream};
///
/// let mut events = EventLoop::new()?;
/// let all = events.context().rate_group(RateLimits::both(RateLimit::new(10_000_000)?))?;
/// let guests = all.subgroup(RateLimits::both(RateLimit::new(2_000_000)?), Share::default())?;
/// events.listen("127.0.0.1:0".parse()?, move || {
///     let guests = guests.clone();
///     move |stream: &mut Stream<'_>| {
///         let _ = stream.join(&guests, Share::default());
///         stream.echo();
///     }
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct RateGroup(Arc<Inner>);

struct Inner {
    mailbox: Arc<Mailbox>,
    node: NodeId,
}

impl Inner {
    fn limits(&self) -> &Arc<Limits> {
        self.mailbox.limits()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.limits()
            .with_now(|tree, now| tree.release(self.node, now));
    }
}

impl RateGroup {
    pub(crate) fn new(mailbox: Arc<Mailbox>, limits: RateLimits) -> Result<Self, LimitError> {
        Self::make(mailbox, None, limits, Share::default())
    }

    fn make(
        mailbox: Arc<Mailbox>,
        parent: Option<NodeId>,
        limits: RateLimits,
        share: Share,
    ) -> Result<Self, LimitError> {
        let node = mailbox
            .limits()
            .with_now(|tree, now| tree.add_group(parent, limits, share, now))?;
        Ok(Self(Arc::new(Inner { mailbox, node })))
    }

    /// A group inside this one, which gets this share of it.
    ///
    /// # Errors
    /// [`LimitError::ZeroWeight`], [`LimitError::Full`].
    ///
    /// ```
    /// # use ferrevent::limit::{RateLimit, RateLimits, Share};
    /// # let mut events = ferrevent::EventLoop::new()?;
    /// let all = events.context().rate_group(RateLimits::both(RateLimit::new(1_000_000)?))?;
    /// // As much as there is, but only what the others leave.
    /// let backups = all.subgroup(RateLimits::NONE, Share { priority: 1, ..Share::default() })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn subgroup(&self, limits: RateLimits, share: Share) -> Result<Self, LimitError> {
        let mailbox = Arc::clone(&self.0.mailbox);
        Self::make(mailbox, Some(self.0.node), limits, share)
    }

    /// Sets other limits. What is in the buckets stays, as far as they have
    /// room for it.
    ///
    /// ```
    /// # use ferrevent::limit::{RateLimit, RateLimits};
    /// # let mut events = ferrevent::EventLoop::new()?;
    /// # let group = events.context().rate_group(RateLimits::NONE)?;
    /// group.set(RateLimits::both(RateLimit::new(500_000)?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set(&self, limits: RateLimits) {
        self.set_limits(limits, false);
    }

    /// Sets limits, and fills the buckets: as if they had been set long ago.
    ///
    /// ```
    /// # use ferrevent::limit::{Direction, RateLimit, RateLimits};
    /// # let mut events = ferrevent::EventLoop::new()?;
    /// # let group = events.context().rate_group(RateLimits::NONE)?;
    /// group.reset(RateLimits::both(RateLimit::new(500_000)?));
    /// assert_eq!(group.level(Direction::Read), Some(50_000));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reset(&self, limits: RateLimits) {
        self.set_limits(limits, true);
    }

    fn set_limits(&self, limits: RateLimits, reset: bool) {
        // It is there as long as this is.
        let _ = self.change(|tree, now| tree.set_limits(self.0.node, limits, reset, now));
    }

    /// Sets what part of the group around it it gets.
    ///
    /// # Errors
    /// [`LimitError::ZeroWeight`].
    ///
    /// ```
    /// # use ferrevent::limit::{RateLimits, Share};
    /// # let mut events = ferrevent::EventLoop::new()?;
    /// # let all = events.context().rate_group(RateLimits::NONE)?;
    /// # let group = all.subgroup(RateLimits::NONE, Share::default())?;
    /// group.set_share(Share::weighing(3)?)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_share(&self, share: Share) -> Result<(), LimitError> {
        self.change(|tree, now| tree.set_share(self.0.node, share, now))
    }

    /// Moves it, with everything in it, into another group, or out of any.
    ///
    /// # Errors
    /// [`LimitError::Cycle`] for a group that lies in this one,
    /// [`LimitError::Foreign`] for one of another loop or pool.
    ///
    /// ```
    /// # use ferrevent::limit::{LimitError, RateLimits, Share};
    /// # let mut events = ferrevent::EventLoop::new()?;
    /// let all = events.context().rate_group(RateLimits::NONE)?;
    /// let some = all.subgroup(RateLimits::NONE, Share::default())?;
    /// assert_eq!(all.move_to(Some(&some)), Err(LimitError::Cycle));
    /// some.move_to(None)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn move_to(&self, parent: Option<&RateGroup>) -> Result<(), LimitError> {
        let parent = match parent {
            Some(parent) => Some(parent.node_on(self.0.limits())?),
            None => None,
        };
        self.change(|tree, now| tree.set_parent(self.0.node, parent, now))
    }

    /// Its limits.
    ///
    /// ```
    /// # use ferrevent::limit::RateLimits;
    /// # let mut events = ferrevent::EventLoop::new()?;
    /// let group = events.context().rate_group(RateLimits::NONE)?;
    /// assert_eq!(group.limits(), RateLimits::NONE);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn limits(&self) -> RateLimits {
        let limits = self.0.limits().with(|tree| tree.limits(self.0.node));
        limits.unwrap_or(RateLimits::NONE)
    }

    /// The bytes that are in its bucket now: so many may move at once. None
    /// without a limit in this direction.
    ///
    /// ```
    /// # use ferrevent::limit::{Direction, RateLimit, RateLimits};
    /// # let mut events = ferrevent::EventLoop::new()?;
    /// let limit = RateLimit::new(1_000_000)?.with_burst(20_000)?;
    /// let group = events.context().rate_group(RateLimits::both(limit))?;
    /// assert_eq!(group.level(Direction::Write), Some(20_000));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn level(&self, direction: Direction) -> Option<u64> {
        let limits = self.0.limits();
        limits.with_now(|tree, now| tree.level(self.0.node, direction, now))
    }

    /// The bytes that streams have moved while they were in it, or in a group
    /// inside it.
    ///
    /// ```
    /// # use ferrevent::limit::{Direction, RateLimits};
    /// # let mut events = ferrevent::EventLoop::new()?;
    /// let group = events.context().rate_group(RateLimits::NONE)?;
    /// assert_eq!(group.moved_bytes(Direction::Read), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn moved_bytes(&self, direction: Direction) -> u64 {
        let limits = self.0.limits();
        limits
            .with(|tree| tree.moved(self.0.node, direction))
            .unwrap_or(0)
    }

    /// Its place in the tree of a loop, if it is of that one.
    fn node_on(&self, limits: &Arc<Limits>) -> Result<NodeId, LimitError> {
        if Arc::ptr_eq(self.0.limits(), limits) {
            Ok(self.0.node)
        } else {
            Err(LimitError::Foreign)
        }
    }

    fn change<R>(&self, change: impl FnOnce(&mut Tree, Tick) -> R) -> R {
        let result = self.0.limits().with_now(change);
        // A loop that is gone has nobody who waits.
        let _ = self.0.mailbox.send(Message::Limits);
        result
    }
}

type Tree = ferrevent_core::limit::Tree<Token>;

impl fmt::Debug for RateGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateGroup")
            .field("node", &self.0.node)
            .field("limits", &self.limits())
            .finish()
    }
}

/// What is to be done with a stream's limits.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Limits(RateLimits, bool),
    Join(RateGroup, Share),
    Leave,
    End,
}

impl Change {
    pub(crate) fn apply(
        &self,
        slot: &mut Option<Box<Limited>>,
        limits: &Arc<Limits>,
        token: Token,
        now: Tick,
    ) -> Result<(), LimitError> {
        match self {
            Change::Leave | Change::End if slot.is_none() => return Ok(()),
            _ => {}
        }
        let limited = match slot {
            Some(limited) => limited,
            None => slot.insert(Box::new(Limited::new(limits, token, now)?)),
        };
        let (limits, node) = limited.stay();
        let limits = &Arc::clone(limits);
        match self {
            Change::Limits(wanted, reset) => {
                limits.with(|tree| tree.set_limits(node, *wanted, *reset, now))
            }
            Change::Join(group, share) => {
                let group = group.node_on(limits)?;
                limits.with(|tree| {
                    tree.set_share(node, *share, now)?;
                    tree.set_parent(node, Some(group), now)
                })
            }
            Change::Leave => limits.with(|tree| tree.set_parent(node, None, now)),
            Change::End => {
                limits.with(|tree| {
                    tree.set_limits(node, RateLimits::NONE, false, now)?;
                    tree.set_parent(node, None, now)
                })?;
                limited.leave();
                Ok(())
            }
        }
    }
}

impl Stream<'_> {
    /// Limits how fast it receives and sends, alone or beside the limits of
    /// the group it is in. What is in its buckets stays, as far as they have
    /// room for it; a new bucket is full.
    ///
    /// # Errors
    /// [`LimitError::Full`].
    ///
    /// ```
    /// use ferrevent::limit::{RateLimit, RateLimits};
    /// use ferrevent::{Handler, Stream};
    ///
    /// struct Slow(RateLimit);
    ///
    /// impl Handler for Slow {
    ///     fn opened(&mut self, stream: &mut Stream<'_>) {
    ///         let _ = stream.limit(RateLimits { write: Some(self.0), ..RateLimits::NONE });
    ///     }
    ///
    ///     fn readable(&mut self, stream: &mut Stream<'_>) {
    ///         stream.echo();
    ///     }
    /// }
    /// # let mut events = ferrevent::EventLoop::new()?;
    /// let limit = RateLimit::new(100_000)?;
    /// events.listen("127.0.0.1:0".parse()?, move || Slow(limit))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn limit(&mut self, limits: RateLimits) -> Result<(), LimitError> {
        self.change_limits(&Change::Limits(limits, false))
    }

    /// As [`limit`](Self::limit), with buckets that are full at once.
    ///
    /// # Errors
    /// [`LimitError::Full`].
    ///
    /// ```
    /// # use ferrevent::Stream;
    /// # use ferrevent::limit::{LimitError, RateLimits};
    /// fn anew(stream: &mut Stream<'_>, limits: RateLimits) -> Result<(), LimitError> {
    ///     stream.reset_limit(limits)
    /// }
    /// ```
    pub fn reset_limit(&mut self, limits: RateLimits) -> Result<(), LimitError> {
        self.change_limits(&Change::Limits(limits, true))
    }

    /// Puts it into a group, and takes it out of the one it was in; limits of
    /// its own stay.
    ///
    /// # Errors
    /// [`LimitError::Foreign`] for a group of another loop or pool,
    /// [`LimitError::ZeroWeight`], [`LimitError::Full`].
    ///
    /// ```
    /// # use ferrevent::{RateGroup, Stream};
    /// # use ferrevent::limit::{LimitError, Share};
    /// fn twice(stream: &mut Stream<'_>, group: &RateGroup) -> Result<(), LimitError> {
    ///     stream.join(group, Share::weighing(2)?)
    /// }
    /// ```
    pub fn join(&mut self, group: &RateGroup, share: Share) -> Result<(), LimitError> {
        self.change_limits(&Change::Join(group.clone(), share))
    }

    /// Takes it out of its group; limits of its own stay.
    ///
    /// ```
    /// # use ferrevent::Stream;
    /// fn alone(stream: &mut Stream<'_>) {
    ///     stream.leave_group();
    /// }
    /// ```
    pub fn leave_group(&mut self) {
        // What is there can leave.
        let _ = self.change_limits(&Change::Leave);
    }

    /// Ends all its limits, and takes it out of its group.
    ///
    /// ```
    /// # use ferrevent::Stream;
    /// fn free(stream: &mut Stream<'_>) {
    ///     stream.unlimit();
    /// }
    /// ```
    pub fn unlimit(&mut self) {
        // As above.
        let _ = self.change_limits(&Change::End);
    }

    /// The limits of its own.
    ///
    /// ```
    /// # use ferrevent::Stream;
    /// fn show(stream: &Stream<'_>) {
    ///     println!("{:?}", stream.limits());
    /// }
    /// ```
    pub fn limits(&self) -> RateLimits {
        let limits = self.limited.as_ref().and_then(|limited| {
            let (limits, node) = limited.place();
            limits.with(|tree| tree.limits(node))
        });
        limits.unwrap_or(RateLimits::NONE)
    }

    /// The bytes in its own bucket; none without a limit of its own in this
    /// direction.
    ///
    /// ```
    /// # use ferrevent::Stream;
    /// # use ferrevent::limit::Direction;
    /// fn show(stream: &Stream<'_>) {
    ///     println!("{:?} bytes may go at once", stream.limit_level(Direction::Write));
    /// }
    /// ```
    pub fn limit_level(&self, direction: Direction) -> Option<u64> {
        let (limits, node) = self.limited.as_ref()?.place();
        let now = self.context.now_tick();
        limits.with(|tree| tree.level(node, direction, now))
    }

    /// The bytes that the kernel has taken and not yet sent, or that the peer
    /// has not yet acknowledged: what Linux says of a socket (`SIOCOUTQ`,
    /// tcp(7), unix(7)). `None` where the system does not tell.
    ///
    /// # Errors
    /// `NotConnected` before there is a descriptor; those of ioctl(2).
    ///
    /// ```
    /// # use ferrevent::Stream;
    /// fn show(stream: &Stream<'_>) {
    ///     if let Ok(Some(bytes)) = stream.unsent_bytes() {
    ///         println!("{bytes} bytes are still with the kernel");
    ///     }
    /// }
    /// ```
    pub fn unsent_bytes(&self) -> io::Result<Option<u64>> {
        match self.port {
            Some(port) => socket::unsent(port),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn change_limits(&mut self, change: &Change) -> Result<(), LimitError> {
        let now = self.context.now_tick();
        let mailbox = self.context.mailbox();
        change.apply(self.limited, mailbox.limits(), self.token, now)
    }
}

impl Handle {
    /// As [`Stream::limit`], from anywhere. Returns whether the stream may
    /// still be there to hear it.
    ///
    /// ```
    /// # use ferrevent::Handle;
    /// # use ferrevent::limit::{LimitError, RateLimit, RateLimits};
    /// fn slow_down(handle: &Handle) -> Result<(), LimitError> {
    ///     handle.limit(RateLimits::both(RateLimit::new(10_000)?));
    ///     Ok(())
    /// }
    /// ```
    pub fn limit(&self, limits: RateLimits) -> bool {
        self.change(Change::Limits(limits, false))
    }

    /// As [`Stream::reset_limit`], from anywhere.
    ///
    /// ```
    /// # use ferrevent::Handle;
    /// # use ferrevent::limit::RateLimits;
    /// fn anew(handle: &Handle, limits: RateLimits) -> bool {
    ///     handle.reset_limit(limits)
    /// }
    /// ```
    pub fn reset_limit(&self, limits: RateLimits) -> bool {
        self.change(Change::Limits(limits, true))
    }

    /// As [`Stream::join`], from anywhere.
    ///
    /// # Errors
    /// [`LimitError::Foreign`], [`LimitError::ZeroWeight`], and
    /// [`LimitError::Gone`] for a stream that is over.
    ///
    /// ```
    /// # use ferrevent::limit::{LimitError, RateLimits, Share};
    /// # use ferrevent::{EventLoop, Stream};
    /// # let mut events = EventLoop::new()?;
    /// # let mut other = EventLoop::new()?;
    /// let (one, _) = events.context().pair(|_: &mut Stream<'_>| (), |_: &mut Stream<'_>| ())?;
    /// let group = other.context().rate_group(RateLimits::NONE)?;
    /// assert_eq!(one.join(&group, Share::default()), Err(LimitError::Foreign));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join(&self, group: &RateGroup, share: Share) -> Result<(), LimitError> {
        group.node_on(self.mailbox.limits())?;
        if share.weight == 0 {
            return Err(LimitError::ZeroWeight);
        }
        if self.change(Change::Join(group.clone(), share)) {
            Ok(())
        } else {
            Err(LimitError::Gone)
        }
    }

    /// As [`Stream::leave_group`], from anywhere.
    ///
    /// ```
    /// # use ferrevent::Handle;
    /// fn alone(handle: &Handle) -> bool {
    ///     handle.leave_group()
    /// }
    /// ```
    pub fn leave_group(&self) -> bool {
        self.change(Change::Leave)
    }

    /// As [`Stream::unlimit`], from anywhere.
    ///
    /// ```
    /// # use ferrevent::Handle;
    /// fn free(handle: &Handle) -> bool {
    ///     handle.unlimit()
    /// }
    /// ```
    pub fn unlimit(&self) -> bool {
        self.change(Change::End)
    }

    fn change(&self, change: Change) -> bool {
        let limits = Arc::clone(self.mailbox.limits());
        self.command(Command::Limit(Box::new((change, limits))))
    }
}

impl Context<'_> {
    /// A group of streams of this loop or pool that share limits, in no other
    /// group.
    ///
    /// # Errors
    /// [`LimitError::Full`].
    ///
    /// ```
    /// # use ferrevent::limit::{RateLimit, RateLimits};
    /// # let mut events = ferrevent::EventLoop::new()?;
    /// let limits = RateLimits::both(RateLimit::new(1_000_000)?);
    /// let group = events.context().rate_group(limits)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn rate_group(&self, limits: RateLimits) -> Result<RateGroup, LimitError> {
        RateGroup::new(self.mailbox(), limits)
    }
}
