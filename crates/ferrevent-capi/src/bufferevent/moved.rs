//! Bufferevents whose bytes a stream of the engine moves, see `event/streams.rs`.

use std::io;
use std::net::SocketAddr;

use ferrevent_core::limit::Direction;

use super::callbacks::set_errno;
use super::socket::set_error;
use super::{Bev, MOST_AT_ONCE, told};
use crate::event::{Base, Ends, what};

/// What the program has not said otherwise of is moved in as many bytes at once
/// as a stream holds.
const MOST_OF_STREAM: usize = 256 * 1024;

fn most_of(most: usize) -> usize {
    if most == MOST_AT_ONCE {
        MOST_OF_STREAM
    } else {
        most
    }
}

/// A stream of a base.
#[derive(Clone, Copy)]
pub(super) struct Moved {
    base: Base,
    key: u64,
}

impl Bev {
    /// Its stream, if it has one.
    #[inline]
    pub(super) fn stream(self) -> Option<Moved> {
        match self.read_event().stream() {
            0 => None,
            key => self.base().map(|base| Moved { base, key }),
        }
    }

    fn ends(self) -> Ends {
        Ends {
            read: self.read_event(),
            write: self.write_event(),
        }
    }

    /// Gives its descriptor a stream, where the base has them.
    pub(super) fn move_bytes(self, peer: Option<SocketAddr>) {
        if self.fd() >= 0
            && let Some(base) = self.base()
            && base.moves_bytes()
        {
            base.move_bytes(self.fd(), self.ends(), peer);
        }
    }

    pub(super) fn stop_moving(self) {
        if let Some(moved) = self.stream() {
            moved.base.stop_moving(self.ends());
        }
    }

    /// Takes what has come, once and at most so much.
    pub(super) fn receive(self, most: usize) -> io::Result<usize> {
        match self.stream() {
            None => self.input().receive(self.fd(), most),
            Some(Moved { base, key }) => self.input().take_in(base.take_received(key, most)?),
        }
    }

    /// The most bytes of one read, marks aside.
    pub(super) fn most_received(self) -> usize {
        match self.stream() {
            None => self.most_read(),
            Some(_) => most_of(self.most_read()),
        }
    }

    /// Lets go what was sent, and hands more over when that was all.
    pub(super) fn write_moved(self, moved: Moved, connected: bool) {
        let length = self.output().len();
        let Some(mut written) = self.let_go_of_sent(moved) else {
            return;
        };
        if self.output().len() > 0 && moved.base.sent_all(moved.key) {
            self.set_wrote_in(moved.base.turn());
            let most = most_of(self.most_written()).min(self.output().len());
            let most = self.may_move(Direction::Write, most);
            if most == 0 {
                if written > 0 {
                    self.trigger(what::WRITE, 0);
                }
                return;
            }
            moved.base.send_moved(moved.key, self.output().share(most));
            self.moved(Direction::Write, most);
            let Some(more) = self.let_go_of_sent(moved) else {
                return;
            };
            written += more;
        }
        self.go_on_writing(moved.base.sent_all(moved.key));
        if written > 0 || length == 0 && !connected {
            self.trigger(what::WRITE, 0);
        }
    }

    /// How much was sent; `None` after a failure, which is told.
    fn let_go_of_sent(self, moved: Moved) -> Option<usize> {
        let (sent, failure) = moved.base.take_sent(moved.key);
        if sent > 0 {
            self.output().let_go(sent);
        }
        let Some(failure) = failure else {
            return Some(sent);
        };
        set_error(&failure);
        self.fail(what::WRITE, told::WRITING | told::ERROR);
        None
    }

    /// What came of connecting: an error or 0, or `None` while that is open.
    pub(super) fn connect_outcome(self, moved: Moved) -> Option<std::ffi::c_int> {
        let outcome = moved.base.connect_outcome(moved.key);
        if let Some(error) = outcome {
            set_errno(error);
        }
        outcome
    }
}
