//! What the system names an open socket (and on Unix an open file) by: one
//! set of names, so that the layers above say the same thing everywhere.
//!
//! On Unix these are the standard library's own. Windows knows sockets apart
//! from files, and only sockets can be waited for as this project does it: so
//! there a "descriptor" is a socket.

#[cfg(unix)]
pub use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

#[cfg(windows)]
pub use std::os::windows::io::{
    BorrowedSocket as BorrowedFd, OwnedSocket as OwnedFd, RawSocket as RawFd,
};

#[cfg(windows)]
pub use windows::{AsFd, AsRawFd};

#[cfg(windows)]
mod windows {
    use std::os::windows::io::{AsRawSocket, AsSocket, BorrowedSocket, RawSocket};

    /// Borrows the socket of anything that has one.
    ///
    /// ```
    /// use ferrevent_os::sys::fd::AsFd;
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let borrowed = listener.as_fd();
    /// # std::io::Result::Ok(())
    /// ```
    pub trait AsFd: AsSocket {
        /// The socket.
        ///
        /// ```
        /// use ferrevent_os::sys::fd::AsFd;
        /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        /// let borrowed = listener.as_fd();
        /// # std::io::Result::Ok(())
        /// ```
        fn as_fd(&self) -> BorrowedSocket<'_> {
            self.as_socket()
        }
    }

    impl<T: AsSocket + ?Sized> AsFd for T {}

    /// The number of the socket of anything that has one.
    ///
    /// ```
    /// use ferrevent_os::sys::fd::AsRawFd;
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// assert_eq!(listener.as_raw_fd(), listener.as_raw_fd());
    /// # std::io::Result::Ok(())
    /// ```
    pub trait AsRawFd: AsRawSocket {
        /// The number.
        ///
        /// ```
        /// use ferrevent_os::sys::fd::AsRawFd;
        /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        /// assert_eq!(listener.as_raw_fd(), listener.as_raw_fd());
        /// # std::io::Result::Ok(())
        /// ```
        fn as_raw_fd(&self) -> RawSocket {
            self.as_raw_socket()
        }
    }

    impl<T: AsRawSocket + ?Sized> AsRawFd for T {}
}
