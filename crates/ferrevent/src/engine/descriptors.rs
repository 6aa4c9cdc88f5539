//! The descriptors that are watched. The kernel gives out small numbers: they
//! are places here, where they are.

use std::fmt::Write as _;

use ferrevent_os::sys::fd::RawFd;
use ferrevent_os::{Readiness, Token};

/// Nobody's place in the table of everything registered.
pub(super) const NOBODY: u32 = u32::MAX;

/// What no key of that table has.
const MARK: u64 = 1 << 63;

#[derive(Debug, Default)]
pub(super) struct Descriptors {
    places: Vec<Descriptor>,
    #[cfg(windows)]
    numbers: std::collections::HashMap<RawFd, u32>,
    #[cfg(windows)]
    free: Vec<u32>,
}

/// A descriptor that is watched, or was.
#[derive(Clone, Debug)]
pub(super) struct Descriptor {
    pub(super) fd: RawFd,
    /// How often it was forgotten: the kernel may still tell of it as it was.
    generation: u32,
    /// The place of the first of its registrations; each knows the next.
    pub(super) first: u32,
    /// What the kernel was asked for.
    pub(super) interest: Readiness,
    pub(super) edge: bool,
}

/// Whether a key is that of a descriptor.
pub(super) fn is_descriptor(key: Token) -> bool {
    key.0 & MARK != 0
}

impl Descriptor {
    fn new(fd: RawFd) -> Self {
        Self {
            fd,
            generation: 0,
            first: NOBODY,
            interest: Readiness::NONE,
            edge: false,
        }
    }
}

impl Descriptors {
    pub(super) fn at(&mut self, place: u32) -> Option<&mut Descriptor> {
        self.places.get_mut(place as usize)
    }

    /// The key under which the kernel knows it.
    pub(super) fn key_of(&self, place: u32) -> Token {
        let generation = self
            .places
            .get(place as usize)
            .map_or(0, |it| it.generation);
        Token(MARK | u64::from(generation) << 32 | u64::from(place))
    }

    /// The place of one that is still as the key has it.
    pub(super) fn place_of(&self, key: Token) -> Option<u32> {
        let place = key.0 as u32;
        Some(place).filter(|place| self.key_of(*place) == key)
    }

    /// Forgets one that has no registrations any more.
    pub(super) fn forget(&mut self, place: u32) {
        if let Some(descriptor) = self.at(place) {
            descriptor.generation = (descriptor.generation + 1) & (u32::MAX >> 1);
            descriptor.interest = Readiness::NONE;
            #[cfg(windows)]
            {
                let fd = descriptor.fd;
                self.numbers.remove(&fd);
                self.free.push(place);
            }
        }
    }

    /// Those that have registrations.
    pub(super) fn watched(&self) -> impl Iterator<Item = (Token, &Descriptor)> {
        self.places.iter().enumerate().filter_map(|(place, it)| {
            let place = u32::try_from(place).ok()?;
            (it.first != NOBODY).then(|| (self.key_of(place), it))
        })
    }

    pub(super) fn numbers(&self) -> Vec<RawFd> {
        let mut numbers: Vec<RawFd> = self.watched().map(|(_, it)| it.fd).collect();
        numbers.sort_unstable();
        numbers
    }

    /// One line for each.
    pub(super) fn describe(&self) -> String {
        let mut text = String::new();
        for (key, descriptor) in self.watched() {
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "{:#x}: descriptor, number {}, asked for {:?}{}",
                key.0,
                descriptor.fd,
                descriptor.interest,
                if descriptor.edge { " at edges" } else { "" },
            );
        }
        text
    }
}

#[cfg(unix)]
impl Descriptors {
    /// The place of one that is watched.
    pub(super) fn find(&self, fd: RawFd) -> Option<u32> {
        let place = u32::try_from(fd).ok()?;
        let descriptor = self.places.get(place as usize)?;
        (descriptor.first != NOBODY).then_some(place)
    }

    /// A place for one that is to be watched. `None` for what is no descriptor.
    pub(super) fn place_for(&mut self, fd: RawFd) -> Option<u32> {
        let place = u32::try_from(fd).ok()?;
        let wanted = place as usize + 1;
        if wanted > self.places.len() {
            // As the table of everything grows: by an eighth.
            if wanted > self.places.capacity() {
                let more = wanted - self.places.len() + self.places.len() / 8 + 16;
                self.places.reserve_exact(more);
            }
            self.places.resize(wanted, Descriptor::new(0));
        }
        self.places[place as usize].fd = fd;
        Some(place)
    }
}

#[cfg(windows)]
impl Descriptors {
    pub(super) fn find(&self, fd: RawFd) -> Option<u32> {
        self.numbers.get(&fd).copied()
    }

    pub(super) fn place_for(&mut self, fd: RawFd) -> Option<u32> {
        if let Some(place) = self.find(fd) {
            return Some(place);
        }
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                let place = u32::try_from(self.places.len())
                    .ok()
                    .filter(|it| *it < NOBODY)?;
                self.places.push(Descriptor::new(fd));
                place
            }
        };
        self.places[place as usize].fd = fd;
        self.numbers.insert(fd, place);
        Some(place)
    }
}
