//! Two bufferevents, of which each reads what the other writes.

use std::ffi::{c_int, c_short};

use ferrevent::buffer::End;

use super::{Bev, Kind, option, told};
use crate::buffer::Buf;
use crate::event::{Base, what};

/// Something is always given, and more to come, or all that will ever come.
pub(super) mod flush {
    use std::ffi::c_int;

    pub(in crate::bufferevent) const NORMAL: c_int = 0;
    pub(in crate::bufferevent) const FINISHED: c_int = 2;
}

impl Bev {
    fn partner(self) -> Option<Bev> {
        self.other().filter(|_| self.kind() == Kind::Pair)
    }

    /// The partner goes on alone.
    pub(super) fn leave_partner(self) {
        if let Some(partner) = self.other() {
            partner.set_other(None);
            self.set_other(None);
        }
    }

    /// Whether there is something to write here, that is to be read there.
    fn has_for(self, partner: Bev) -> bool {
        self.enabled() & what::WRITE != 0
            && partner.enabled() & what::READ != 0
            && partner.read_rests() == 0
            && self.output().len() > 0
    }

    /// Gives the partner what there is, up to its high mark.
    fn give(self, partner: Bev, ignores_mark: bool) {
        self.output().set_frozen(End::Front, false);
        partner.input().set_frozen(End::Back, false);
        let high = partner.read_marks().high;
        let length = partner.input().len();
        let moves = if high != 0 && length < high {
            let room = high - length;
            self.output().move_to(partner.input(), room);
            Some(room)
        } else if high != 0 && !ignores_mark {
            None
        } else {
            let all = self.output().len();
            Buf::pour(partner.input(), self.output());
            Some(all)
        };
        if let Some(moved) = moves {
            if moved > 0 {
                partner.restart_read_timeout();
                if partner.output().len() > 0 {
                    partner.restart_write_timeout();
                } else {
                    partner.write_event().stop();
                }
            }
            partner.trigger(what::READ, 0);
            self.trigger(what::WRITE, 0);
        }
        self.output().set_frozen(End::Front, true);
        partner.input().set_frozen(End::Back, true);
    }

    pub(super) fn pair_output_changed(self, added: usize, taken: usize) {
        let _held = self.hold();
        if added > taken
            && let Some(partner) = self.partner()
            && self.has_for(partner)
        {
            self.give(partner, false);
        }
    }

    pub(super) fn enable_pair(self, events: c_short) -> bool {
        let _held = self.hold();
        if events & what::READ != 0 {
            self.restart_read_timeout();
        }
        if events & what::WRITE != 0 && self.output().len() > 0 {
            self.restart_write_timeout();
        }
        if events & what::READ != 0
            && let Some(partner) = self.partner()
            && partner.has_for(self)
        {
            partner.give(self, false);
        }
        if events & what::WRITE != 0
            && let Some(partner) = self.partner()
            && self.has_for(partner)
        {
            self.give(partner, false);
        }
        true
    }

    pub(super) fn flush_pair(self, events: c_short, mode: c_int) -> c_int {
        let Some(partner) = self.partner() else {
            return -1;
        };
        if mode == flush::NORMAL {
            return 0;
        }
        let _held = self.hold();
        if events & what::READ != 0 {
            partner.give(self, true);
        }
        if events & what::WRITE != 0 {
            self.give(partner, true);
        }
        if mode == flush::FINISHED {
            let mut why = told::EOF;
            if events & what::READ != 0 {
                why |= told::WRITING;
            }
            if events & what::WRITE != 0 {
                why |= told::READING;
            }
            partner.tell(why, 0);
        }
        0
    }
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_pair_new(
    base: Option<Base>,
    options: c_int,
    to: Option<&mut [Option<Bev>; 2]>,
) -> c_int {
    // Otherwise two that answer each other would call each other for ever.
    let options = options | option::DEFER;
    let Some(to) = to else { return -1 };
    let Some(one) = Bev::new(base, Kind::Pair, options) else {
        return -1;
    };
    let Some(other) = Bev::new(base, Kind::Pair, options & !option::THREADSAFE) else {
        one.displace();
        return -1;
    };
    if options & option::THREADSAFE != 0 {
        other.use_lock(one.shared_lock());
    }
    one.set_other(Some(other));
    other.set_other(Some(one));
    for bev in [one, other] {
        bev.prepare_timeouts();
        bev.freeze();
    }
    *to = [Some(one), Some(other)];
    0
}

#[unsafe(no_mangle)]
extern "C" fn bufferevent_pair_get_partner(bev: Bev) -> Option<Bev> {
    let _held = bev.hold();
    bev.partner()
}
