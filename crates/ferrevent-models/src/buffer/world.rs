//! The buffers, their models, and what must hold between them.

use std::fs::File;
use std::io::{IoSlice, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use ferrevent_core::buffer::{
    Block, BlockClass, Buffer, BufferError, End, Eol, POOL_LIMIT, Pinned, pooled_bytes,
};

use super::lines::{self, text};
use super::operation::{BUFFERS, Operation};

/// Buffers and their models.
#[derive(Debug)]
pub struct World {
    buffers: Vec<Buffer>,
    models: Vec<Vec<u8>>,
    /// Views that must stay as they were, whatever happens to the buffers.
    pins: Vec<(Pinned, Vec<u8>)>,
    hooks_set: usize,
    hooks_run: Arc<AtomicUsize>,
    /// What the observers of each buffer have heard of.
    observed: Vec<Arc<AtomicUsize>>,
}

/// So many views are held.
const PINS: usize = 20;
/// What all buffers may hold: for the sake of memory.
const MOST: usize = 200_000;

impl World {
    /// Empty buffers.
    #[must_use]
    pub fn new() -> Self {
        let observed: Vec<Arc<AtomicUsize>> = (0..BUFFERS).map(|_| Arc::default()).collect();
        Self {
            buffers: observed.iter().map(observed_buffer).collect(),
            models: vec![Vec::new(); BUFFERS],
            pins: Vec::new(),
            hooks_set: 0,
            hooks_run: Arc::default(),
            observed,
        }
    }

    /// Does one thing to the buffers and to their models.
    ///
    /// # Panics
    /// If they then differ.
    pub fn act(&mut self, operation: &Operation) {
        self.bound();
        match *operation {
            Operation::Append { to, seed, n } => {
                self.append(to, text(seed, n), |buffer, bytes| buffer.append(&bytes));
            }
            Operation::Prepend { to, seed, n } => {
                let bytes = text(seed, n);
                self.buffers[to].prepend(&bytes).unwrap();
                self.models[to].splice(0..0, bytes);
            }
            Operation::AppendBlock { to, seed, n } => {
                self.append(to, text(seed, n), |buffer, bytes| {
                    buffer.append_block(block_of(&bytes), bytes.len())
                });
            }
            Operation::AppendReference { to, seed, n } => {
                let run = Arc::clone(&self.hooks_run);
                self.hooks_set += 1;
                self.append(to, text(seed, n), |buffer, bytes| {
                    buffer.append_reference_with(bytes, move || {
                        run.fetch_add(1, Ordering::Relaxed);
                    })
                });
            }
            Operation::AppendBytes { to, seed, n } => {
                self.append(to, text(seed, n), |buffer, bytes| {
                    buffer.append_bytes(bytes.into())
                });
            }
            Operation::AppendFile { to, start, n } => {
                self.append(
                    to,
                    content()[start..][..n.min(50_000)].to_vec(),
                    |buffer, bytes| buffer.append_file(file(), start as u64, bytes.len()),
                );
            }
            Operation::Reserve { to, n } => {
                let room = self.buffers[to].reserve(n).unwrap();
                assert!(room.len() >= n.max(1));
                room.fill(b'?');
            }
            Operation::Commit { to, seed, n } => self.commit(to, &text(seed, n)),
            Operation::Drain { from, n } => {
                let expected = n.min(self.models[from].len());
                assert_eq!(self.buffers[from].drain(n), Ok(expected));
                self.models[from].drain(..expected);
            }
            Operation::Read { from, n } => {
                let mut got = vec![0; n];
                let read = self.buffers[from].read(&mut got);
                if let Some(read) = self.known(from, read) {
                    self.expect_part(from, &got, read);
                    self.models[from].drain(..read);
                }
            }
            Operation::CopyOut { from, n } => {
                let mut got = vec![0; n];
                let copied = self.buffers[from].copy_out(&mut got);
                if let Some(copied) = self.known(from, copied) {
                    self.expect_part(from, &got, copied);
                }
            }
            Operation::TakeVec { from, n } => {
                let taken = self.buffers[from].take_vec(n);
                if let Some(taken) = self.known(from, taken) {
                    self.expect_taken(from, n, &taken);
                }
            }
            Operation::TakeBytes { from, n } => {
                let taken = self.buffers[from].take_bytes(n);
                if let Some(taken) = self.known(from, taken) {
                    self.expect_taken(from, n, &taken);
                }
            }
            Operation::AppendBuffer { from, to } => self.whole(from, to, true),
            Operation::PrependBuffer { from, to } => self.whole(from, to, false),
            Operation::Move { from, to, n } => self.part(from, to, n),
            Operation::Share { from, to, n } => {
                let n = n.min(self.models[from].len());
                let mut shared = self.buffers[from].share(n);
                let expected = self.models[from][..n].to_vec();
                assert_eq!(shared.len(), n);
                self.buffers[to].append_buffer(&mut shared).unwrap();
                self.models[to].extend(expected);
            }
            Operation::Pin { from, n, segments } => self.pin(from, n, segments),
            Operation::Unpin { which } => {
                if which < self.pins.len() {
                    let (pinned, expected) = self.pins.swap_remove(which);
                    check_pin(&pinned, &expected);
                }
            }
            Operation::Find {
                in_,
                from,
                to,
                needle,
            } => self.find(in_, from, to, lines::NEEDLES[needle]),
            Operation::FindOwn { in_, from, at, n } => {
                let needle = self.models[in_].iter().skip(at).take(n);
                let needle: Vec<u8> = needle.copied().collect();
                self.find(in_, from, usize::MAX, &needle);
            }
            Operation::FindLine { in_, eol, from } => {
                let found = self.buffers[in_].find_line_end(eol, from);
                if let Some(found) = self.known(in_, found)
                    && !self.has_files(in_)
                {
                    assert_eq!(found, lines::end(&self.models[in_], eol, from));
                }
            }
            Operation::ReadLine { from, eol, max } => self.line(from, eol, max),
            Operation::EachLine { from, eol, max } => self.each_line(from, eol, max),
            Operation::MakeContiguous { in_, n } => {
                let wanted = n.min(self.models[in_].len());
                let got = self.buffers[in_]
                    .make_contiguous(n)
                    .map(|got| got[..wanted].to_vec());
                if let Some(got) = self.known(in_, got) {
                    assert!(got == self.models[in_][..wanted]);
                }
            }
            Operation::ChangeInPlace { in_ } => {
                if let Some(front) = self.buffers[in_].front_mut() {
                    front.make_ascii_uppercase();
                    let n = front.len();
                    self.models[in_][..n].make_ascii_uppercase();
                }
            }
            Operation::Freeze { which } => self.freeze(which),
            Operation::Check => self.check(),
        }
        for (b, model) in self.models.iter().enumerate() {
            assert_eq!(self.buffers[b].len(), model.len());
            assert_eq!(self.observed[b].load(Ordering::Relaxed), model.len());
        }
    }

    /// Compares every byte. File ranges are brought into memory for that.
    ///
    /// # Panics
    /// If one differs.
    pub fn check(&mut self) {
        for b in 0..BUFFERS {
            self.fill(b);
            assert!(self.buffers[b] == *self.models[b], "buffer {b}");
        }
        for (pinned, expected) in &self.pins {
            check_pin(pinned, expected);
        }
        assert!(pooled_bytes() <= POOL_LIMIT);
    }

    /// Checks a last time, lets go of everything, and checks that every
    /// release hook ran, and none of them twice.
    ///
    /// # Panics
    /// If that is not so.
    pub fn finish(mut self) {
        self.check();
        let (set, run) = (self.hooks_set, Arc::clone(&self.hooks_run));
        drop(self);
        assert_eq!(run.load(Ordering::Relaxed), set);
    }

    fn bound(&mut self) {
        let total: usize = self.models.iter().map(Vec::len).sum();
        if total > MOST {
            for (buffer, model) in self.buffers.iter_mut().zip(&mut self.models) {
                let half = model.len() / 2;
                assert_eq!(buffer.drain(half), Ok(half));
                model.drain(..half);
            }
        }
    }

    fn append(
        &mut self,
        to: usize,
        bytes: Vec<u8>,
        append: impl FnOnce(&mut Buffer, Vec<u8>) -> Result<(), BufferError>,
    ) {
        self.models[to].extend_from_slice(&bytes);
        append(&mut self.buffers[to], bytes).unwrap();
    }

    fn commit(&mut self, to: usize, bytes: &[u8]) {
        let buffer = &mut self.buffers[to];
        let room = buffer.reserve(bytes.len()).unwrap();
        room[..bytes.len()].copy_from_slice(bytes);
        let limit = room.len();
        let asked = limit + 1;
        let refused = Err(BufferError::OutOfRange { asked, limit });
        assert_eq!(buffer.commit(asked), refused);
        buffer.commit(bytes.len()).unwrap();
        self.models[to].extend_from_slice(bytes);
    }

    fn whole(&mut self, from: usize, to: usize, back: bool) {
        let Some([source, target]) = two(&mut self.buffers, from, to) else {
            return;
        };
        let mut moved = std::mem::take(&mut self.models[from]);
        if back {
            target.append_buffer(source).unwrap();
            self.models[to].append(&mut moved);
        } else {
            target.prepend_buffer(source).unwrap();
            moved.append(&mut self.models[to]);
            self.models[to] = moved;
        }
    }

    fn part(&mut self, from: usize, to: usize, n: usize) {
        let Some([source, target]) = two(&mut self.buffers, from, to) else {
            return;
        };
        let moved = source.move_to(target, n).unwrap();
        assert_eq!(moved, n.min(self.models[from].len()));
        let bytes: Vec<u8> = self.models[from].drain(..moved).collect();
        self.models[to].extend(bytes);
    }

    fn pin(&mut self, from: usize, n: usize, segments: usize) {
        let pinned = self.buffers[from].pin(n, segments);
        let (got, model) = (pinned.len(), &self.models[from]);
        assert!(got <= n && got <= model.len());
        assert!(got > 0 || n == 0 || model.is_empty());
        self.pins.push((pinned, model[..got].to_vec()));
        if self.pins.len() > PINS {
            let (pinned, expected) = self.pins.remove(0);
            check_pin(&pinned, &expected);
        }
    }

    fn find(&self, b: usize, from: usize, to: usize, needle: &[u8]) {
        let buffer = &self.buffers[b];
        let found = buffer.find_within(needle, from..to);
        let without_end = buffer.find(needle, from);
        let byte = needle.first().copied().unwrap_or(b'a');
        let single = buffer.find_byte(byte, from);
        let expect = |needle: &[u8], to| Ok(lines::find(&self.models[b], needle, from, to));
        // Before a file range, what is found is right too.
        for (found, expected) in [
            (found, expect(needle, to)),
            (without_end, expect(needle, usize::MAX)),
            (single, expect(&[byte], usize::MAX)),
        ] {
            if found == Err(BufferError::FileRange) {
                assert!(self.has_files(b));
            } else {
                assert_eq!(found, expected);
            }
        }
    }

    fn line(&mut self, b: usize, eol: Eol, max: usize) {
        self.fill(b);
        let model = &mut self.models[b];
        let line = self.buffers[b].read_line(eol, max);
        match lines::next(model, eol, max) {
            Ok(Some(end)) => {
                assert!(line.unwrap().unwrap() == model[..end.position]);
                model.drain(..end.position + end.len);
            }
            Ok(None) => assert_eq!(line, Ok(None)),
            Err(error) => assert_eq!(line, Err(error)),
        }
    }

    fn each_line(&mut self, b: usize, eol: Eol, max: usize) {
        self.fill(b);
        let mut got = Vec::new();
        let outcome = self.buffers[b].for_each_line(eol, max, |line| got.push(line.to_vec()));
        let model = &mut self.models[b];
        let mut expected = Vec::new();
        let mut error = None;
        loop {
            match lines::next(model, eol, max) {
                Ok(Some(end)) => {
                    expected.push(model[..end.position].to_vec());
                    model.drain(..end.position + end.len);
                }
                Ok(None) => break,
                Err(why) => {
                    error = Some(why);
                    break;
                }
            }
        }
        assert!(got == expected);
        match error {
            Some(error) if expected.is_empty() => assert_eq!(outcome, Err(error)),
            _ => assert_eq!(outcome, Ok(expected.len())),
        }
    }

    fn freeze(&mut self, b: usize) {
        let buffer = &mut self.buffers[b];
        buffer.freeze(End::Front);
        buffer.freeze(End::Back);
        let refused = BufferError::Frozen(End::Front);
        assert_eq!(buffer.drain(1), Err(refused));
        assert_eq!(buffer.prepend(b"x"), Err(refused));
        assert_eq!(buffer.read_line(Eol::Lf, 9), Err(refused));
        assert_eq!(buffer.front_mut(), None);
        let refused = BufferError::Frozen(End::Back);
        assert_eq!(buffer.append(b"x"), Err(refused));
        assert_eq!(buffer.reserve(1), Err(refused));
        buffer.unfreeze(End::Front);
        buffer.unfreeze(End::Back);
    }

    /// What an operation returned; `None` if it met a file range. There must be one, which is
    /// then brought into memory.
    fn known<T>(&mut self, b: usize, outcome: Result<T, BufferError>) -> Option<T> {
        match outcome {
            Ok(it) => Some(it),
            Err(error) => {
                assert_eq!(error, BufferError::FileRange);
                assert!(self.has_files(b));
                self.fill(b);
                None
            }
        }
    }

    /// So many bytes were copied to `target`: only a file range may have ended that early.
    fn expect_part(&self, b: usize, target: &[u8], copied: usize) {
        let most = target.len().min(self.models[b].len());
        assert!(copied == most || copied < most && self.has_files(b));
        assert!(target[..copied] == self.models[b][..copied]);
    }

    fn expect_taken(&mut self, b: usize, n: usize, taken: &[u8]) {
        let n = n.min(self.models[b].len());
        let expected: Vec<u8> = self.models[b].drain(..n).collect();
        assert!(*taken == expected);
    }

    fn has_files(&self, b: usize) -> bool {
        self.buffers[b]
            .chunks()
            .any(|it| matches!(it, ferrevent_core::buffer::Chunk::File(_)))
    }

    /// Brings every file range of a buffer into memory.
    fn fill(&mut self, b: usize) {
        let buffer = &mut self.buffers[b];
        let mut front = Buffer::new();
        while !buffer.is_empty() {
            while let Some(range) = buffer.front_file() {
                let mut block = Block::take(BlockClass::K16);
                let n = range.len.min(block.capacity());
                let start = range.offset as usize;
                block.as_mut_slice()[..n].copy_from_slice(&content()[start..start + n]);
                buffer.fill_front_file(block, n).unwrap();
            }
            let n = buffer.chunk().len();
            buffer.move_to(&mut front, n).unwrap();
        }
        buffer.prepend_buffer(&mut front).unwrap();
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

fn observed_buffer(heard: &Arc<AtomicUsize>) -> Buffer {
    let mut buffer = Buffer::new();
    let heard = Arc::clone(heard);
    buffer.observe(move |change| {
        assert_eq!(heard.load(Ordering::Relaxed), change.before_len);
        heard.store(change.after_len(), Ordering::Relaxed);
    });
    buffer
}

fn block_of(bytes: &[u8]) -> Block {
    let mut block = Block::take(BlockClass::K16);
    block.as_mut_slice()[..bytes.len()].copy_from_slice(bytes);
    block
}

fn check_pin(pinned: &Pinned, expected: &[u8]) {
    if let Some(range) = pinned.file_range() {
        assert_eq!(pinned.len(), range.len);
        let start = range.offset as usize;
        assert!(content()[start..start + range.len] == *expected);
        return;
    }
    let mut slices = [IoSlice::new(&[]); 64];
    let count = pinned.io_slices(0, &mut slices);
    let got = slices[..count].iter().flat_map(|it| it.iter());
    assert!(got.eq(expected));
}

/// Two of the buffers, if they are two.
fn two(buffers: &mut [Buffer], one: usize, other: usize) -> Option<[&mut Buffer; 2]> {
    let (front, back) = buffers.split_at_mut(one.max(other));
    let (low, high) = (front.get_mut(one.min(other))?, back.first_mut()?);
    Some(if one < other {
        [low, high]
    } else {
        [high, low]
    })
}

fn content() -> &'static [u8] {
    static CONTENT: OnceLock<Vec<u8>> = OnceLock::new();
    CONTENT.get_or_init(|| (0..100_000_u32).map(|n| (n % 253) as u8).collect())
}

/// A file of that content.
fn file() -> Arc<File> {
    static FILE: OnceLock<Arc<File>> = OnceLock::new();
    Arc::clone(FILE.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("ferrevent-buffer-{}", std::process::id()));
        File::create(&path).unwrap().write_all(content()).unwrap();
        let file = Arc::new(File::open(&path).unwrap());
        std::fs::remove_file(&path).unwrap();
        file
    }))
}
