//! What is added to a loop or a pool: the same for [`Context`], where it must
//! be `Send`, and for [`Local`], where it need not.

use ferrevent_os::sys::fd::{BorrowedFd, OwnedFd};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ferrevent_core::filter::Filter;
use ferrevent_os::socket::{self, ListenOptions};

use super::inner::{Filters, open_listener};
use super::{Context, Host, ListenerId, Local, SignalId, TimerId, Trigger, WatchId, on, on_loop};
use crate::address::Address;
use crate::engine::Registration;
use crate::handle::Handle;
use crate::handler::Handler;
use crate::{Readiness, StreamConfig};

macro_rules! adders {
    ($half:ident, $on:ident, $($send:ident)?) => {
        impl $half<'_> {
            /// Listens on an address, with a new handler for each connection.
            ///
            /// # Errors
            /// Those of the system, naming the address.
            ///
            /// ```
            /// # use ferrevent::{EventLoop, Stream};
            /// # let mut events = EventLoop::new()?;
            /// events.context().listen(&"127.0.0.1:0".parse()?, || {
            ///     |stream: &mut Stream<'_>| stream.echo()
            /// })?;
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn listen<H: Handler $(+ $send)? + 'static>(
                &mut self,
                address: &Address,
                mut factory: impl FnMut() -> H $(+ $send)? + 'static,
            ) -> io::Result<ListenerId> {
                self.listen_with(address, &ListenOptions::default(), None, move || {
                    Box::new(factory())
                })
            }

            /// As [`listen`](Self::listen), with options for the socket and limits
            /// for the streams.
            ///
            /// # Errors
            /// As [`listen`](Self::listen).
            ///
            /// ```
            /// # use ferrevent::{EventLoop, ListenOptions, Stream};
            /// # let mut events = EventLoop::new()?;
            /// let options = ListenOptions {
            ///     backlog: 1024,
            ///     ..ListenOptions::default()
            /// };
            /// events.context().listen_with(&"127.0.0.1:0".parse()?, &options, None, || {
            ///     Box::new(|stream: &mut Stream<'_>| stream.echo())
            /// })?;
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn listen_with(
                &mut self,
                address: &Address,
                options: &ListenOptions,
                config: Option<StreamConfig>,
                mut factory: impl FnMut() -> Box<dyn Handler $(+ $send)?> $(+ $send)? + 'static,
            ) -> io::Result<ListenerId> {
                // Names are resolved and sockets made where no lock is held.
                let sys = self.host.sys();
                let fd = open_listener(&sys, address, options)?;
                $on!(&mut self.host, inner => {
                    inner.listen(fd, config, None, Box::new(move || -> Box<Dyn> { factory() }))
                })
            }

            /// As [`listen_with`](Self::listen_with), with filters on every
            /// connection from its first byte on, the lowest first.
            ///
            /// # Errors
            /// As [`listen`](Self::listen).
            ///
            /// ```
            /// # use ferrevent::filter::{Filter, Pass};
            /// # use ferrevent::{EventLoop, ListenOptions, Stream};
            /// # let mut events = EventLoop::new()?;
            /// struct Upper;
            /// impl Filter for Upper {
            ///     fn decode(&mut self, pass: &mut Pass<'_>) -> std::io::Result<()> {
            ///         pass.map(|bytes| bytes.make_ascii_uppercase());
            ///         Ok(())
            ///     }
            ///     fn encode(&mut self, pass: &mut Pass<'_>) -> std::io::Result<()> {
            ///         self.decode(pass)
            ///     }
            /// }
            /// events.context().listen_filtered(
            ///     &"127.0.0.1:0".parse()?,
            ///     &ListenOptions::default(),
            ///     None,
            ///     || vec![Box::new(Upper)],
            ///     || Box::new(|stream: &mut Stream<'_>| stream.echo()),
            /// )?;
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn listen_filtered(
                &mut self,
                address: &Address,
                options: &ListenOptions,
                config: Option<StreamConfig>,
                filters: impl FnMut() -> Vec<Box<dyn Filter>> + Send + 'static,
                mut factory: impl FnMut() -> Box<dyn Handler $(+ $send)?> $(+ $send)? + 'static,
            ) -> io::Result<ListenerId> {
                let sys = self.host.sys();
                let fd = open_listener(&sys, address, options)?;
                let filters = Some(Box::new(filters) as Filters);
                $on!(&mut self.host, inner => {
                    inner.listen(fd, config, filters, Box::new(move || -> Box<Dyn> { factory() }))
                })
            }

            /// Listens on a socket that listens already, one that a service manager
            /// has passed, say. It is made non-blocking, and small writes are sent
            /// at once on every connection it takes.
            ///
            /// # Errors
            /// `InvalidInput` for what is no listening stream socket.
            ///
            /// ```
            /// # use ferrevent::{EventLoop, Stream};
            /// # let mut events = EventLoop::new()?;
            /// let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
            /// events.context().listen_on(socket.into(), None, || {
            ///     Box::new(|stream: &mut Stream<'_>| stream.echo())
            /// })?;
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn listen_on(
                &mut self,
                fd: OwnedFd,
                config: Option<StreamConfig>,
                mut factory: impl FnMut() -> Box<dyn Handler $(+ $send)?> $(+ $send)? + 'static,
            ) -> io::Result<ListenerId> {
                socket::prepare_listening(&self.host.sys(), &fd)?;
                $on!(&mut self.host, inner => {
                    inner.listen(fd, config, None, Box::new(move || -> Box<Dyn> { factory() }))
                })
            }

            /// Connects. The handle works at once: what is written before the
            /// connection stands is sent then. Why it did not come about is told to
            /// [`closed`](Handler::closed).
            ///
            /// # Errors
            /// When the address cannot be one, or threads have run out for resolving
            /// a name.
            ///
            /// ```
            /// # use ferrevent::{EventLoop, Stream};
            /// # let mut events = EventLoop::new()?;
            /// let handle = events.context().connect(&"127.0.0.1:7".parse()?, |stream: &mut Stream<'_>| {
            ///     println!("{} bytes", stream.input().len());
            /// })?;
            /// handle.write(&b"hello"[..])?;
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn connect(
                &mut self,
                address: &Address,
                handler: impl Handler $(+ $send)? + 'static,
            ) -> io::Result<Handle> {
                self.connect_with(address, None, StreamConfig::DEFAULT, handler)
            }

            /// As [`connect`](Self::connect), from a local address, with limits.
            ///
            /// # Errors
            /// As [`connect`](Self::connect).
            ///
            /// ```
            /// # use std::time::Duration;
            /// # use ferrevent::{EventLoop, Stream, StreamConfig};
            /// # let mut events = EventLoop::new()?;
            /// let config = StreamConfig {
            ///     connect_timeout: Some(Duration::from_secs(5)),
            ///     ..StreamConfig::DEFAULT
            /// };
            /// let from = "127.0.0.1:0".parse()?;
            /// events.context().connect_with(
            ///     &"127.0.0.1:7".parse()?,
            ///     Some(from),
            ///     config,
            ///     |stream: &mut Stream<'_>| stream.echo(),
            /// )?;
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn connect_with(
                &mut self,
                address: &Address,
                bind: Option<SocketAddr>,
                config: StreamConfig,
                handler: impl Handler $(+ $send)? + 'static,
            ) -> io::Result<Handle> {
                self.connect_filtered(address, bind, config, Vec::new(), handler)
            }

            /// As [`connect_with`](Self::connect_with), with filters from the first
            /// byte on, the lowest first.
            ///
            /// # Errors
            /// As [`connect`](Self::connect).
            ///
            /// ```
            /// # use ferrevent::filter::Filter;
            /// # use ferrevent::{Context, Stream, StreamConfig};
            /// fn connect(context: &mut Context<'_>, filter: Box<dyn Filter>) -> std::io::Result<()> {
            ///     let address = std::net::SocketAddr::from(([127, 0, 0, 1], 7)).into();
            ///     context.connect_filtered(
            ///         &address,
            ///         None,
            ///         StreamConfig::DEFAULT,
            ///         vec![filter],
            ///         |stream: &mut Stream<'_>| stream.echo(),
            ///     )?;
            ///     Ok(())
            /// }
            /// ```
            pub fn connect_filtered(
                &mut self,
                address: &Address,
                bind: Option<SocketAddr>,
                config: StreamConfig,
                filters: Vec<Box<dyn Filter>>,
                handler: impl Handler $(+ $send)? + 'static,
            ) -> io::Result<Handle> {
                $on!(&mut self.host, inner => {
                    inner.connect(address, bind, config, filters, Box::new(handler))
                })
            }

            /// Takes a connected descriptor: a socket, a pipe, a terminal. It is made
            /// non-blocking.
            ///
            /// # Errors
            /// Those of fcntl(2).
            ///
            /// ```
            /// # use ferrevent::{EventLoop, Stream};
            /// # let mut events = EventLoop::new()?;
            /// let (near, far) = std::os::unix::net::UnixStream::pair()?;
            /// events.context().adopt(near.into(), |stream: &mut Stream<'_>| stream.echo())?;
            /// # drop(far);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn adopt(
                &mut self,
                fd: OwnedFd,
                handler: impl Handler $(+ $send)? + 'static,
            ) -> io::Result<Handle> {
                $on!(&mut self.host, inner => inner.adopt(fd, Box::new(handler)))
            }

            /// Two streams connected to each other.
            ///
            /// # Errors
            /// Those of socketpair(2).
            ///
            /// ```
            /// # use ferrevent::{EventLoop, Stream};
            /// # let mut events = EventLoop::new()?;
            /// let (one, other) = events.context().pair(
            ///     |stream: &mut Stream<'_>| stream.echo(),
            ///     |stream: &mut Stream<'_>| println!("{} bytes are back", stream.input().len()),
            /// )?;
            /// other.write(&b"there and back"[..])?;
            /// # drop(one);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn pair(
                &mut self,
                one: impl Handler $(+ $send)? + 'static,
                other: impl Handler $(+ $send)? + 'static,
            ) -> io::Result<(Handle, Handle)> {
                let (a, b) = socket::pair_by(&self.host.sys())?;
                let one = self.adopt(a, one)?;
                match self.adopt(b, other) {
                    Ok(other) => Ok((one, other)),
                    Err(error) => {
                        one.close();
                        Err(error)
                    }
                }
            }

            /// Calls back once after so long, never earlier. A timer that is not armed
            /// again in its callback is gone after it.
            ///
            /// # Errors
            /// Only when four billion things are registered.
            ///
            /// ```
            /// # use std::time::Duration;
            /// # use ferrevent::{EventLoop};
            /// # let mut events = EventLoop::new()?;
            /// events.context().timer(Duration::from_millis(1), |_| println!("now"))?;
            /// events.run()?;
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn timer(
                &mut self,
                after: Duration,
                callback: impl FnMut(&mut Context<'_>) $(+ $send)? + 'static,
            ) -> io::Result<TimerId> {
                $on!(&mut self.host, inner => inner.timer(after, Box::new(callback)))
            }

            /// Calls back whenever a descriptor is ready, or nothing was for the
            /// registration's timeout (then the readiness is empty). The descriptor
            /// must stay open until the registration is removed.
            ///
            /// # Errors
            /// As [`Engine::add_watch`](crate::engine::Engine::add_watch).
            ///
            /// ```
            /// # use std::os::fd::AsFd;
            /// # use ferrevent::{EventLoop, Readiness, engine::Registration};
            /// # let mut events = EventLoop::new()?;
            /// let (near, far) = std::os::unix::net::UnixStream::pair()?;
            /// let registration = Registration::new(Readiness::READ);
            /// events.context().watch(near.as_fd(), registration, |_, ready| println!("{ready:?}"))?;
            /// # drop(far);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn watch(
                &mut self,
                fd: BorrowedFd<'_>,
                registration: Registration,
                callback: impl FnMut(&mut Context<'_>, Readiness) $(+ $send)? + 'static,
            ) -> io::Result<WatchId> {
                $on!(&mut self.host, inner => {
                    inner.watch(fd, registration, Box::new(callback))
                } then io::Error::from)
            }

            /// An event that is raised from any thread, by its trigger.
            ///
            /// # Errors
            /// Only when four billion things are registered.
            ///
            /// ```
            /// # use ferrevent::{EventLoop};
            /// # let mut events = EventLoop::new()?;
            /// let trigger = events.context().trigger(|context| context.stop(true))?;
            /// let thread = std::thread::spawn(move || trigger.raise());
            /// events.run()?;
            /// # assert!(thread.join().is_ok());
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn trigger(
                &mut self,
                callback: impl FnMut(&mut Context<'_>) $(+ $send)? + 'static,
            ) -> io::Result<Trigger> {
                $on!(&mut self.host, inner => inner.trigger(Box::new(callback)))
            }

            /// Calls back when this signal has come, with how often it came since.
            /// Several loops may listen for one signal, and each is told. What the
            /// signal did by default it does no more.
            ///
            /// # Errors
            /// `InvalidInput` for what cannot be caught, else when descriptors have
            /// run out.
            ///
            /// ```
            /// # use ferrevent::EventLoop;
            /// # let mut events = EventLoop::new()?;
            /// const SIGUSR1: i32 = 10;
            /// let signal = events.context().signal(SIGUSR1, |_, times| println!("{times} more"))?;
            /// println!("{}", events.dump());
            /// # let _ = signal;
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn signal(
                &mut self,
                signal: i32,
                callback: impl FnMut(&mut Context<'_>, u32) $(+ $send)? + 'static,
            ) -> io::Result<SignalId> {
                $on!(&mut self.host, inner => inner.signal(signal, Box::new(callback)))
            }
        }
    };
}

adders!(Context, on, Send);
adders!(Local, on_loop,);
