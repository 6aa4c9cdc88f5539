//! What is enabled, and what rests although it is.

use std::ffi::c_short;

use super::{Bev, Kind};
use crate::event::what;

impl Bev {
    pub(super) fn enable(self, events: c_short) -> bool {
        self.set_enabled(self.enabled() | events);
        let events = self.awake(events);
        events == 0 || self.enable_now(events)
    }

    pub(super) fn disable(self, events: c_short) -> bool {
        self.set_enabled(self.enabled() & !events);
        self.disable_now(events);
        self.moves_nothing(events);
        true
    }

    /// Those of the directions that do not rest.
    pub(super) fn awake(self, mut events: c_short) -> c_short {
        if self.read_rests() != 0 {
            events &= !what::READ;
        }
        if self.write_rests() != 0 {
            events &= !what::WRITE;
        }
        events
    }

    pub(super) fn enable_now(self, events: c_short) -> bool {
        match self.kind() {
            Kind::Socket => self.enable_socket(events),
            Kind::Pair => self.enable_pair(events),
            Kind::Filter => self.enable_filter(events),
        }
    }

    pub(super) fn disable_now(self, events: c_short) {
        match self.kind() {
            Kind::Socket => self.disable_socket(events),
            Kind::Pair => self.stop_timeouts(events),
            Kind::Filter => self.disable_filter(events),
        }
    }

    pub(super) fn rest_reading(self, why: u8) {
        if self.read_rests() == 0 {
            self.disable_now(what::READ);
        }
        self.set_read_rests(self.read_rests() | why);
    }

    pub(super) fn wake_reading(self, why: u8) {
        let read = what::READ;
        self.set_read_rests(self.read_rests() & !why);
        if self.read_rests() == 0 && self.enabled() & read != 0 {
            self.enable_now(read);
        }
    }

    pub(super) fn rest_writing(self, why: u8) {
        if self.write_rests() == 0 {
            self.disable_now(what::WRITE);
        }
        self.set_write_rests(self.write_rests() | why);
    }

    pub(super) fn wake_writing(self, why: u8) {
        let write = what::WRITE;
        self.set_write_rests(self.write_rests() & !why);
        if self.write_rests() == 0 && self.enabled() & write != 0 {
            self.enable_now(write);
        }
    }
}
