//! What tasks ask of their loop or pool.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use ferrevent_core::filter::Filter;
use ferrevent_os::socket::ListenOptions;

use super::accepting::Accepting;
use super::cell::{Bridge, Cell};
use super::hub::Hub;
use super::{AsyncStream, Listener, LocalTask, Task, here, local, task};
use crate::host::Context;
use crate::{Address, StreamConfig};

/// A loop or a pool, for its tasks: cheap to clone, and usable from any
/// thread. It comes from [`EventLoop::runtime`](crate::EventLoop::runtime),
/// from [`Pool::runtime`](crate::Pool::runtime), or, in a task, from
/// [`Runtime::current`].
///
/// ```
/// # let mut events = ferrevent::EventLoop::new()?;
/// let runtime = events.runtime();
/// runtime.spawn(async { println!("polled by the loop") }).detach();
/// events.run()?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct Runtime {
    hub: Arc<Hub>,
}

impl Runtime {
    pub(super) fn of(hub: &Arc<Hub>) -> Self {
        Self {
            hub: Arc::clone(hub),
        }
    }

    pub(super) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// The one whose task this thread polls at the moment.
    ///
    /// ```
    /// use ferrevent::asynch::Runtime;
    ///
    /// let mut events = ferrevent::EventLoop::new()?;
    /// assert!(Runtime::current().is_none());
    /// events.block_on(async { assert!(Runtime::current().is_some()) })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn current() -> Option<Self> {
        here::current().map(|hub| Self { hub })
    }

    /// Has a future polled: by the loop, or by any worker of the pool. What it
    /// comes to is the [`Task`]'s, a panic too: others go on. If the loop or
    /// pool is no more the task is canceled.
    ///
    /// ```
    /// # let mut events = ferrevent::EventLoop::new()?;
    /// let task = events.runtime().spawn(async { 6 * 7 });
    /// assert_eq!(events.block_on(task)?, Ok(42));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        task::spawn(&self.hub, future)
    }

    /// As [`spawn`](Self::spawn), for a future that is not `Send`, in a task
    /// of a loop. From outside there is
    /// [`EventLoop::spawn_local`](crate::EventLoop::spawn_local).
    ///
    /// # Errors
    /// `Unsupported` where this thread does not poll a task of this loop, and
    /// on a pool.
    ///
    /// ```
    /// # let mut events = ferrevent::EventLoop::new()?;
    /// # let runtime = events.runtime();
    /// events.block_on(async move {
    ///     let ours = std::rc::Rc::new(7);
    ///     let task = runtime.spawn_local(async move { *ours })?;
    ///     assert_eq!(task.await, Ok(7));
    ///     std::io::Result::Ok(())
    /// })??;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn spawn_local<T: 'static>(
        &self,
        future: impl Future<Output = T> + 'static,
    ) -> io::Result<LocalTask<T>> {
        if self.hub.is_pool || !here::is_current(&self.hub) {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "a future that is not Send can be spawned by a task of its own loop only",
            ));
        }
        Ok(local::spawn(&self.hub, future))
    }

    /// Connects. Dropped before it is ready, the attempt is given up.
    ///
    /// # Errors
    /// Why the connection did not come about.
    ///
    /// ```
    /// # async fn example(runtime: ferrevent::asynch::Runtime) -> Result<(), Box<dyn std::error::Error>> {
    /// let stream = runtime.connect(&"example.org:80".parse()?).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect(&self, address: &Address) -> io::Result<AsyncStream> {
        self.connect_with(address, None, StreamConfig::DEFAULT, Vec::new())
            .await
    }

    /// As [`connect`](Self::connect), from a local address, with limits, and
    /// with filters from the first byte on, the lowest first. It is ready once
    /// the filters are open.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ferrevent::StreamConfig;
    /// # async fn example(runtime: ferrevent::asynch::Runtime) -> Result<(), Box<dyn std::error::Error>> {
    /// let config = StreamConfig {
    ///     connect_timeout: Some(Duration::from_secs(5)),
    ///     ..StreamConfig::DEFAULT
    /// };
    /// let address = "example.org:80".parse()?;
    /// let stream = runtime.connect_with(&address, None, config, Vec::new()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect_with(
        &self,
        address: &Address,
        bind: Option<SocketAddr>,
        config: StreamConfig,
        filters: Vec<Box<dyn Filter>>,
    ) -> io::Result<AsyncStream> {
        let address = address.clone();
        self.open(move |context, bridge| {
            let handle = context.connect_filtered(&address, bind, config, filters, bridge)?;
            Ok(handle.shared.token)
        })
        .await
    }

    /// Takes a connected descriptor: a socket, a pipe, a terminal.
    ///
    /// # Errors
    /// Those of fcntl(2).
    ///
    /// ```
    /// # async fn example(runtime: ferrevent::asynch::Runtime) -> std::io::Result<()> {
    /// let (near, far) = std::os::unix::net::UnixStream::pair()?;
    /// let stream = runtime.adopt(near.into()).await?;
    /// # drop(far);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn adopt(&self, fd: crate::sys::fd::OwnedFd) -> io::Result<AsyncStream> {
        self.open(move |context, bridge| Ok(context.adopt(fd, bridge)?.shared.token))
            .await
    }

    async fn open(
        &self,
        make: impl FnOnce(&mut Context<'_>, Bridge) -> io::Result<ferrevent_os::Token> + Send + 'static,
    ) -> io::Result<AsyncStream> {
        let cell = Cell::new(&self.hub);
        let stream = AsyncStream::new(Arc::clone(&cell));
        self.hub.run(move |context| {
            let bridge = Bridge::new(Arc::clone(&cell));
            let hub = Arc::clone(&cell.hub);
            let made = make(context, bridge);
            here::work(&hub, context, || match made {
                Ok(token) => cell.is_stream(token),
                Err(error) => cell.failed(&error),
            });
        })?;
        poll_fn(|polling| stream.cell().poll_open(polling)).await?;
        Ok(stream)
    }

    /// Listens on an address.
    ///
    /// # Errors
    /// Those of the system, naming the address.
    ///
    /// ```
    /// # async fn example(runtime: ferrevent::asynch::Runtime) -> Result<(), Box<dyn std::error::Error>> {
    /// let listener = runtime.listen(&"127.0.0.1:0".parse()?).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn listen(&self, address: &Address) -> io::Result<Listener> {
        self.listen_with(address, ListenOptions::default(), None, Vec::new)
            .await
    }

    /// As [`listen`](Self::listen), with options for the socket, limits for
    /// the streams, and filters on each of them from its first byte on.
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    ///
    /// ```
    /// # use ferrevent::ListenOptions;
    /// # async fn example(runtime: ferrevent::asynch::Runtime) -> Result<(), Box<dyn std::error::Error>> {
    /// let options = ListenOptions {
    ///     backlog: 1024,
    ///     ..ListenOptions::default()
    /// };
    /// let address = "127.0.0.1:0".parse()?;
    /// let listener = runtime.listen_with(&address, options, None, Vec::new).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn listen_with(
        &self,
        address: &Address,
        options: ListenOptions,
        config: Option<StreamConfig>,
        filters: impl FnMut() -> Vec<Box<dyn Filter>> + Send + 'static,
    ) -> io::Result<Listener> {
        let address = address.clone();
        let accepting = Accepting::new(&self.hub);
        self.hub
            .ask(move |context| {
                let made = Arc::clone(&accepting);
                let id =
                    context.listen_filtered(&address, &options, config, filters, move || {
                        Box::new(Bridge::accepted(&made))
                    })?;
                Ok(accepting.listens(id, context.listener_addr(id)))
            })
            .await?
    }

    /// As [`listen`](Self::listen), on a socket that listens already.
    ///
    /// # Errors
    /// `InvalidInput` for what is no listening stream socket.
    ///
    /// ```
    /// # async fn example(runtime: ferrevent::asynch::Runtime) -> std::io::Result<()> {
    /// let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let listener = runtime.listen_on(socket.into(), None).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn listen_on(
        &self,
        fd: crate::sys::fd::OwnedFd,
        config: Option<StreamConfig>,
    ) -> io::Result<Listener> {
        let accepting = Accepting::new(&self.hub);
        self.hub
            .ask(move |context| {
                let made = Arc::clone(&accepting);
                let id =
                    context.listen_on(fd, config, move || Box::new(Bridge::accepted(&made)))?;
                Ok(accepting.listens(id, context.listener_addr(id)))
            })
            .await?
    }
}

/// Spawns futures that are not `Send`: a loop, for its own thread.
/// It comes from [`EventLoop::local_executor`](crate::EventLoop::local_executor)
/// and cannot leave that thread.
///
/// ```
/// let mut events = ferrevent::EventLoop::new()?;
/// let tasks = events.local_executor();
/// let ours = std::rc::Rc::new(3);
/// let task = tasks.spawn(async move { *ours });
/// assert_eq!(events.block_on(task)?, Ok(3));
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct LocalExecutor {
    hub: Arc<Hub>,
    /// Not `Send`.
    here: PhantomData<Rc<()>>,
}

impl LocalExecutor {
    pub(super) fn of(hub: Arc<Hub>) -> Self {
        Self {
            hub,
            here: PhantomData,
        }
    }

    /// As [`Runtime::spawn`], on this thread.
    ///
    /// ```
    /// let mut events = ferrevent::EventLoop::new()?;
    /// events.local_executor().spawn(async { println!("here") }).detach();
    /// events.run()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn spawn<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> LocalTask<T> {
        local::spawn(&self.hub, future)
    }
}

impl fmt::Debug for LocalExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalExecutor")
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("pool", &self.hub.is_pool)
            .finish_non_exhaustive()
    }
}
