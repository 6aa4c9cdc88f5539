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
    rules: Vec<(Rule, u64)>,
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
                rules: rules.into_iter().map(|rule| (rule, 0)).collect(),
            }),
        }
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
            rules,
        } = &mut *state;
        for (rule, seen) in rules.iter_mut().filter(|(rule, _)| rule.call == call) {
            *seen += 1;
            if *seen <= rule.after || rule.times == 0 {
                continue;
            }
            // xorshift64: the plan must replay from its seed, nothing more.
            *random ^= *random << 13;
            *random ^= *random >> 7;
            *random ^= *random << 17;
            if *random % 1000 < u64::from(rule.per_mille) {
                rule.times -= 1;
                *struck += 1;
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
