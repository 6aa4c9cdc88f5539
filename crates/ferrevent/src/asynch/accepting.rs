//! Listeners as streams of connections.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as Polling, Poll, Waker};

use futures_core::Stream as Connections;

use super::cell::Cell;
use super::hub::{Hub, again, gone};
use super::{AsyncStream, lock};
use crate::{ListenerId, Stream};

/// What a listener accepts, as connections that a task takes one at a time.
/// It is a [`Stream`](futures_core::Stream) of them too. While 64 wait to be
/// taken it accepts no more, and others wait in the kernel's backlog. Dropped,
/// it listens no more, and the connections that nobody took are closed.
///
/// ```
/// # let mut events = ferrevent::EventLoop::new()?;
/// # let runtime = events.runtime();
/// events.block_on(async move {
///     let listener = runtime.listen(&"127.0.0.1:0".parse()?).await?;
///     let address = listener.local_addr().expect("it is a TCP listener");
///     let client = runtime.connect(&address.into()).await?;
///     let server = listener.accept().await?;
/// #   drop((client, server));
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Listener {
    of: Arc<Accepting>,
    address: Option<SocketAddr>,
}

pub(super) struct Accepting {
    hub: Arc<Hub>,
    state: Mutex<Waiting>,
}

/// What is done with every connection before anything else.
type Prepare = Arc<dyn Fn(&mut Stream<'_>) + Send + Sync>;

#[derive(Default)]
struct Waiting {
    came: VecDeque<AsyncStream>,
    wakers: Vec<Waker>,
    id: Option<ListenerId>,
    prepare: Option<Prepare>,
    paused: bool,
    closed: bool,
    /// Why it is at its end.
    failure: Option<io::Error>,
}

/// So many connections wait to be taken.
const MOST: usize = 64;

impl Accepting {
    pub(super) fn new(hub: &Arc<Hub>) -> Arc<Self> {
        Arc::new(Self {
            hub: Arc::clone(hub),
            state: Mutex::default(),
        })
    }

    pub(super) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// The listener is there.
    pub(super) fn listens(
        self: &Arc<Self>,
        id: ListenerId,
        address: Option<SocketAddr>,
    ) -> Listener {
        lock(&self.state).id = Some(id);
        self.hub.listens(id, self);
        Listener {
            of: Arc::clone(self),
            address,
        }
    }

    /// A connection is open.
    pub(super) fn came(self: &Arc<Self>, stream: &mut Stream<'_>, cell: Arc<Cell>) {
        let prepare = lock(&self.state).prepare.clone();
        if let Some(prepare) = prepare {
            prepare(stream);
        }
        let context = stream.context();
        let stream = AsyncStream::new(cell);
        let (wakers, pause, refused) = {
            let mut state = lock(&self.state);
            if state.closed || self.hub.is_over() {
                (Vec::new(), None, Some(stream))
            } else {
                state.came.push_back(stream);
                let full = state.came.len() >= MOST && !state.paused;
                state.paused |= full;
                let pause = state.id.filter(|_| full);
                (std::mem::take(&mut state.wakers), pause, None)
            }
        };
        drop(refused);
        if let Some(id) = pause {
            context.pause_listener(id, true);
        }
        if !wakers.is_empty() {
            super::here::work(&self.hub, context, || {
                for waker in wakers {
                    waker.wake();
                }
            });
        }
    }

    /// It accepts no more: whoever waits hears why.
    pub(super) fn failed(&self, error: &io::Error) {
        let wakers = {
            let mut state = lock(&self.state);
            state.failure = Some(again(error));
            std::mem::take(&mut state.wakers)
        };
        for waker in wakers {
            waker.wake();
        }
    }

    fn poll_accept(&self, polling: &Polling<'_>) -> Poll<io::Result<AsyncStream>> {
        let (stream, resume) = {
            let mut state = lock(&self.state);
            let Some(stream) = state.came.pop_front() else {
                if let Some(failure) = &state.failure {
                    return Poll::Ready(Err(again(failure)));
                }
                if self.hub.is_over() {
                    return Poll::Ready(Err(gone()));
                }
                if !state.wakers.iter().any(|it| it.will_wake(polling.waker())) {
                    state.wakers.push(polling.waker().clone());
                }
                return Poll::Pending;
            };
            let resume = state.paused && state.came.len() <= MOST / 2;
            if resume {
                state.paused = false;
            }
            (stream, state.id.filter(|_| resume))
        };
        if let Some(id) = resume {
            // A loop that is gone accepts nothing any more.
            let _ = self.hub.run(move |context| {
                context.pause_listener(id, false);
            });
        }
        Poll::Ready(Ok(stream))
    }
}

impl Listener {
    /// The next connection. Cancel-safe: a connection that came is returned,
    /// or stays for the next call. Several tasks may wait at once.
    ///
    /// # Errors
    /// When the listener is at its end: why, and again with every call. When
    /// the loop or pool is no more. That descriptors or memory have run out is
    /// told to [`on_trouble`](crate::EventLoop::on_trouble) alone: it rests,
    /// and goes on by itself.
    ///
    /// ```
    /// # async fn serve(runtime: ferrevent::asynch::Runtime) -> Result<(), Box<dyn std::error::Error>> {
    /// let listener = runtime.listen(&"127.0.0.1:7000".parse()?).await?;
    /// loop {
    ///     let stream = listener.accept().await?;
    ///     runtime.spawn(async move { drop(stream) }).detach();
    /// }
    /// # }
    /// ```
    pub async fn accept(&self) -> io::Result<AsyncStream> {
        poll_fn(|polling| self.of.poll_accept(polling)).await
    }

    /// Has this done with every connection that comes from now on, before it
    /// is given out and before any of its bytes are received; where it began
    /// with filters, when they are open. It comes to join a group of rate
    /// limits, say, or to set options of the socket. What panics in it ends the
    /// connection.
    ///
    /// ```
    /// # use ferrevent::RateGroup;
    /// # use ferrevent::asynch::Listener;
    /// use ferrevent::limit::Share;
    ///
    /// fn limit(listener: &Listener, guests: RateGroup) {
    ///     listener.prepare(move |stream| {
    ///         if stream.join(&guests, Share::default()).is_err() {
    ///             stream.close();
    ///         }
    ///     });
    /// }
    /// ```
    pub fn prepare(&self, work: impl Fn(&mut Stream<'_>) + Send + Sync + 'static) {
        let new: Prepare = Arc::new(work);
        let old = lock(&self.of.state).prepare.replace(new);
        drop(old);
    }

    /// Where it listens: with the port that the system chose; none for a unix
    /// socket.
    ///
    /// ```
    /// # async fn listen(runtime: ferrevent::asynch::Runtime) -> Result<(), Box<dyn std::error::Error>> {
    /// let listener = runtime.listen(&"127.0.0.1:0".parse()?).await?;
    /// println!("listening on {:?}", listener.local_addr());
    /// # Ok(())
    /// # }
    /// ```
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.address
    }
}

impl Connections for Listener {
    type Item = io::Result<AsyncStream>;

    fn poll_next(self: Pin<&mut Self>, polling: &mut Polling<'_>) -> Poll<Option<Self::Item>> {
        self.of.poll_accept(polling).map(Some)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let (came, id) = {
            let mut state = lock(&self.of.state);
            state.closed = true;
            (std::mem::take(&mut state.came), state.id.take())
        };
        drop(came);
        if let Some(id) = id {
            self.of.hub.listens_no_more(id);
            // A loop that is gone listens no more.
            let _ = self.of.hub.run(move |context| {
                context.close_listener(id);
            });
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
