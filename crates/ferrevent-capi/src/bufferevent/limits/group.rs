//! `struct bufferevent_rate_limit_group`: bufferevents that share limits,
//! of any bases and threads.

use std::ffi::c_int;
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use ferrevent_core::limit::{Direction, NodeId, Share};

use super::config::Config;
use super::pool::Pool;
use crate::event::Base;
use crate::{log, memory};

/// A group that the program has not freed.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Group(NonNull<Inner>);

pub(crate) struct Inner {
    pool: Pool,
    node: NodeId,
    turns: Mutex<Turns>,
}

/// How little one gets at a time.
struct Turns {
    /// As the program has said.
    wanted: usize,
    /// It is no more than a tick brings.
    tick: usize,
}

/// At first, in bytes.
const SHORTEST: usize = 64;

impl Group {
    pub(super) fn pool(self) -> Pool {
        // SAFETY: it is there, and this does not change.
        unsafe { (*self.0.as_ptr()).pool }
    }

    pub(super) fn node(self) -> NodeId {
        // SAFETY: as above.
        unsafe { (*self.0.as_ptr()).node }
    }

    /// Changes how long turns are, and tells the tree.
    fn set_turns(self, change: impl FnOnce(&mut Turns)) {
        // SAFETY: it is there, and its lock does not change.
        let turns = unsafe { &(*self.0.as_ptr()).turns };
        let mut turns = turns.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut turns);
        let shortest = turns.shortest() as u64;
        // It is there as long as the group is.
        let _ = self
            .pool()
            .with(|tree, _| tree.set_shortest_turn(self.node(), shortest));
    }

    fn shortest(self) -> usize {
        // SAFETY: it is there, and its lock does not change.
        let turns = unsafe { &(*self.0.as_ptr()).turns };
        let turns = turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.shortest()
    }

    fn balance(self, direction: Direction) -> isize {
        let balance = self
            .pool()
            .with(|tree, now| tree.balance(self.node(), direction, now));
        balance.map_or(isize::MAX, |bytes| bytes as isize)
    }

    /// What each in it has, if all have the same.
    pub(super) fn share(self, direction: Direction) -> isize {
        let balance = self.balance(direction);
        if balance <= 0 {
            return 0;
        }
        let members = self.pool().with(|tree, _| tree.len()) - 1;
        let even = balance / members.max(1).cast_signed();
        even.max(self.shortest().cast_signed())
    }

    fn charge(self, direction: Direction, bytes: isize) -> c_int {
        let charged = self
            .pool()
            .with(|tree, now| tree.charge(self.node(), direction, bytes as i64, now));
        if charged.is_ok() { 0 } else { -1 }
    }
}

impl Turns {
    fn shortest(&self) -> usize {
        self.wanted.min(self.tick)
    }
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_rate_limit_group_new(
    base: Option<Base>,
    config: Option<&Config>,
) -> Option<Group> {
    let config = config?;
    let pool = Pool::new(base, true)?;
    let node = pool.with(|tree, now| {
        let node = tree.add_group(None, config.limits, Share::default(), now);
        node.inspect(|node| config.begin(tree, *node, now)).ok()
    });
    let turns = Mutex::new(Turns {
        wanted: SHORTEST,
        tick: 0,
    });
    let made = node.and_then(|node| memory::place(Inner { pool, node, turns }));
    let Some(group) = made.map(Group) else {
        pool.free();
        return None;
    };
    group.set_turns(|turns| turns.tick = least(config));
    Some(group)
}

fn least(config: &Config) -> usize {
    config.gains[0].min(config.gains[1])
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_rate_limit_group_free(group: Option<Group>) {
    let Some(group) = group else { return };
    let members = group.pool().with(|tree, _| tree.len()) - 1;
    if members > 0 {
        log::fatal(
            log::ABORT,
            format_args!(
                "bufferevent_rate_limit_group_free: {members} bufferevents are in the group: \
                 free them, or call bufferevent_remove_from_rate_limit_group, before"
            ),
        );
    }
    group.pool().free();
    // SAFETY: made by `bufferevent_rate_limit_group_new`, and nobody is in it.
    unsafe { memory::displace(group.0) };
}

/// What is in the buckets stays, as far as they have room.
#[unsafe(no_mangle)]
extern "C" fn bufferevent_rate_limit_group_set_cfg(
    group: Option<Group>,
    config: Option<&Config>,
) -> c_int {
    let (Some(group), Some(config)) = (group, config) else {
        return -1;
    };
    let set = group
        .pool()
        .with(|tree, now| tree.set_limits(group.node(), config.limits, false, now));
    group.set_turns(|turns| turns.tick = least(config));
    if set.is_ok() { 0 } else { -1 }
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_rate_limit_group_set_min_share(group: Group, share: usize) -> c_int {
    if share > isize::MAX.cast_unsigned() {
        return -1;
    }
    group.set_turns(|turns| turns.wanted = share);
    0
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_rate_limit_group_get_read_limit(group: Group) -> isize {
    group.balance(Direction::Read)
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_rate_limit_group_get_write_limit(group: Group) -> isize {
    group.balance(Direction::Write)
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_rate_limit_group_decrement_read(group: Group, bytes: isize) -> c_int {
    group.charge(Direction::Read, bytes)
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_rate_limit_group_decrement_write(group: Group, bytes: isize) -> c_int {
    group.charge(Direction::Write, bytes)
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_rate_limit_group_get_totals(
    group: Group,
    read: Option<&mut u64>,
    written: Option<&mut u64>,
) {
    let totals = group.pool().with(|tree, _| {
        Direction::BOTH.map(|direction| tree.moved(group.node(), direction).unwrap_or(0))
    });
    if let Some(read) = read {
        *read = totals[0];
    }
    if let Some(written) = written {
        *written = totals[1];
    }
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_rate_limit_group_reset_totals(group: Group) {
    group.pool().with(|tree, _| tree.forget_moved(group.node()));
}
