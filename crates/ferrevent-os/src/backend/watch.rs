//! The low-level half of the boundary: readiness of descriptors that are not
//! the backend's own.

use std::io;

use super::{Backend, Kind, each};
use crate::op::Token;
use crate::port::Readiness;
use crate::sys::fd::RawFd;

impl Backend {
    /// Reports readiness of a descriptor under a token, until told otherwise.
    /// The number need not stay open: a closed one is reported no more, or as
    /// an error.
    ///
    /// # Errors
    /// `Unsupported` for edge-triggered watching where the kernel has none,
    /// `AlreadyExists` when the descriptor is watched or is a port already,
    /// else those of the kernel.
    ///
    /// ```
    /// # use std::os::fd::AsRawFd;
    /// # use ferrevent_os::{Backend, BackendKind, Completion, Op, OpKind, Port, PortKind, Readiness, Token, What, socket};
    /// # use ferrevent_os::sys::{Clock, Sys};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// let (near, far) = std::os::unix::net::UnixStream::pair()?;
    /// backend.watch(near.as_raw_fd(), Token(1), Readiness::WRITE, false)?;
    /// let mut events = Vec::new();
    /// backend.wait(&mut backend.waiter(), None, &mut events)?;
    /// assert_eq!(events[0].token, Token(1));
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn watch(
        &self,
        fd: RawFd,
        token: Token,
        interest: Readiness,
        edge: bool,
    ) -> io::Result<()> {
        each!(self, backend => backend.watch(fd, token, interest, edge))
    }

    /// Changes what is reported of a watched descriptor.
    ///
    /// # Errors
    /// `NotFound` when it is not watched, else those of the kernel.
    ///
    /// ```
    /// # use std::os::fd::AsRawFd;
    /// # use ferrevent_os::{Backend, BackendKind, Completion, Op, OpKind, Port, PortKind, Readiness, Token, What, socket};
    /// # use ferrevent_os::sys::{Clock, Sys};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// let (near, far) = std::os::unix::net::UnixStream::pair()?;
    /// backend.watch(near.as_raw_fd(), Token(1), Readiness::WRITE, false)?;
    /// backend.rewatch(near.as_raw_fd(), Token(1), Readiness::READ, false)?;
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn rewatch(
        &self,
        fd: RawFd,
        token: Token,
        interest: Readiness,
        edge: bool,
    ) -> io::Result<()> {
        each!(self, backend => backend.rewatch(fd, token, interest, edge))
    }

    /// The event of a watched descriptor was taken: what it is watched for may
    /// be told again. To be said on a shared backend; else it changes nothing.
    ///
    /// # Errors
    /// Those of the kernel.
    ///
    /// ```
    /// # use std::os::fd::AsRawFd;
    /// # use ferrevent_os::{Backend, BackendKind, Readiness, Token};
    /// # use ferrevent_os::sys::{Clock, Sys};
    /// # let backend = Backend::new_shared(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// let (near, far) = std::os::unix::net::UnixStream::pair()?;
    /// backend.watch(near.as_raw_fd(), Token(1), Readiness::WRITE, false)?;
    /// let mut events = Vec::new();
    /// backend.wait(&mut backend.waiter(), None, &mut events)?;
    /// backend.took(near.as_raw_fd(), Token(1), Readiness::WRITE, false)?;
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn took(&self, fd: RawFd, token: Token, interest: Readiness, edge: bool) -> io::Result<()> {
        each!(self, backend => backend.took(fd, token, interest, edge))
    }

    /// Reports nothing more of a watched descriptor.
    ///
    /// # Errors
    /// `NotFound` when it is not watched (any more).
    ///
    /// ```
    /// # use std::os::fd::AsRawFd;
    /// # use ferrevent_os::{Backend, BackendKind, Completion, Op, OpKind, Port, PortKind, Readiness, Token, What, socket};
    /// # use ferrevent_os::sys::{Clock, Sys};
    /// # use std::time::Duration;
    /// # let backend = Backend::new(BackendKind::default(), Sys::new(Clock::real(), None))?;
    /// let (near, far) = std::os::unix::net::UnixStream::pair()?;
    /// backend.watch(near.as_raw_fd(), Token(1), Readiness::WRITE, false)?;
    /// backend.unwatch(near.as_raw_fd())?;
    /// assert!(backend.unwatch(near.as_raw_fd()).is_err());
    /// # drop(far);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn unwatch(&self, fd: RawFd) -> io::Result<()> {
        each!(self, backend => backend.unwatch(fd))
    }
}
