//! Names and addresses, asked of name servers without blocking anybody.
//!
//! A [`Resolver`] asks by datagram sockets and connections of its own loop or pool:
//! no thread waits, and no library of the system is called. It reads what
//! resolv.conf(5) and hosts(5) say, and is as careful as RFC 5452 asks for.
//!
//! ```no_run
//! use ferrevent::EventLoop;
//! use ferrevent::resolver::{Families, Question, Resolver};
//!
//! let mut events = EventLoop::new()?;
//! let resolver = Resolver::of_system(&events.context())?;
//! let question = Question::addresses("www.example.org", Families::BOTH);
//! resolver.ask(&question, |_, outcome| match outcome {
//!     Ok(answer) => println!("{:?}", answer.addresses),
//!     Err(error) => eprintln!("{error}"),
//! });
//! events.run()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Connects by host name ask it too, rather than the system, once they are told to:
//! [`Context::use_resolver`].

mod exchange;
mod lanes;
mod order;
mod shared;
mod system;
#[cfg(feature = "async")]
mod tasks;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use ferrevent_os::{SockAddr, Token};

use crate::address::unresolved;
use crate::host::Context;
use crate::mailbox::{Mailbox, Message};
pub use ferrevent_dns::{
    AddressInfo, AddressPlan, Answer, Config, Failure, Families, Hints, Hosts, Question,
    ResolveError, Services, Transport, sort_addresses,
};
use shared::{Shared, Ticket};

/// A resolver on one loop or pool. Clones are the same one; it can be used from
/// any thread.
///
/// While nothing is asked it has no socket and no timer, and does not keep the
/// loop running.
///
/// ```
/// use ferrevent::EventLoop;
/// use ferrevent::resolver::{Config, Families, Hosts, Question, Resolver};
///
/// let mut events = EventLoop::new()?;
/// let hosts = Hosts::parse(b"192.0.2.7 printer");
/// let resolver = Resolver::new(&events.context(), Config::default(), hosts);
/// resolver.ask(&Question::addresses("printer", Families::BOTH), |context, outcome| {
///     assert_eq!(outcome.unwrap().addresses, ["192.0.2.7".parse::<std::net::IpAddr>().unwrap()]);
///     context.stop(false);
/// });
/// events.run_for(std::time::Duration::from_secs(5))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Resolver {
    shared: Arc<Shared>,
}

/// A question that was asked: to cancel it. Dropping this changes nothing.
///
/// ```
/// # use ferrevent::EventLoop;
/// # use ferrevent::resolver::{Config, Families, Hosts, Question, Resolver};
/// # let mut events = EventLoop::new()?;
/// # let resolver = Resolver::new(&events.context(), Config::default(), Hosts::default());
/// let lookup = resolver.ask(&Question::addresses("www", Families::V4), |_, outcome| {
///     println!("{outcome:?}");
/// });
/// lookup.cancel();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Lookup {
    shared: Arc<Shared>,
    ticket: Ticket,
}

impl Resolver {
    /// A resolver with these settings, on the loop or pool of this context.
    ///
    /// ```
    /// # use ferrevent::EventLoop;
    /// use ferrevent::resolver::{Config, Hosts, Resolver};
    /// # let mut events = EventLoop::new()?;
    /// let config = Config::with_servers(["192.0.2.1:53".parse()?]);
    /// let resolver = Resolver::new(&events.context(), config, Hosts::default());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(context: &Context<'_>, config: Config, hosts: Hosts) -> Self {
        let shared = Shared::new(context.mailbox(), context.sys(), config, hosts);
        Self {
            shared: Arc::new(shared),
        }
    }

    /// A resolver with the system's settings: `/etc/resolv.conf` and `/etc/hosts`,
    /// as far as they are there; on Windows what its network adapters were told,
    /// and its hosts file.
    ///
    /// # Errors
    /// Why a file that is there cannot be read, or the adapters cannot be asked.
    ///
    /// ```
    /// # use ferrevent::EventLoop;
    /// use ferrevent::resolver::Resolver;
    /// # let mut events = EventLoop::new()?;
    /// let resolver = Resolver::of_system(&events.context())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of_system(context: &Context<'_>) -> io::Result<Self> {
        let (config, hosts) = system::settings()?;
        Ok(Self::new(context, config, hosts))
    }

    /// Asks. The callback is called once, on the loop or pool, with what came of
    /// it; never before this returns. It is not called when the loop or pool is
    /// dropped before that.
    ///
    /// Several addresses come in the order in which they should be tried: see
    /// [`sort_addresses`]. The system is asked, by a socket that sends nothing, from
    /// which address each is reached.
    ///
    /// ```
    /// # use ferrevent::EventLoop;
    /// # use ferrevent::resolver::{Config, Hosts, Question, Resolver};
    /// # let mut events = EventLoop::new()?;
    /// # let resolver = Resolver::new(&events.context(), Config::default(), Hosts::default());
    /// let who = Question::names("192.0.2.1".parse()?);
    /// resolver.ask(&who, |_, outcome| match outcome {
    ///     Ok(answer) => println!("{:?}", answer.names),
    ///     Err(error) => eprintln!("{error}"),
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ask(
        &self,
        question: &Question,
        callback: impl FnOnce(&mut Context<'_>, Result<Answer, ResolveError>) + Send + 'static,
    ) -> Lookup {
        let ticket = self.shared.ask(question.clone(), Box::new(callback));
        Lookup {
            shared: Arc::clone(&self.shared),
            ticket,
        }
    }

    /// Resolves a host and a service, as getaddrinfo(3) does: see [`AddressPlan`].
    /// What needs no server is told the same way.
    ///
    /// ```
    /// # use ferrevent::EventLoop;
    /// # use ferrevent::resolver::{Config, Hints, Hosts, Resolver, Services};
    /// # let mut events = EventLoop::new()?;
    /// # let resolver = Resolver::new(&events.context(), Config::default(), Hosts::default());
    /// let services = Services::parse(&std::fs::read("/etc/services").unwrap_or_default());
    /// resolver.address_info(Some("localhost"), Some("80"), &Hints::default(), &services, |_, outcome| {
    ///     for info in outcome.unwrap() {
    ///         println!("{:?} {}", info.transport, info.address);
    ///     }
    /// });
    /// events.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn address_info(
        &self,
        host: Option<&str>,
        service: Option<&str>,
        hints: &Hints,
        services: &Services,
        callback: impl FnOnce(&mut Context<'_>, Result<Vec<AddressInfo>, ResolveError>) + Send + 'static,
    ) -> Lookup {
        let parts: Vec<_> = [host, service].into_iter().flatten().collect();
        let name = parts.join(":");
        let failed = move |failure| ResolveError {
            name,
            failure,
            server: None,
        };
        let (question, plan) = match AddressPlan::new(host, service, hints, services) {
            Ok(plan) => (plan.question().cloned(), Ok(plan)),
            Err(failure) => (None, Err(failure)),
        };
        // An address answers itself.
        let question = question.unwrap_or_else(|| Question::addresses("::", Families::BOTH));
        self.ask(&question, move |context, outcome| {
            let outcome = match (outcome, plan) {
                (Ok(answer), Ok(plan)) => plan.complete(&answer).map_err(failed),
                (Err(error), Ok(_)) => Err(error),
                (_, Err(failure)) => Err(failed(failure)),
            };
            callback(context, outcome);
        })
    }

    /// Takes other settings, which are good at once, also for what is under way.
    /// What is known of servers that stay is kept.
    ///
    /// ```
    /// # use ferrevent::EventLoop;
    /// use ferrevent::resolver::{Config, Hosts, Resolver};
    /// # let mut events = EventLoop::new()?;
    /// let resolver = Resolver::new(&events.context(), Config::default(), Hosts::default());
    /// let config = Config::with_servers(["192.0.2.1:53".parse()?]);
    /// resolver.reconfigure(config, Hosts::parse(b"192.0.2.7 printer"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reconfigure(&self, config: Config, hosts: Hosts) {
        self.shared.post(move |state, now| {
            state.make_room(&config);
            state.client.set_hosts(hosts);
            state.client.reconfigure(now, config);
        });
    }

    /// Ends everything that was asked with [`Failure::ShutDown`].
    ///
    /// ```
    /// # use ferrevent::EventLoop;
    /// # use ferrevent::resolver::{Config, Hosts, Resolver};
    /// # let mut events = EventLoop::new()?;
    /// # let resolver = Resolver::new(&events.context(), Config::default(), Hosts::default());
    /// resolver.shut_down();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shut_down(&self) {
        self.shared.post(|state, _| state.client.shut_down());
    }

    /// Resolves the name that a stream connects to.
    pub(crate) fn resolve_for(&self, to: Arc<Mailbox>, token: Token, host: &str, port: u16) {
        let question = Question::addresses(host, Families::BOTH);
        self.ask(&question, move |_, outcome| {
            let outcome = outcome.map_err(unresolved).map(|answer| {
                let addresses = answer.addresses.into_iter();
                let with_port = addresses.map(|it| SockAddr::from(SocketAddr::new(it, port)));
                with_port.collect()
            });
            // A loop that is gone needs no answer.
            let _ = to.send(Message::Resolved(token, outcome));
        });
    }
}

impl Lookup {
    /// Ends it, unless it is over: its callback is called with
    /// [`Failure::Canceled`].
    ///
    /// ```
    /// # use ferrevent::resolver::Lookup;
    /// fn give_up(lookup: &Lookup) {
    ///     lookup.cancel();
    /// }
    /// ```
    pub fn cancel(&self) {
        self.shared.cancel(self.ticket);
    }
}

impl Context<'_> {
    /// Has this resolver asked by every connect to a host name from now on, or
    /// again the system (getaddrinfo(3), on a thread). Addresses are tried in the
    /// order of [`Answer::addresses`].
    ///
    /// ```
    /// # use ferrevent::{EventLoop, Stream};
    /// use ferrevent::resolver::{Config, Hosts, Resolver};
    ///
    /// let mut events = EventLoop::new()?;
    /// let hosts = Hosts::parse(b"127.0.0.1 app.internal");
    /// let resolver = Resolver::new(&events.context(), Config::default(), hosts);
    /// events.context().use_resolver(Some(&resolver));
    /// events.context().connect(&"app.internal:7".parse()?, |_: &mut Stream<'_>| ())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn use_resolver(&mut self, resolver: Option<&Resolver>) {
        self.keep_resolver(resolver.cloned());
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

impl std::fmt::Debug for Lookup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lookup")
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}
