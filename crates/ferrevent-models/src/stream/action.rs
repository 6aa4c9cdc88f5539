//! What happens to the machines.

use crate::Choices;

/// One thing that an owner, an engine, a kernel or time does to a side, which
/// is 0 or 1.
#[derive(Clone, Copy, Debug)]
#[allow(
    missing_docs,
    reason = "most of the variants are the methods of a machine"
)]
pub enum Action {
    Write(usize, u16),
    Read(usize, u16),
    Lazy(usize, bool),
    Pause(usize),
    Resume(usize),
    Hold(usize, bool),
    Listen(usize, bool),
    Eager(usize, u16),
    Again(usize),
    Flush(usize),
    Nudge(usize),
    FinishWrite(usize),
    Finish(usize),
    Close(usize),
    Configure(usize, u8),
    /// The kernel gives up to so many bytes; the receive may go on by itself.
    Deliver(usize, u16, bool),
    /// The kernel takes up to so many bytes of the send in flight.
    Take(usize, u16),
    FailSend(usize, bool),
    FailReceive(usize),
    Pass(u32),
}

impl Action {
    /// The next action; only with `endings` one that may lose bytes or end a
    /// side.
    #[must_use]
    pub fn choose(choices: &mut Choices<'_>, endings: bool) -> Self {
        let kind = choices.below(if endings { 42 } else { 38 });
        let s = choices.below(2);
        let mut upto = |most: usize| 1 + choices.below(most) as u16;
        match kind {
            0..=5 => Self::Write(s, upto(3000)),
            6..=8 => Self::Read(s, upto(3000)),
            9 => Self::Lazy(s, choices.flag()),
            10 => Self::Pause(s),
            11..=12 => Self::Resume(s),
            13 => Self::Hold(s, choices.flag()),
            14 => Self::Listen(s, choices.flag()),
            15..=16 => Self::Eager(s, upto(9000)),
            17 => Self::Again(s),
            18 => Self::Configure(s, choices.below(256) as u8),
            19..=25 => {
                let n = upto(4096);
                Self::Deliver(s, n, choices.flag())
            }
            26..=33 => Self::Take(s, upto(4096)),
            34..=35 => Self::Pass(choices.below(30_000) as u32),
            36 => Self::Flush(s),
            37 => Self::Nudge(s),
            _ => Self::ending(choices, s),
        }
    }

    fn ending(choices: &mut Choices<'_>, s: usize) -> Self {
        match choices.below(8) {
            0..=1 => Self::FinishWrite(s),
            2..=3 => Self::Finish(s),
            4 => Self::Close(s),
            5..=6 => Self::FailSend(s, choices.flag()),
            _ => Self::FailReceive(s),
        }
    }
}
