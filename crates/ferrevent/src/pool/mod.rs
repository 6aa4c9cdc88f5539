//! The pool: several threads, any of which may take any stream's event.

mod core;
mod desk;

use std::io;
use std::sync::Arc;
use std::thread;

use ferrevent_os::{Backend, BackendKind};

pub(crate) use core::Core;

use crate::event_loop::Builder;
use crate::host::{AnyThread, Context, Host, Inner, Trouble};

/// Worker threads over one engine. Any idle worker may take any stream's
/// event; one stream is never run by two workers at once; a worker that is
/// held up in a handler does not hold up the streams of the others. Handlers
/// must be `Send`, and are otherwise those of an
/// [`EventLoop`](crate::EventLoop).
///
/// ```
/// use std::time::Duration;
/// use ferrevent::{Pool, Stream};
///
/// let pool = Pool::new(2)?;
/// pool.context().listen(&"127.0.0.1:0".parse()?, || |stream: &mut Stream<'_>| stream.echo())?;
/// let remote = pool.context().remote();
/// let thread = std::thread::spawn(move || remote.stop());
/// pool.run()?;
/// # assert!(thread.join().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A handler that is not `Send` is refused:
///
/// ```compile_fail
/// use std::{cell::Cell, rc::Rc};
/// let pool = ferrevent::Pool::new(2)?;
/// let count = Rc::new(Cell::new(0));
/// pool.context().listen(&"127.0.0.1:0".parse()?, move || {
///     let count = Rc::clone(&count);
///     move |_: &mut ferrevent::Stream<'_>| count.set(count.get() + 1)
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Pool {
    core: Core,
    workers: usize,
}

impl Pool {
    /// A pool of this many workers, at least one, on the default backend.
    ///
    /// # Errors
    /// As [`Builder::build`].
    ///
    /// ```
    /// let pool = ferrevent::Pool::new(4)?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new(workers: usize) -> io::Result<Self> {
        Builder::new().build_pool(workers)
    }

    pub(crate) fn new_with(inner: Inner<AnyThread>, backend: Arc<Backend>, workers: usize) -> Self {
        Self {
            core: Core::new(inner, backend),
            workers: workers.max(1),
        }
    }

    /// How many workers there are.
    ///
    /// ```
    /// assert_eq!(ferrevent::Pool::new(3)?.workers(), 3);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// The backend it runs on.
    ///
    /// ```
    /// println!("{}", ferrevent::Pool::new(1)?.backend_kind());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn backend_kind(&self) -> BackendKind {
        self.core.with(|inner| inner.kind)
    }

    /// Works until nothing is registered any more or somebody stops it. The
    /// calling thread is one of the workers.
    ///
    /// # Errors
    /// When threads have run out, or waiting for the kernel failed.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let pool = ferrevent::Pool::new(2)?;
    /// pool.context().timer(Duration::from_millis(1), |_| println!("tick"))?;
    /// // Until nothing is registered any more.
    /// pool.run()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn run(&self) -> io::Result<()> {
        self.core.open();
        thread::scope(|scope| {
            for number in 1..self.workers {
                let started = thread::Builder::new()
                    .name(format!("worker-{number}"))
                    .spawn_scoped(scope, || self.core.work());
                if let Err(error) = started {
                    self.core.with(|inner| inner.stop = crate::host::Stop::Now);
                    self.core.work();
                    return Err(error);
                }
            }
            self.core.work();
            Ok(())
        })?;
        self.core.outcome()
    }

    /// What can be done with it, from any thread, while it runs or not.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let pool = ferrevent::Pool::new(1)?;
    /// pool.context().timer(Duration::from_millis(1), |context| context.stop(true))?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn context(&self) -> Context<'_> {
        let now = self.core.with(|inner| inner.engine.refresh_now());
        Context::new(Host::Pool(&self.core), now)
    }

    /// Calls back about what no stream can be told of.
    ///
    /// ```
    /// let pool = ferrevent::Pool::new(1)?;
    /// pool.on_trouble(|trouble| eprintln!("{trouble:?}"));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn on_trouble(&self, hook: impl Fn(&Trouble) + Send + Sync + 'static) {
        let backend = self.core.with(|inner| Arc::clone(inner.engine.backend()));
        if let Some(trouble) = Trouble::of_backend(&backend) {
            hook(&trouble);
        }
        let old = self
            .core
            .with(|inner| inner.trouble.replace(Arc::new(hook)));
        drop(old);
    }

    /// A readable list of what is registered.
    ///
    /// ```
    /// println!("{}", ferrevent::Pool::new(2)?.dump());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn dump(&self) -> String {
        format!(
            "pool of {} on {}\n{}",
            self.workers,
            self.backend_kind(),
            self.core.dump()
        )
    }

    /// What tasks share; made when it is first asked for.
    #[cfg(feature = "async")]
    pub(crate) fn hub(&self) -> Arc<crate::asynch::Hub> {
        self.core.with(|inner| inner.hub(true))
    }

    /// A stop that came after the end of a run is not meant for the next.
    #[cfg(feature = "async")]
    pub(crate) fn forget_stop(&self) {
        self.core.with(|inner| inner.stop = crate::host::Stop::No);
    }

    /// Waits until the workers have nothing more to do, so long at most.
    #[cfg(feature = "async")]
    pub(crate) fn settle(&self, most: std::time::Duration) {
        let end = std::time::Instant::now() + most;
        while self.core.is_working() && std::time::Instant::now() < end {
            thread::yield_now();
        }
    }

    /// How many things are registered.
    ///
    /// ```
    /// assert_eq!(ferrevent::Pool::new(1)?.len(), 0);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn len(&self) -> usize {
        self.core.with(|inner| inner.engine.len())
    }

    /// Whether nothing is registered.
    ///
    /// ```
    /// assert!(ferrevent::Pool::new(1)?.is_empty());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("workers", &self.workers)
            .field("registered", &self.len())
            .finish_non_exhaustive()
    }
}
