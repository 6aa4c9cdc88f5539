//! What programs call for one bufferevent.

use std::ffi::c_int;
use std::ptr::NonNull;

use ferrevent_core::limit::Direction;

use super::Bev;
use super::config::Config;
use super::group::Group;
use crate::log;

impl Bev {
    fn balance(self, direction: Direction) -> Option<i64> {
        let (pool, member) = self.place()?;
        pool.with(|tree, now| tree.balance(member, direction, now))
    }

    /// What is in its own bucket; without one there is no end to it.
    fn level(self, direction: Direction) -> isize {
        self.balance(direction)
            .map_or(isize::MAX, |bytes| bytes as isize)
    }

    fn charge(self, direction: Direction, bytes: isize) -> c_int {
        let Some((pool, member)) = self.place().filter(|_| self.balance(direction).is_some())
        else {
            log::warn(
                "a bufferevent without a limit is charged: call bufferevent_set_rate_limit before",
            );
            return -1;
        };
        let charged = pool.with(|tree, now| tree.charge(member, direction, bytes as i64, now));
        if charged.is_ok() { 0 } else { -1 }
    }

    /// How much it may move now, if one read or one write has this size.
    pub(super) fn most_now(self, direction: Direction, single: usize) -> isize {
        let own = self.balance(direction).map(|bytes| bytes as isize);
        let group = self.limited(|it| it.group).flatten();
        let most = own.unwrap_or(single.cast_signed());
        let share = group.map_or(isize::MAX, |group| group.share(direction));
        most.min(share).max(0)
    }
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_set_rate_limit(bev: Bev, config: Option<NonNull<Config>>) -> c_int {
    let _held = bev.hold();
    if bev.set_limits(config) { 0 } else { -1 }
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_get_token_bucket_cfg(bev: Bev) -> Option<NonNull<Config>> {
    let _held = bev.hold();
    bev.limited(|it| it.config).flatten()
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_add_to_rate_limit_group(bev: Bev, group: Option<Group>) -> c_int {
    let _held = bev.hold();
    if bev.join(group) { 0 } else { -1 }
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_remove_from_rate_limit_group(bev: Bev) -> c_int {
    bufferevent_add_to_rate_limit_group(bev, None)
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_get_read_limit(bev: Bev) -> isize {
    let _held = bev.hold();
    bev.level(Direction::Read)
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_get_write_limit(bev: Bev) -> isize {
    let _held = bev.hold();
    bev.level(Direction::Write)
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_decrement_read_limit(bev: Bev, bytes: isize) -> c_int {
    let _held = bev.hold();
    bev.charge(Direction::Read, bytes)
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_decrement_write_limit(bev: Bev, bytes: isize) -> c_int {
    let _held = bev.hold();
    bev.charge(Direction::Write, bytes)
}
