//! A list of active events, in the order in which they became so.

use super::Ev;

#[derive(Debug, Default)]
pub(crate) struct Queue {
    first: Option<Ev>,
    last: Option<Ev>,
}

impl Queue {
    #[inline]
    pub(super) fn first(&self) -> Option<Ev> {
        self.first
    }

    #[inline]
    pub(super) fn push(&mut self, ev: Ev) {
        ev.set_next(None);
        ev.set_previous(self.last);
        match self.last {
            Some(last) => last.set_next(Some(ev)),
            None => self.first = Some(ev),
        }
        self.last = Some(ev);
    }

    /// Before all others.
    #[inline]
    pub(super) fn push_first(&mut self, ev: Ev) {
        ev.set_next(self.first);
        ev.set_previous(None);
        match self.first {
            Some(first) => first.set_previous(Some(ev)),
            None => self.last = Some(ev),
        }
        self.first = Some(ev);
    }

    #[inline]
    pub(super) fn remove(&mut self, ev: Ev) {
        let (previous, next) = (ev.previous(), ev.next());
        match previous {
            Some(previous) => previous.set_next(next),
            None => self.first = next,
        }
        match next {
            Some(next) => next.set_previous(previous),
            None => self.last = previous,
        }
        ev.set_next(None);
        ev.set_previous(None);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Ev> {
        std::iter::successors(self.first, |ev| ev.next())
    }
}
