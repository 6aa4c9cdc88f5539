//! Which limits a bufferevent has, and in which group it is.

use std::ffi::c_int;
use std::ptr::NonNull;

use ferrevent_core::limit::{Direction, NodeId, RateLimits, Share};

use super::config::Config;
use super::group::Group;
use super::pool::Pool;
use super::{Bev, Limited, turn_has_come};
use crate::event::{Base, Ev, what};

impl Bev {
    /// Sets limits of its own, or takes them away.
    pub(super) fn set_limits(self, config: Option<NonNull<Config>>) -> bool {
        let Some(config) = config else {
            self.take_limits_away();
            return true;
        };
        let Some((pool, member)) = self.place().or_else(|| self.begin_limits(None)) else {
            return false;
        };
        let before = self.limited(|it| it.config.replace(config)).flatten();
        // SAFETY: the program keeps it as long as it is used.
        let config = unsafe { config.as_ref() };
        pool.with(|tree, now| {
            let set = tree.set_limits(member, config.limits, false, now);
            if before.is_none() {
                config.begin(tree, member, now);
            }
            set.is_ok()
        })
    }

    fn take_limits_away(self) {
        let known = self.limited(|it| {
            it.config = None;
            (it.pool, it.member, it.group)
        });
        match known {
            None => {}
            Some((_, _, None)) => self.end_limits(),
            Some((pool, member, Some(_))) => {
                // It is there as long as this is.
                let _ =
                    pool.with(|tree, now| tree.set_limits(member, RateLimits::NONE, false, now));
            }
        }
    }

    /// Puts it into a group, or takes it out of any. What is in its own
    /// buckets stays.
    pub(super) fn join(self, group: Option<Group>) -> bool {
        let known = self.limited(|it| (it.pool, it.member, it.group, it.config, it.turn));
        let Some((old, member, old_group, config, turn)) = known else {
            return group.is_none() || self.begin_limits(group).is_some();
        };
        if old_group == group {
            return true;
        }
        if group.is_none() && config.is_none() {
            self.end_limits();
            return true;
        }
        let Some((pool, new)) = enter(self.base(), group, turn) else {
            return false;
        };
        let (limits, balances) = old.with(|tree, now| {
            let balance = |direction| tree.balance(member, direction, now);
            let limits = tree.limits(member).unwrap_or(RateLimits::NONE);
            (limits, Direction::BOTH.map(balance))
        });
        pool.with(|tree, now| {
            // Both are there, as long as this is.
            let _ = tree.set_limits(new, limits, false, now);
            for direction in Direction::BOTH {
                let burst = limits.of(direction).map_or(0, |limit| limit.burst());
                if let Some(balance) = balances[direction as usize] {
                    let less = burst.cast_signed().saturating_sub(balance);
                    let _ = tree.charge(new, direction, less, now);
                }
            }
        });
        self.limited(|it| (it.pool, it.member, it.group) = (pool, new, group));
        leave(old, member, old_group);
        // What it waited for there it does not wait for here.
        self.wake_all();
        turn.stop();
        true
    }

    /// Makes what it needs to be limited, without a limit of its own.
    fn begin_limits(self, group: Option<Group>) -> Option<(Pool, NodeId)> {
        let argument = self.as_argument();
        let turn = Ev::deferred(self.base(), what::READ, turn_has_come, argument)?;
        turn.set_urgency(self.read_event().priority().into());
        let Some((pool, member)) = enter(self.base(), group, turn) else {
            turn.drop_deferred();
            return None;
        };
        self.make_rare(|it| {
            it.limited = Some(Box::new(Limited {
                pool,
                member,
                group,
                config: None,
                turn,
            }));
        });
        Some((pool, member))
    }

    /// Nothing limits it any more.
    fn end_limits(self) {
        self.drop_limits();
        self.wake_all();
    }

    /// As above, when it is over itself.
    pub(in crate::bufferevent) fn drop_limits(self) {
        if let Some(limited) = self.rare(|it| it.limited.take()).flatten() {
            leave(limited.pool, limited.member, limited.group);
            limited.turn.drop_deferred();
        }
    }

    fn wake_all(self) {
        for direction in Direction::BOTH {
            if self.rests_for_turn(direction) {
                self.wake_for_turn(direction);
            }
        }
    }

    /// Its events are those of another base now.
    pub(in crate::bufferevent) fn limits_move_to(self, base: Option<Base>) {
        let Some((pool, group, turn)) = self.limited(|it| (it.pool, it.group, it.turn)) else {
            return;
        };
        pool.with(|_, _| {
            turn.stop();
            turn.move_to(base);
        });
        if group.is_none() {
            pool.move_to(base);
        }
        turn.schedule();
    }

    pub(in crate::bufferevent) fn set_urgency_of_turns(self, priority: c_int) {
        if let Some(turn) = self.limited(|it| it.turn) {
            turn.set_urgency(priority);
        }
    }
}

/// Makes a member of a group, or of a pool for itself alone.
fn enter(base: Option<Base>, group: Option<Group>, turn: Ev) -> Option<(Pool, NodeId)> {
    let pool = match group {
        Some(group) => group.pool(),
        None => Pool::new(base, false)?,
    };
    let (parent, share) = (group.map(Group::node), Share::default());
    let member = pool.with(|tree, now| tree.add_member(turn, parent, RateLimits::NONE, share, now));
    if member.is_err() && group.is_none() {
        pool.free();
    }
    Some((pool, member.ok()?))
}

fn leave(pool: Pool, member: NodeId, group: Option<Group>) {
    pool.with(|tree, now| tree.release(member, now));
    if group.is_none() {
        pool.free();
    }
}
