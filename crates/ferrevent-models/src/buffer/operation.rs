//! What is done to the buffers.

use ferrevent_core::buffer::Eol;

use crate::Choices;

/// So many buffers there are.
pub(super) const BUFFERS: usize = 4;

/// One operation. Buffers are numbers; a `seed` stands for bytes.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the variants are the methods of a buffer")]
pub enum Operation {
    Append {
        to: usize,
        seed: u64,
        n: usize,
    },
    Prepend {
        to: usize,
        seed: u64,
        n: usize,
    },
    AppendBlock {
        to: usize,
        seed: u64,
        n: usize,
    },
    AppendReference {
        to: usize,
        seed: u64,
        n: usize,
    },
    AppendBytes {
        to: usize,
        seed: u64,
        n: usize,
    },
    AppendFile {
        to: usize,
        start: usize,
        n: usize,
    },
    Reserve {
        to: usize,
        n: usize,
    },
    Commit {
        to: usize,
        seed: u64,
        n: usize,
    },
    Drain {
        from: usize,
        n: usize,
    },
    Read {
        from: usize,
        n: usize,
    },
    TakeVec {
        from: usize,
        n: usize,
    },
    TakeBytes {
        from: usize,
        n: usize,
    },
    AppendBuffer {
        from: usize,
        to: usize,
    },
    PrependBuffer {
        from: usize,
        to: usize,
    },
    Move {
        from: usize,
        to: usize,
        n: usize,
    },
    Share {
        from: usize,
        to: usize,
        n: usize,
    },
    Pin {
        from: usize,
        n: usize,
        segments: usize,
    },
    Unpin {
        which: usize,
    },
    Find {
        in_: usize,
        from: usize,
        to: usize,
        needle: usize,
    },
    /// Looks for what is there: `n` bytes at `at`.
    FindOwn {
        in_: usize,
        from: usize,
        at: usize,
        n: usize,
    },
    FindLine {
        in_: usize,
        eol: Eol,
        from: usize,
    },
    ReadLine {
        from: usize,
        eol: Eol,
        max: usize,
    },
    EachLine {
        from: usize,
        eol: Eol,
        max: usize,
    },
    MakeContiguous {
        in_: usize,
        n: usize,
    },
    ChangeInPlace {
        in_: usize,
    },
    CopyOut {
        from: usize,
        n: usize,
    },
    Freeze {
        which: usize,
    },
    Check,
}

const EOLS: [Eol; 5] = [Eol::Any, Eol::Crlf, Eol::CrlfStrict, Eol::Lf, Eol::Nul];

impl Operation {
    /// The next operation.
    #[must_use]
    pub fn choose(choices: &mut Choices<'_>) -> Self {
        let kind = choices.below(33);
        let (one, other) = (choices.below(BUFFERS), choices.below(BUFFERS));
        let mut size = || choices.size();
        match kind {
            0 | 1 => {
                let (to, n, seed) = (one, size(), choices.number());
                Self::Append { to, seed, n }
            }
            2 => {
                let (to, n, seed) = (one, size(), choices.number());
                Self::Prepend { to, seed, n }
            }
            3 => {
                let (to, n, seed) = (one, size().min(16_384), choices.number());
                Self::AppendBlock { to, seed, n }
            }
            4 => {
                let (to, n, seed) = (one, size(), choices.number());
                Self::AppendReference { to, seed, n }
            }
            5 => {
                let (to, n, seed) = (one, size(), choices.number());
                Self::AppendBytes { to, seed, n }
            }
            6 => {
                let (to, n, start) = (one, size(), choices.below(50_000));
                Self::AppendFile { to, start, n }
            }
            7 => Self::Reserve { to: one, n: size() },
            8 => {
                let (to, n, seed) = (one, size(), choices.number());
                Self::Commit { to, seed, n }
            }
            9 | 10 => Self::Drain {
                from: one,
                n: size(),
            },
            11 => Self::Read {
                from: one,
                n: size(),
            },
            12 => Self::TakeVec {
                from: one,
                n: size(),
            },
            13 => Self::TakeBytes {
                from: one,
                n: size(),
            },
            14 => Self::AppendBuffer {
                from: one,
                to: other,
            },
            15 => Self::PrependBuffer {
                from: one,
                to: other,
            },
            16 | 17 => {
                let n = size();
                Self::Move {
                    from: one,
                    to: other,
                    n,
                }
            }
            18 => {
                let n = size();
                Self::Share {
                    from: one,
                    to: other,
                    n,
                }
            }
            19 => {
                let n = size();
                let segments = 1 + choices.below(20);
                Self::Pin {
                    from: one,
                    n,
                    segments,
                }
            }
            20 => Self::Unpin {
                which: choices.below(20),
            },
            21 | 22 => {
                let (from, to, needle) =
                    (size(), size(), choices.below(super::lines::NEEDLES.len()));
                Self::Find {
                    in_: one,
                    from,
                    to,
                    needle,
                }
            }
            23 => {
                let from = size();
                let eol = EOLS[choices.below(EOLS.len())];
                Self::FindLine {
                    in_: one,
                    eol,
                    from,
                }
            }
            24 | 25 => {
                let max = size();
                let eol = EOLS[choices.below(EOLS.len())];
                Self::ReadLine {
                    from: one,
                    eol,
                    max,
                }
            }
            26 => {
                let max = size();
                let eol = EOLS[choices.below(EOLS.len())];
                Self::EachLine {
                    from: one,
                    eol,
                    max,
                }
            }
            27 => Self::MakeContiguous {
                in_: one,
                n: size(),
            },
            28 => Self::ChangeInPlace { in_: one },
            29 => Self::CopyOut {
                from: one,
                n: size(),
            },
            30 => Self::Freeze { which: one },
            31 => {
                let (from, at, n) = (size(), size(), 1 + choices.below(12));
                Self::FindOwn {
                    in_: one,
                    from,
                    at,
                    n,
                }
            }
            _ => Self::Check,
        }
    }
}
