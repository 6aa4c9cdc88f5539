//! The runtime: what Arti asks of one, each part in a file.

mod listener;
mod options;
mod stream;
mod tasks;
mod tcp;
mod tls;
mod udp;
mod unix;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use ferrevent::asynch::Runtime;
use ferrevent::limit::{LimitError, RateLimits, Share};
use ferrevent::tls::Client;
use ferrevent::{BackendKind, Pool, RateGroup};

pub use listener::{Incoming, TcpListener, UnixListener};
pub use options::SocketOptions;
pub use stream::{TcpStream, UnixStream};
pub use tasks::BlockingHandle;
pub use tls::{Acceptor, Connector, TlsStream};
pub use udp::UdpSocket;

/// A runtime for Arti: a pool of Ferrevent's, its streams with its TLS on
/// them, and two groups of rate limits.
///
/// The one that was made owns the pool. Its clones do not: tasks hold clones,
/// and a pool that its own tasks keep would never end. Once the owner is gone
/// they refuse what they are asked for.
///
/// Every link counts in [`bandwidth`](Self::bandwidth), by its bytes on the
/// wire, TLS included; those that were accepted count in
/// [`relayed`](Self::relayed) too, a group inside that one. So Tor has them:
/// a relay's whole bandwidth, and what of it others' traffic may take.
///
/// ```
/// use ferrevent::limit::{Direction, RateLimit, RateLimits};
/// use ferrevent_tor::TorRuntime;
///
/// let runtime = TorRuntime::new()?;
/// let rate = RateLimit::new(500_000)?.with_burst(1_000_000)?;
/// runtime.bandwidth().reset(RateLimits::both(rate));
/// assert_eq!(runtime.bandwidth().level(Direction::Read), Some(1_000_000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TorRuntime {
    owner: Option<Arc<Pool>>,
    shared: Arc<Shared>,
}

struct Shared {
    pool: Weak<Pool>,
    tasks: Runtime,
    bandwidth: RateGroup,
    relayed: RateGroup,
    links: Arc<AtomicUsize>,
    failure: Mutex<Option<String>>,
    client: Client,
    #[cfg(feature = "tls-server")]
    identities: tls::Identities,
}

/// Makes a [`TorRuntime`].
///
/// ```
/// use ferrevent::BackendKind;
/// let runtime = ferrevent_tor::TorRuntime::builder()
///     .backend(BackendKind::default())
///     .workers(1)
///     .build()?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    backend: Option<BackendKind>,
    workers: usize,
}

impl Builder {
    /// The interface to the kernel. Default: the system's best, or what the
    /// environment variable `FERREVENT_BACKEND` names.
    ///
    /// ```
    /// # use ferrevent::BackendKind;
    /// let builder = ferrevent_tor::TorRuntime::builder().backend(BackendKind::Poll);
    /// ```
    pub fn backend(mut self, kind: BackendKind) -> Self {
        self.backend = Some(kind);
        self
    }

    /// So many threads poll tasks. Default: one. That is enough for a client,
    /// and is quiet when nothing goes on: several workers look after one
    /// another while there is work.
    ///
    /// ```
    /// let builder = ferrevent_tor::TorRuntime::builder().workers(2);
    /// ```
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// The runtime.
    ///
    /// # Errors
    /// When descriptors have run out, or the backend that was asked for cannot
    /// be had.
    ///
    /// ```
    /// let runtime = ferrevent_tor::TorRuntime::builder().build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn build(self) -> io::Result<TorRuntime> {
        let mut builder = ferrevent::Builder::new();
        if let Some(kind) = self.backend {
            builder = builder.backend(kind);
        }
        let pool = Arc::new(builder.build_pool(self.workers)?);
        let unlimited = RateLimits::NONE;
        let bandwidth = pool.context().rate_group(unlimited).map_err(refused)?;
        let relayed = bandwidth
            .subgroup(unlimited, Share::default())
            .map_err(refused)?;
        let shared = Shared {
            pool: Arc::downgrade(&pool),
            tasks: pool.runtime(),
            bandwidth,
            relayed,
            links: Arc::default(),
            failure: Mutex::default(),
            client: tls::client()?,
            #[cfg(feature = "tls-server")]
            identities: tls::Identities::default(),
        };
        Ok(TorRuntime {
            owner: Some(pool),
            shared: Arc::new(shared),
        })
    }
}

impl TorRuntime {
    /// A runtime with one worker.
    ///
    /// # Errors
    /// As [`Builder::build`].
    ///
    /// ```
    /// let runtime = ferrevent_tor::TorRuntime::new()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new() -> io::Result<Self> {
        Self::builder().build()
    }

    /// What makes a runtime, to choose backend and workers.
    ///
    /// ```
    /// let builder = ferrevent_tor::TorRuntime::builder();
    /// ```
    pub fn builder() -> Builder {
        Builder {
            backend: None,
            workers: 1,
        }
    }

    /// Runs the pool until a future is ready, as `ToplevelBlockOn` does, and
    /// tells what went wrong.
    ///
    /// # Errors
    /// `NotConnected` by a clone whose owner is gone; else as
    /// [`Pool::block_on`].
    ///
    /// ```
    /// let runtime = ferrevent_tor::TorRuntime::new()?;
    /// assert_eq!(runtime.run(async { 1 + 1 })?, 2);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn run<F: Future>(&self, future: F) -> io::Result<F::Output> {
        self.pool()?.block_on(future)
    }

    /// The group of all links.
    ///
    /// ```
    /// # use ferrevent::limit::RateLimits;
    /// # let runtime = ferrevent_tor::TorRuntime::new()?;
    /// assert_eq!(runtime.bandwidth().limits(), RateLimits::NONE);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn bandwidth(&self) -> &RateGroup {
        &self.shared.bandwidth
    }

    /// The group of the links that were accepted, inside that of all.
    ///
    /// ```
    /// # use ferrevent::limit::{RateLimit, RateLimits};
    /// # let runtime = ferrevent_tor::TorRuntime::new()?;
    /// runtime.relayed().set(RateLimits::both(RateLimit::new(100_000)?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn relayed(&self) -> &RateGroup {
        &self.shared.relayed
    }

    /// The tasks, timers and streams below: for what is not to count in the
    /// groups.
    ///
    /// ```
    /// # let runtime = ferrevent_tor::TorRuntime::new()?;
    /// runtime.tasks().spawn(async {}).detach();
    /// # std::io::Result::Ok(())
    /// ```
    pub fn tasks(&self) -> &Runtime {
        &self.shared.tasks
    }

    /// Which backend it runs on.
    ///
    /// # Errors
    /// `NotConnected` by a clone whose owner is gone.
    ///
    /// ```
    /// # let runtime = ferrevent_tor::TorRuntime::new()?;
    /// println!("on {}", runtime.backend_kind()?);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn backend_kind(&self) -> io::Result<BackendKind> {
        Ok(self.pool()?.backend_kind())
    }

    /// How many links are open now, by TLS.
    ///
    /// ```
    /// # let runtime = ferrevent_tor::TorRuntime::new()?;
    /// assert_eq!(runtime.links().count(), 0);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn links(&self) -> Links {
        Links(Arc::clone(&self.shared.links))
    }

    /// To whom a TCP connection failed last, and why: Arti tells it to its log
    /// alone, and without the address.
    ///
    /// ```
    /// let runtime = ferrevent_tor::TorRuntime::new()?;
    /// assert_eq!(runtime.last_failure(), None);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn last_failure(&self) -> Option<String> {
        self.failure().clone()
    }

    fn failure(&self) -> MutexGuard<'_, Option<String>> {
        let failure = self.shared.failure.lock();
        failure.unwrap_or_else(PoisonError::into_inner)
    }

    fn pool(&self) -> io::Result<Arc<Pool>> {
        let owned = self.owner.clone().or_else(|| self.shared.pool.upgrade());
        owned.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotConnected,
                "the runtime that this is a clone of is no more",
            )
        })
    }
}

/// How many links there are.
///
/// ```
/// # let runtime = ferrevent_tor::TorRuntime::new()?;
/// let links = runtime.links();
/// println!("{} links", links.count());
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Links(Arc<AtomicUsize>);

impl Links {
    /// How many are open now.
    ///
    /// ```
    /// # let runtime = ferrevent_tor::TorRuntime::new()?;
    /// assert_eq!(runtime.links().count(), 0);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A link that is open.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(links: &Arc<AtomicUsize>) -> Self {
        links.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(links))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Clone for TorRuntime {
    fn clone(&self) -> Self {
        Self {
            owner: None,
            shared: Arc::clone(&self.shared),
        }
    }
}

impl fmt::Debug for TorRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TorRuntime")
            .field("owner", &self.owner.is_some())
            .field("links", &self.links().count())
            .finish_non_exhaustive()
    }
}

fn refused(error: LimitError) -> io::Error {
    io::Error::other(error)
}
