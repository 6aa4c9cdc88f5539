//! The state machine: what is asked, of whom, and what came of it.

mod ask;
mod lanes;
mod lookups;
mod servers;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use ferrevent_core::timer::Tick;

use crate::random::Random;
use crate::{Config, Failure, Hosts, ResolveError};
use ask::{Ask, AskId};
use lanes::Lane;
use lookups::Lookup;
use servers::Server;

/// A resolver without sockets and clock. It is told what came and what time it
/// is, and asked what to do.
///
/// After each call what [`next_action`](Client::next_action) gives out must be
/// done, until there is no more. At its [`deadline`](Client::deadline) it wants to
/// be called.
///
/// ```
/// use ferrevent_core::timer::Tick;
/// use ferrevent_dns::{Action, Client, Config, Families, Hosts, Question};
///
/// let config = Config::with_servers(["192.0.2.1:53".parse().unwrap()]);
/// let mut client = Client::new(config, Hosts::default(), |bytes: &mut [u8]| bytes.fill(7));
/// client.resolve(Tick(0), &Question::addresses("www.example.org", Families::V4));
/// let Some(Action::Send { server, datagram, .. }) = client.next_action() else {
///     panic!("there is a server to ask");
/// };
/// assert_eq!(server, "192.0.2.1:53".parse().unwrap());
/// assert!(datagram.len() > 12);
/// // Without an answer it is asked again.
/// let deadline = client.deadline().unwrap();
/// client.timed_out(deadline);
/// assert!(matches!(client.next_action(), Some(Action::Send { .. })));
/// ```
#[derive(Debug)]
pub struct Client {
    config: Config,
    hosts: Hosts,
    random: Random,
    servers: Vec<Server>,
    /// Where the next question begins, when they are asked in turn.
    turn: usize,
    /// Boxed, as those below: a map moves what it holds.
    lookups: BTreeMap<LookupId, Box<Lookup>>,
    asks: BTreeMap<AskId, Box<Ask>>,
    /// Those that wait for a place.
    waiting: VecDeque<AskId>,
    /// Those that have one. Probes need none: they would keep others waiting.
    inflight: usize,
    lanes: BTreeMap<LaneId, Lane>,
    exchanges: BTreeMap<ExchangeId, AskId>,
    timers: BTreeSet<(Tick, Timer)>,
    actions: VecDeque<Action>,
    last_id: u64,
}

/// What somebody wants to know: [`Client::resolve`].
///
/// ```
/// # use ferrevent_core::timer::Tick;
/// # use ferrevent_dns::{Client, Config, Families, Hosts, Question};
/// # let mut client = Client::new(Config::default(), Hosts::default(), |_: &mut [u8]| ());
/// let lookup = client.resolve(Tick(0), &Question::addresses("www", Families::V4));
/// assert!(client.cancel(Tick(1), lookup));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LookupId(u64);

/// A datagram socket: connected to one server, from a port of its own that
/// nobody can guess. It is opened when something is first sent by it.
///
/// ```
/// use ferrevent_dns::{Action, LaneId};
/// fn lane(action: &Action) -> Option<LaneId> {
///     match action {
///         Action::Send { lane, .. } => Some(*lane),
///         _ => None,
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId(u64);

/// A question that goes by TCP.
///
/// ```
/// use ferrevent_dns::{Action, ExchangeId};
/// fn exchange(action: &Action) -> Option<ExchangeId> {
///     match action {
///         Action::Exchange { exchange, .. } => Some(*exchange),
///         _ => None,
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(u64);

/// What the driver of a [`Client`] has to do.
///
/// ```
/// use ferrevent_dns::Action;
/// fn is_over(action: &Action) -> bool {
///     matches!(action, Action::Done(..))
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Send a datagram, by a socket that is opened if it is not there yet.
    /// What comes by it goes to [`Client::received`].
    Send {
        /// The socket.
        lane: LaneId,
        /// Whom it is connected to.
        server: SocketAddr,
        /// What to send.
        datagram: Vec<u8>,
    },
    /// Close a socket; nothing that still comes by it is wanted.
    CloseLane(LaneId),
    /// Connect by TCP and send a message. The answer goes to
    /// [`Client::exchanged`], or why there is none to [`Client::exchange_failed`];
    /// then the connection is done with.
    Exchange {
        /// Which.
        exchange: ExchangeId,
        /// Where to connect.
        server: SocketAddr,
        /// What to send, its length in front (RFC 1035, section 4.2.2).
        message: Vec<u8>,
    },
    /// Close a connection; its answer is not wanted any more.
    CloseExchange(ExchangeId),
    /// A lookup is over. Each ends once, and this way alone.
    Done(LookupId, Result<Answer, ResolveError>),
}

/// What was found.
///
/// ```
/// use ferrevent_dns::Answer;
/// fn first(answer: &Answer) -> Option<std::net::IpAddr> {
///     answer.addresses.first().copied()
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// The name that has the data: the last alias, with the domain that was
    /// found by the search list. Not set for what no server was asked for.
    pub canonical: Option<String>,
    /// The addresses: those of IPv6 first, each family as it came.
    /// [`sort_addresses`](crate::sort_addresses) has a better order.
    pub addresses: Vec<IpAddr>,
    /// The names of an address. What is no letter, digit or sign is written as
    /// `\DDD` (RFC 1035, section 5.1).
    pub names: Vec<String>,
    /// So many seconds it may be kept. Not set for what no server was asked for.
    pub ttl: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// The server has had its time.
    Attempt(AskId),
    /// One family has waited for the other.
    Skew(LookupId),
    /// A server that is down may be tried again.
    Probe(usize),
}

impl Client {
    /// A resolver. The source fills what it is given with bytes that nobody can
    /// foretell: getrandom(2), say.
    ///
    /// ```
    /// use ferrevent_dns::{Client, Config, Hosts};
    /// let client = Client::new(Config::default(), Hosts::default(), |bytes: &mut [u8]| {
    ///     bytes.fill(4); // in tests alone
    /// });
    /// assert_eq!(client.deadline(), None);
    /// ```
    pub fn new(
        config: Config,
        hosts: Hosts,
        source: impl FnMut(&mut [u8]) + Send + 'static,
    ) -> Self {
        let config = config.sane();
        Self {
            servers: config.servers.iter().copied().map(Server::new).collect(),
            config,
            hosts,
            random: Random::new(source),
            turn: 0,
            lookups: BTreeMap::new(),
            asks: BTreeMap::new(),
            waiting: VecDeque::new(),
            inflight: 0,
            lanes: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            timers: BTreeSet::new(),
            actions: VecDeque::new(),
            last_id: 0,
        }
    }

    /// What to do next; none when all is done for now.
    ///
    /// ```
    /// # use ferrevent_dns::{Client, Config, Hosts};
    /// # let mut client = Client::new(Config::default(), Hosts::default(), |_: &mut [u8]| ());
    /// while let Some(action) = client.next_action() {
    ///     println!("{action:?}");
    /// }
    /// ```
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`timed_out`](Self::timed_out) must be called, if nothing else
    /// happens before.
    ///
    /// ```
    /// # use ferrevent_dns::{Client, Config, Hosts};
    /// # let client = Client::new(Config::default(), Hosts::default(), |_: &mut [u8]| ());
    /// assert_eq!(client.deadline(), None);
    /// ```
    pub fn deadline(&self) -> Option<Tick> {
        self.timers.first().map(|(deadline, _)| *deadline)
    }

    /// Time has passed: what has had its time is asked again elsewhere, or over.
    ///
    /// ```
    /// # use ferrevent_core::timer::Tick;
    /// # use ferrevent_dns::{Client, Config, Hosts};
    /// # let mut client = Client::new(Config::default(), Hosts::default(), |_: &mut [u8]| ());
    /// client.timed_out(Tick(1_000_000));
    /// ```
    pub fn timed_out(&mut self, now: Tick) {
        while let Some((deadline, timer)) = self.timers.first().copied()
            && deadline <= now
        {
            self.timers.pop_first();
            match timer {
                Timer::Attempt(ask) => self.attempt_timed_out(now, ask),
                Timer::Skew(lookup) => self.skewed(lookup),
                Timer::Probe(server) => self.probe(now, server),
            }
        }
        self.settle(now);
    }

    /// How many lookups are not over.
    ///
    /// ```
    /// # use ferrevent_dns::{Client, Config, Hosts};
    /// # let client = Client::new(Config::default(), Hosts::default(), |_: &mut [u8]| ());
    /// assert_eq!(client.lookups(), 0);
    /// ```
    pub fn lookups(&self) -> usize {
        self.lookups.len()
    }

    /// The settings.
    ///
    /// ```
    /// # use ferrevent_dns::{Client, Config, Hosts};
    /// # let client = Client::new(Config::default(), Hosts::default(), |_: &mut [u8]| ());
    /// assert_eq!(client.config().ndots, 1);
    /// ```
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Ends every lookup with [`Failure::ShutDown`], and closes everything.
    ///
    /// ```
    /// # use ferrevent_core::timer::Tick;
    /// # use ferrevent_dns::{Client, Config, Families, Hosts, Question};
    /// # let mut client = Client::new(Config::default(), Hosts::default(), |_: &mut [u8]| ());
    /// client.resolve(Tick(0), &Question::addresses("www", Families::V4));
    /// client.shut_down();
    /// assert_eq!((client.lookups(), client.deadline()), (0, None));
    /// ```
    pub fn shut_down(&mut self) {
        let lookups: Vec<_> = self.lookups.keys().copied().collect();
        for lookup in lookups {
            self.end(lookup, Err(Failure::ShutDown));
        }
        let asks: Vec<_> = self.asks.keys().copied().collect();
        for ask in asks {
            self.drop_ask(ask);
        }
        self.timers.clear();
        self.close_idle_lanes();
    }

    /// After everything: places are filled, and what is not needed is closed.
    fn settle(&mut self, now: Tick) {
        while self.inflight < self.config.max_inflight
            && let Some(ask) = self.waiting.pop_front()
        {
            self.launch(now, ask);
        }
        if self.lookups.is_empty() {
            self.timers
                .retain(|(_, timer)| !matches!(timer, Timer::Probe(_)));
        }
        if self.asks.is_empty() && !self.config.keep_sockets {
            self.close_idle_lanes();
        }
    }

    fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}
