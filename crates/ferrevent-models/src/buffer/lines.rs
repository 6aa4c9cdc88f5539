//! Searches and lines in a plain slice.

use ferrevent_core::buffer::{BufferError, Eol, LineEnd};

/// Few letters, so that searches find something.
pub(super) const LETTERS: &[u8; 8] = b"ab\r\n\0xyz";

pub(super) const NEEDLES: &[&[u8]] = &[b"", b"\n", b"xyz", b"\r\n\r\n", b"aab", b"abababab", b"q"];

/// Bytes from a seed; most seeds give letters at random, some long runs of one.
pub(super) fn text(seed: u64, n: usize) -> Vec<u8> {
    let bytes = crate::random_bytes(seed, n);
    let long = seed.is_multiple_of(5);
    let at = |i: usize| if long { bytes[i / 300 * 300] } else { bytes[i] };
    (0..n).map(|i| LETTERS[usize::from(at(i) % 8)]).collect()
}

/// The first `needle` that lies wholly between `from` and `to`.
pub(super) fn find(bytes: &[u8], needle: &[u8], from: usize, to: usize) -> Option<usize> {
    let window = bytes.get(from..to.min(bytes.len()))?;
    if needle.is_empty() {
        return Some(from);
    }
    let found = window.windows(needle.len()).position(|it| it == needle);
    found.map(|at| from + at)
}

/// The first line end at or after `from`.
pub(super) fn end(bytes: &[u8], eol: Eol, from: usize) -> Option<LineEnd> {
    let rest = bytes.get(from..)?;
    let first = |wanted: fn(&u8) -> bool| rest.iter().position(wanted).map(|at| from + at);
    let lf = || first(|byte| *byte == b'\n');
    match eol {
        Eol::Lf => lf().map(|position| LineEnd { position, len: 1 }),
        Eol::Nul => first(|byte| *byte == 0).map(|position| LineEnd { position, len: 1 }),
        Eol::CrlfStrict => {
            find(bytes, b"\r\n", from, bytes.len()).map(|position| LineEnd { position, len: 2 })
        }
        Eol::Crlf => lf().map(|at| {
            let cr = usize::from(at > from && bytes[at - 1] == b'\r');
            let position = at - cr;
            LineEnd {
                position,
                len: 1 + cr,
            }
        }),
        Eol::Any => first(|byte| b"\r\n".contains(byte)).map(|position| {
            let run = bytes[position..]
                .iter()
                .take_while(|it| b"\r\n".contains(it));
            LineEnd {
                position,
                len: run.count(),
            }
        }),
    }
}

/// The end of the line at the front, if it is there and the line not too long.
pub(super) fn next(bytes: &[u8], eol: Eol, max: usize) -> Result<Option<LineEnd>, BufferError> {
    match end(bytes, eol, 0) {
        Some(end) if end.position <= max => return Ok(Some(end)),
        None if bytes.len() <= max => return Ok(None),
        // The first half of an end may have come.
        None if matches!(eol, Eol::Crlf | Eol::CrlfStrict)
            && bytes.len() == max + 1
            && bytes[max] == b'\r' =>
        {
            return Ok(None);
        }
        _ => {}
    }
    Err(BufferError::TooLong { limit: max })
}
