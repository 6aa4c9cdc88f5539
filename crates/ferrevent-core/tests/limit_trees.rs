//! Random trees of rate limits, and everything that may happen to them: no
//! bucket ever gives what it does not have, and nobody who waits is forgotten.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashMap;

use ferrevent_core::limit::{Direction, LimitError, NodeId, RateLimit, RateLimits, Share, Tree};
use ferrevent_core::timer::Tick;
use proptest::prelude::*;

const READ: Direction = Direction::Read;

#[derive(Clone, Debug)]
enum Action {
    Group(u8, Option<(u32, u16)>, u8),
    Member(u8, Option<(u32, u16)>, u8),
    Work(u8, u16),
    Pass(u32),
    Limit(u8, Option<(u32, u16)>, bool),
    Share(u8, u8),
    Move(u8, u8),
    Release(u8),
    Owe(u8, u16),
    Charge(u8, i16),
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let limit = || prop::option::of((1..50_000_000_u32, 1..u16::MAX));
    let action = prop_oneof![
        2 => (any::<u8>(), limit(), any::<u8>()).prop_map(|(p, l, s)| Action::Group(p, l, s)),
        4 => (any::<u8>(), limit(), any::<u8>()).prop_map(|(p, l, s)| Action::Member(p, l, s)),
        9 => (any::<u8>(), any::<u16>()).prop_map(|(n, used)| Action::Work(n, used)),
        9 => (1..200_000_u32).prop_map(Action::Pass),
        2 => (any::<u8>(), limit(), any::<bool>()).prop_map(|(n, l, r)| Action::Limit(n, l, r)),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(n, s)| Action::Share(n, s)),
        3 => (any::<u8>(), any::<u8>()).prop_map(|(n, p)| Action::Move(n, p)),
        1 => any::<u8>().prop_map(Action::Release),
        1 => (any::<u8>(), any::<u16>()).prop_map(|(n, bytes)| Action::Owe(n, bytes)),
        2 => (any::<u8>(), any::<i16>()).prop_map(|(n, bytes)| Action::Charge(n, bytes)),
    ];
    prop::collection::vec(action, 1..150)
}

fn limits(limit: Option<(u32, u16)>) -> RateLimits {
    let limit = limit.map(|(rate, burst)| {
        let limit = RateLimit::new(rate.into()).unwrap();
        limit.with_burst(burst.into()).unwrap()
    });
    RateLimits {
        read: limit,
        ..RateLimits::NONE
    }
}

fn share(seed: u8) -> Share {
    Share {
        weight: u32::from(seed >> 2) + 1,
        priority: seed & 1,
    }
}

/// What a bucket may give, counted by somebody else.
struct Purse {
    limit: RateLimit,
    level: i128,
    at: Tick,
}

impl Purse {
    fn full(limit: RateLimit, at: Tick) -> Self {
        let level = i128::from(limit.burst()) * 1_000_000;
        Self { limit, level, at }
    }

    fn add(&mut self, bytes: i128, now: Tick) {
        let most = i128::from(self.limit.burst()) * 1_000_000;
        let refill = i128::from(now.0 - self.at.0) * i128::from(self.limit.rate());
        // What was put in beyond the burst is there until it is taken.
        self.level = (self.level + refill).min(most.max(self.level)) + bytes * 1_000_000;
        self.at = now;
    }

    fn set(&mut self, limit: RateLimit, now: Tick) {
        self.add(0, now);
        self.limit = limit;
        self.level = self.level.min(i128::from(limit.burst()) * 1_000_000);
    }
}

struct World {
    tree: Tree<usize>,
    now: Tick,
    groups: Vec<NodeId>,
    members: Vec<NodeId>,
    purses: HashMap<NodeId, Purse>,
    /// When a member's bytes last moved.
    moved: HashMap<NodeId, Tick>,
}

impl World {
    fn new() -> Self {
        Self {
            tree: Tree::new(),
            now: Tick(0),
            groups: Vec::new(),
            members: Vec::new(),
            purses: HashMap::new(),
            moved: HashMap::new(),
        }
    }

    fn group(&self, number: u8) -> Option<NodeId> {
        // Some are in none.
        let index = usize::from(number) % (self.groups.len() + 1);
        self.groups.get(index).copied()
    }

    fn node(&self, number: u8) -> Option<NodeId> {
        let all = self.groups.len() + self.members.len();
        let index = usize::from(number).checked_rem(all)?;
        let nodes = self.groups.iter().chain(&self.members);
        nodes.copied().nth(index)
    }

    fn fill(&mut self, node: NodeId, limits: RateLimits) {
        if let Some(limit) = limits.read {
            self.purses.insert(node, Purse::full(limit, self.now));
        }
    }

    fn act(&mut self, action: &Action) {
        match *action {
            Action::Group(parent, limit, seed) => {
                let (parent, limits) = (self.group(parent), limits(limit));
                let node = self.tree.add_group(parent, limits, share(seed), self.now);
                self.groups.push(node.unwrap());
                self.fill(node.unwrap(), limits);
            }
            Action::Member(parent, limit, seed) => {
                let (parent, limits, index) =
                    (self.group(parent), limits(limit), self.members.len());
                let node = self
                    .tree
                    .add_member(index, parent, limits, share(seed), self.now);
                self.members.push(node.unwrap());
                self.fill(node.unwrap(), limits);
            }
            Action::Work(number, used) => {
                if let Some(index) = usize::from(number).checked_rem(self.members.len()) {
                    self.work(index, used);
                }
            }
            Action::Pass(micros) => self.pass(micros.into()),
            Action::Limit(number, limit, reset) => {
                let Some(node) = self.node(number) else {
                    return;
                };
                let limits = limits(limit);
                self.tree.set_limits(node, limits, reset, self.now).unwrap();
                match (self.purses.get_mut(&node), limits.read) {
                    (Some(purse), Some(limit)) if !reset => {
                        purse.set(limit, self.now);
                    }
                    (_, Some(limit)) => {
                        self.purses.insert(node, Purse::full(limit, self.now));
                    }
                    (_, None) => drop(self.purses.remove(&node)),
                }
            }
            Action::Share(number, seed) => {
                let Some(node) = self.node(number) else {
                    return;
                };
                self.tree.set_share(node, share(seed), self.now).unwrap();
            }
            Action::Move(number, parent) => {
                let (Some(node), parent) = (self.node(number), self.group(parent)) else {
                    return;
                };
                let inside = parent.is_some_and(|parent| self.path(parent).contains(&node));
                let outcome = self.tree.set_parent(node, parent, self.now);
                let expected = if inside {
                    Err(LimitError::Cycle)
                } else {
                    Ok(())
                };
                assert_eq!(outcome, expected);
            }
            Action::Release(number) => {
                let Some(node) = self.node(number) else {
                    return;
                };
                self.tree.release(node, self.now);
                self.groups.retain(|it| *it != node);
                if let Some(member) = self.members.iter().position(|it| *it == node) {
                    // The others keep their numbers.
                    let limits = RateLimits::NONE;
                    let new =
                        self.tree
                            .add_member(member, None, limits, Share::default(), self.now);
                    self.members[member] = new.unwrap();
                }
            }
            Action::Charge(number, bytes) => {
                let Some(node) = self.node(number) else {
                    return;
                };
                let outcome = self.tree.charge(node, READ, bytes.into(), self.now);
                assert_eq!(outcome, Ok(()));
                if let Some(purse) = self.purses.get_mut(&node) {
                    purse.add(-i128::from(bytes), self.now);
                }
            }
            Action::Owe(number, bytes) => {
                if let Some(index) = usize::from(number).checked_rem(self.members.len()) {
                    let member = self.members[index];
                    self.tree.spent(member, READ, bytes.into(), self.now);
                    for node in self.path(member) {
                        if let Some(purse) = self.purses.get_mut(&node) {
                            purse.add(-i128::from(bytes), self.now);
                        }
                    }
                }
            }
        }
        self.work_granted();
    }

    fn path(&self, node: NodeId) -> Vec<NodeId> {
        std::iter::successors(Some(node), |node| self.tree.parent(*node)).collect()
    }

    /// Moves some of what it may, and is content; or all of it, and asks for
    /// more until it has to wait.
    fn work(&mut self, index: usize, used: u16) {
        let member = self.members[index];
        loop {
            let may = self.tree.ask(member, READ, u64::MAX, self.now);
            if may == 0 {
                return;
            }
            if may == u64::MAX {
                let free = |node| !self.purses.contains_key(node);
                assert!(self.path(member).iter().all(free), "there is a limit");
                break;
            }
            let content = used > 60_000;
            let bytes = if content {
                u64::from(used).min(may)
            } else {
                may
            };
            self.tree.spent(member, READ, bytes, self.now);
            self.moved.insert(member, self.now);
            for node in self.path(member) {
                if let Some(purse) = self.purses.get_mut(&node) {
                    purse.add(-i128::from(bytes), self.now);
                    assert!(purse.level >= 0, "{bytes} bytes too many at {:?}", self.now);
                }
            }
            if content {
                break;
            }
        }
        self.tree.settle(member, READ, self.now);
    }

    fn work_granted(&mut self) {
        while let Some(index) = self.tree.next_granted() {
            self.work(index, 0);
        }
    }

    fn pass(&mut self, micros: u64) {
        let end = Tick(self.now.0 + micros);
        for _ in 0..300 {
            let Some(at) = self.tree.wake_at().filter(|at| *at <= end) else {
                break;
            };
            self.now = self.now.max(at);
            self.tree.pump(self.now);
            self.work_granted();
            assert!(
                self.tree.wake_at().is_none_or(|next| next > self.now),
                "a wake that brings nothing, at {:?}",
                self.now
            );
        }
        self.now = end;
        self.tree.pump(end);
        self.work_granted();
    }

    /// Everybody wants something, and everybody gets it.
    fn end(&mut self) {
        let one = RateLimit::new(1_000_000).unwrap();
        // A group that was let go lives on with its members.
        let paths = self.members.iter().flat_map(|node| self.path(*node));
        let nodes: Vec<NodeId> = paths.chain(self.groups.clone()).collect();
        self.purses.clear();
        for node in nodes {
            let (limits, now) = (RateLimits::both(one), self.now);
            self.tree.set_limits(node, limits, true, now).unwrap();
            self.tree.set_share(node, Share::default(), now).unwrap();
        }
        self.work_granted();
        for index in 0..self.members.len() {
            self.work(index, 0);
        }
        let since = self.now;
        for _ in 0..200 {
            self.pass(50_000);
        }
        for member in &self.members {
            let moved = self.moved.get(member);
            assert!(
                moved.is_some_and(|at| *at > since),
                "{member:?} waits for ever"
            );
        }
        for node in self.members.drain(..).chain(self.groups.drain(..)) {
            self.tree.release(node, self.now);
        }
        assert!(self.tree.is_empty(), "{} are left", self.tree.len());
        assert_eq!(self.tree.wake_at(), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("FERREVENT_CASES")
            .ok()
            .and_then(|cases| cases.parse().ok())
            .unwrap_or(100),
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(20_091_124),
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_bucket_gives_what_it_has_not_and_nobody_is_forgotten(actions in actions()) {
        let mut world = World::new();
        for action in &actions {
            world.act(action);
        }
        world.end();
    }
}
