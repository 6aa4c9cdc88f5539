//! Faults on demand: what the kernel may do at the worst moment, done on
//! purpose, from a seed.

use std::cell::Cell;
use std::io;
use std::sync::Mutex;

use super::errno;

/// A system call that passes the seam.
///
/// ```
/// use ferrevent_os::sys::{Call, Fault, FaultPlan, Rule};
/// let rule = Rule::nth(Call::Accept, 1, Fault::Errno(24)); // EMFILE
/// # let _: FaultPlan = FaultPlan::new(1, vec![rule]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is the call of that name in its man page")]
pub enum Call {
    Receive,
    Send,
    SendFile,
    /// recv(2) or recvfrom(2) of a datagram.
    ReceiveDatagram,
    /// send(2) or sendto(2) of a datagram.
    SendDatagram,
    Accept,
    Connect,
    Socket,
    Bind,
    Listen,
    Shutdown,
    SocketOption,
    WaiterCreate,
    WaiterControl,
    Wait,
    WakeCreate,
    Wake,
    ReadFile,
    /// socketpair(2).
    Pair,
    /// dup(2) of a descriptor.
    Duplicate,
    /// fcntl(2) that sets the flags of a descriptor.
    SetFlags,
    /// A thread that is started (pthread_create(3)).
    Thread,
}

impl Call {
    /// What this call may really answer with when it fails and does not mean
    /// "again" or "not now": the errors of its man page that a test can do
    /// something about.
    ///
    /// ```
    /// use ferrevent_os::sys::Call;
    /// assert!(Call::Accept.errnos().contains(&24)); // EMFILE on Linux
    /// ```
    pub const fn errnos(self) -> &'static [i32] {
        use super::errno as c;
        match self {
            Call::Receive => &[c::ECONNRESET, c::ENOMEM, c::ETIMEDOUT, c::EIO],
            Call::Send => &[c::EPIPE, c::ECONNRESET, c::ENOBUFS, c::ENOMEM],
            Call::ReceiveDatagram => &[c::ECONNREFUSED, c::ENOMEM],
            Call::SendDatagram => &[c::ENOBUFS, c::ENOMEM, c::ECONNREFUSED, c::ENETUNREACH],
            Call::SendFile => &[c::EIO, c::ENOMEM, c::EPIPE],
            Call::Accept => &[
                c::EMFILE,
                c::ENFILE,
                c::ENOBUFS,
                c::ENOMEM,
                c::ECONNABORTED,
                c::EPROTO,
                c::EPERM,
                c::EINVAL,
            ],
            Call::Connect => &[c::ECONNREFUSED, c::ENETUNREACH, c::EADDRNOTAVAIL],
            Call::Socket | Call::Pair => &[c::EMFILE, c::ENFILE, c::ENOBUFS, c::ENOMEM],
            Call::Bind | Call::Listen => &[c::EADDRINUSE, c::EACCES],
            Call::Shutdown => &[c::ENOTCONN, c::ENOBUFS],
            Call::SocketOption => &[c::ENOBUFS, c::ENOMEM],
            Call::WaiterCreate | Call::WakeCreate => &[c::EMFILE, c::ENFILE, c::ENOMEM],
            Call::WaiterControl => &[c::ENOMEM, c::ENOSPC],
            Call::Wait => &[c::ENOMEM],
            Call::Wake | Call::ReadFile => &[c::EIO],
            Call::Duplicate => &[c::EMFILE],
            Call::SetFlags => &[c::EPERM],
            Call::Thread => &[c::EAGAIN],
        }
    }
}

/// What an injected fault does to one call.
///
/// ```
/// use ferrevent_os::sys::{Call, Fault, FaultPlan, Rule};
/// let rule = Rule::often(Call::Send, 500, Fault::Short(1));
/// # let _: FaultPlan = FaultPlan::new(1, vec![rule]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call is not made and fails with this `errno`.
    Errno(i32),
    /// The call is made with at most this many bytes (receive and send only).
    Short(usize),
}

/// When a fault strikes.
///
/// ```
/// use ferrevent_os::sys::{Call, Fault, FaultPlan, Rule};
/// let rule = Rule {
///     times: 3,
///     ..Rule::nth(Call::Wait, 1, Fault::Errno(4))
/// };
/// # let _: FaultPlan = FaultPlan::new(1, vec![rule]);
/// ```
#[derive(Clone, Debug)]
pub struct Rule {
    /// The call that is struck.
    pub call: Call,
    /// What happens to it.
    pub fault: Fault,
    /// Calls of this kind that pass unharmed before the rule begins.
    pub after: u64,
    /// How many of 1000 calls are struck once the rule has begun.
    pub per_mille: u16,
    /// How many times the rule strikes at most.
    pub times: u64,
}

impl Rule {
    /// A rule that strikes the `n`-th call (counted from zero), once.
    ///
    /// ```
    /// use ferrevent_os::sys::{Call, Fault, FaultPlan, Rule};
    /// let plan = FaultPlan::new(1, vec![Rule::nth(Call::Receive, 3, Fault::Errno(4))]);
    /// ```
    pub fn nth(call: Call, n: u64, fault: Fault) -> Self {
        Self {
            call,
            fault,
            after: n,
            per_mille: 1000,
            times: 1,
        }
    }

    /// A rule that strikes `per_mille` of 1000 calls, for ever.
    ///
    /// ```
    /// use ferrevent_os::sys::{Call, Fault, FaultPlan, Rule};
    /// let plan = FaultPlan::new(1, vec![Rule::often(Call::Receive, 100, Fault::Errno(11))]);
    /// ```
    pub fn often(call: Call, per_mille: u16, fault: Fault) -> Self {
        Self {
            call,
            fault,
            after: 0,
            per_mille,
            times: u64::MAX,
        }
    }
}

/// A seeded plan of faults for one loop.
///
/// ```
/// use ferrevent_os::sys::{Call, Fault, FaultPlan, Rule};
///
/// // Every second receive is cut to one byte.
/// let plan = FaultPlan::new(42, vec![Rule::often(Call::Receive, 500, Fault::Short(1))]);
/// assert_eq!(plan.struck(), 0);
/// ```
#[derive(Debug)]
pub struct FaultPlan {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    random: u64,
    struck: u64,
    calls: u64,
    /// The call that is to fail, counted from zero over all kinds, and which
    /// of its errors it fails with.
    failing: Option<(u64, usize)>,
    last: Option<(Call, Fault)>,
    rules: Vec<Drawn>,
}

/// A rule, and what came of it.
#[derive(Debug)]
struct Drawn {
    rule: Rule,
    /// Calls of its kind that have passed.
    seen: u64,
    struck: u64,
}

impl FaultPlan {
    /// A plan from a seed and its rules; the first rule that strikes wins.
    ///
    /// ```
    /// use ferrevent_os::sys::{Call, Fault, FaultPlan, Rule};
    /// let plan = FaultPlan::new(7, vec![Rule::often(Call::Send, 10, Fault::Short(1))]);
    /// ```
    pub fn new(seed: u64, rules: Vec<Rule>) -> Self {
        Self {
            state: Mutex::new(State {
                random: seed | 1,
                struck: 0,
                calls: 0,
                failing: None,
                last: None,
                rules: rules
                    .into_iter()
                    .map(|rule| Drawn {
                        rule,
                        seen: 0,
                        struck: 0,
                    })
                    .collect(),
            }),
        }
    }

    /// A storm of interruptions, calls that are not ready after all, and short
    /// ones: nothing of it may be noticed above the system calls.
    ///
    /// ```
    /// use ferrevent_os::sys::FaultPlan;
    /// assert_eq!(FaultPlan::storm(20_091_124).struck(), 0);
    /// ```
    pub fn storm(seed: u64) -> Self {
        let again = Fault::Errno(errno::EINTR);
        let not_now = Fault::Errno(errno::EAGAIN);
        Self::new(
            seed,
            vec![
                Rule::often(Call::Receive, 200, again),
                Rule::often(Call::Receive, 200, not_now),
                Rule::often(Call::Receive, 300, Fault::Short(100)),
                Rule::often(Call::Send, 200, again),
                Rule::often(Call::Send, 200, not_now),
                Rule::often(Call::Send, 300, Fault::Short(1000)),
                Rule::often(Call::ReceiveDatagram, 200, again),
                Rule::often(Call::ReceiveDatagram, 200, not_now),
                Rule::often(Call::SendDatagram, 200, again),
                Rule::often(Call::SendDatagram, 200, not_now),
                Rule::often(Call::Accept, 300, not_now),
                Rule::often(Call::Accept, 300, again),
                Rule::often(Call::Connect, 300, again),
                Rule::often(Call::Wait, 200, again),
                Rule::often(Call::Wake, 300, again),
            ],
        )
    }

    /// A plan in which one call fails, whatever it is: the `n`-th of all,
    /// counted from zero, with one of its [errors](Call::errnos), of which
    /// `choice` takes one in turn.
    ///
    /// ```
    /// use ferrevent_os::sys::FaultPlan;
    /// let plan = FaultPlan::failing(17, 0);
    /// assert_eq!((plan.calls(), plan.last()), (0, None));
    /// ```
    pub fn failing(n: u64, choice: usize) -> Self {
        let plan = Self::new(1, Vec::new());
        plan.lock().failing = Some((n, choice));
        plan
    }

    /// How many calls each rule has struck so far, in the order of the rules.
    ///
    /// ```
    /// use ferrevent_os::sys::{Call, Fault, FaultPlan, Rule};
    /// let plan = FaultPlan::new(1, vec![Rule::nth(Call::Send, 1, Fault::Short(1))]);
    /// assert_eq!(plan.struck_by_rule(), [0]);
    /// ```
    pub fn struck_by_rule(&self) -> Vec<u64> {
        let state = self.lock();
        state.rules.iter().map(|drawn| drawn.struck).collect()
    }

    /// How many calls have passed so far, those that were struck included.
    ///
    /// ```
    /// use ferrevent_os::sys::FaultPlan;
    /// assert_eq!(FaultPlan::new(1, Vec::new()).calls(), 0);
    /// ```
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// The call that was struck last, and by what.
    ///
    /// ```
    /// use ferrevent_os::sys::FaultPlan;
    /// assert_eq!(FaultPlan::new(1, Vec::new()).last(), None);
    /// ```
    pub fn last(&self) -> Option<(Call, Fault)> {
        self.lock().last
    }

    /// How many calls have been struck so far.
    ///
    /// ```
    /// use ferrevent_os::sys::{Call, Fault, FaultPlan, Rule};
    /// let plan = FaultPlan::new(1, Vec::new());
    /// assert_eq!(plan.struck(), 0);
    /// # let _ = Rule::nth(Call::Send, 1, Fault::Short(1));
    /// ```
    pub fn struck(&self) -> u64 {
        self.lock().struck
    }

    /// Asks what happens to the next call of this kind.
    pub(crate) fn strike(&self, call: Call) -> Option<Fault> {
        let mut state = self.lock();
        let State {
            random,
            struck,
            calls,
            failing,
            last,
            rules,
        } = &mut *state;
        *calls += 1;
        if let Some((n, choice)) = *failing
            && *calls == n + 1
        {
            let errnos = call.errnos();
            let fault = Fault::Errno(errnos[choice % errnos.len()]);
            *struck += 1;
            *last = Some((call, fault));
            return Some(fault);
        }
        for drawn in rules.iter_mut().filter(|drawn| drawn.rule.call == call) {
            let rule = &mut drawn.rule;
            drawn.seen += 1;
            if drawn.seen <= rule.after || rule.times == 0 {
                continue;
            }
            // xorshift64: the plan must replay from its seed, nothing more.
            *random ^= *random << 13;
            *random ^= *random >> 7;
            *random ^= *random << 17;
            if *random % 1000 < u64::from(rule.per_mille) {
                rule.times -= 1;
                drawn.struck += 1;
                *struck += 1;
                *last = Some((call, rule.fault));
                if matches!(rule.fault, Fault::Errno(errno::EAGAIN) | Fault::Short(_)) {
                    LIED.set(true);
                }
                return Some(rule.fault);
            }
        }
        None
    }

    /// Whether an `EAGAIN` or a short call was injected since this was asked last.
    #[cfg(target_os = "linux")]
    pub(crate) fn take_lie(&self) -> bool {
        LIED.take()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The verdict on a call that moves no bytes.
pub(crate) fn verdict(fault: Option<Fault>) -> io::Result<()> {
    match fault {
        Some(Fault::Errno(errno)) => Err(io::Error::from_raw_os_error(errno)),
        Some(Fault::Short(_)) | None => Ok(()),
    }
}

thread_local! {
    /// The last call of this thread lied: it is the same thread that makes
    /// good for it, before it makes another one.
    static LIED: Cell<bool> = const { Cell::new(false) };
}
