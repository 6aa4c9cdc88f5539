//! How fast bufferevents are: limits of their own and of groups, by the
//! engine's tree.
//!
//! One that is limited asks before each read and write; if it may not, the
//! direction rests, and its turn comes by an event of its own. What it does
//! not use of its turn it gives back at once. Only those over a descriptor
//! ask; the others have buckets that the program may look at.

mod api;
mod config;
mod group;
mod membership;
mod pool;
mod sizes;

use std::ffi::{c_short, c_void};
use std::ptr::NonNull;

use ferrevent_core::limit::{Direction, NodeId};

use super::{Bev, rest};
use crate::event::{Ev, what};
use crate::system::Socket;
use crate::time;
use config::Config;
use group::Group;
use pool::Pool;

/// What one that is limited has besides.
pub(super) struct Limited {
    /// That of its group, or one for itself alone.
    pool: Pool,
    member: NodeId,
    group: Option<Group>,
    /// Its own limits, as the program has given them and gets them back.
    config: Option<NonNull<Config>>,
    /// Its turn has come. It is added as long as a direction rests, so that
    /// the base goes on.
    turn: Ev,
}

/// What moves bytes.
impl Bev {
    /// How many of so many bytes may move now; with none the direction rests
    /// until its turn comes.
    #[inline]
    pub(super) fn may_move(self, direction: Direction, wants: usize) -> usize {
        match self.place() {
            None => wants,
            Some(place) => self.ask(place, direction, wants),
        }
    }

    #[inline(never)]
    fn ask(self, (pool, member): (Pool, NodeId), direction: Direction, wants: usize) -> usize {
        let granted = pool.with(|tree, now| tree.ask(member, direction, wants as u64, now));
        if granted == 0 {
            match direction {
                Direction::Read => self.rest_reading(rest::LIMIT),
                Direction::Write => self.rest_writing(rest::LIMIT),
            }
            if let Some(turn) = self.limited(|it| it.turn) {
                turn.start(time::timeval_of(0));
            }
        }
        usize::try_from(granted).unwrap_or(usize::MAX).min(wants)
    }

    /// So many bytes have moved, and no more do for now.
    #[inline]
    pub(super) fn moved(self, direction: Direction, bytes: usize) {
        if let Some(place) = self.place() {
            settle(place, direction, bytes);
        }
    }

    /// Those of these directions move nothing for now.
    pub(super) fn moves_nothing(self, events: c_short) {
        for direction in Direction::BOTH {
            if events & event_of(direction) != 0 {
                self.moved(direction, 0);
            }
        }
    }

    #[inline]
    fn place(self) -> Option<(Pool, NodeId)> {
        self.limited(|it| (it.pool, it.member))
    }

    fn limited<T>(self, look: impl FnOnce(&mut Limited) -> T) -> Option<T> {
        self.rare(|it| it.limited.as_deref_mut().map(look))
            .flatten()
    }

    fn rests_for_turn(self, direction: Direction) -> bool {
        let rests = match direction {
            Direction::Read => self.read_rests(),
            Direction::Write => self.write_rests(),
        };
        rests & rest::LIMIT != 0
    }

    fn wake_for_turn(self, direction: Direction) {
        match direction {
            Direction::Read => self.wake_reading(rest::LIMIT),
            Direction::Write => self.wake_writing(rest::LIMIT),
        }
    }

    /// Lets those directions go on whose turn has come.
    fn take_turn(self) {
        for direction in Direction::BOTH {
            let most = match direction {
                Direction::Read => self.most_read(),
                Direction::Write => self.most_written().min(self.output().len()),
            };
            if !self.rests_for_turn(direction) || self.may_move(direction, most) == 0 {
                continue;
            }
            self.wake_for_turn(direction);
            let event = event_of(direction);
            if self.awake(self.enabled() & event) == 0 {
                // The program has stopped it meanwhile.
                self.moved(direction, 0);
            }
        }
    }
}

fn settle((pool, member): (Pool, NodeId), direction: Direction, bytes: usize) {
    pool.with(|tree, now| {
        if bytes > 0 {
            tree.spent(member, direction, bytes as u64, now);
        }
        tree.settle(member, direction, now);
    });
}

fn event_of(direction: Direction) -> c_short {
    match direction {
        Direction::Read => what::READ,
        Direction::Write => what::WRITE,
    }
}

unsafe extern "C" fn turn_has_come(_: Socket, _: c_short, bev: *mut c_void) {
    // SAFETY: the argument of its own event.
    let bev = unsafe { Bev::of_argument(bev) };
    let _held = bev.hold();
    bev.take_turn();
}
