//! The buffer against a plain `Vec<u8>`: long random runs over several
//! buffers, with moves, shares, pins, foreign memory and file ranges.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs::File;
use std::io::{IoSlice, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ferrevent_core::buffer::{
    Block, BlockClass, Buffer, BufferError, End, Eol, POOL_LIMIT, Pinned, pooled_bytes,
};

const BUFFERS: usize = 4;

struct World {
    random: u64,
    buffers: Vec<Buffer>,
    models: Vec<Vec<u8>>,
    /// Views that must stay as they were, whatever happens to the buffers.
    pins: Vec<(Pinned, Vec<u8>)>,
    hooks_set: usize,
    hooks_run: Arc<AtomicUsize>,
    /// What the observers of each buffer have heard of.
    observed: Vec<Arc<AtomicUsize>>,
    file: Arc<File>,
    content: Vec<u8>,
}

impl World {
    fn new(seed: u64) -> Self {
        let content: Vec<u8> = (0..100_000_u32).map(|n| (n % 253) as u8).collect();
        let path =
            std::env::temp_dir().join(format!("ferrevent-buffer-{}-{seed}", std::process::id()));
        File::create(&path).unwrap().write_all(&content).unwrap();
        let file = Arc::new(File::open(&path).unwrap());
        std::fs::remove_file(&path).unwrap();
        let observed: Vec<Arc<AtomicUsize>> = (0..BUFFERS).map(|_| Arc::default()).collect();
        let buffers = observed
            .iter()
            .map(|heard| {
                let mut buffer = Buffer::new();
                let heard = Arc::clone(heard);
                buffer.observe(move |change| {
                    assert_eq!(heard.load(Ordering::Relaxed), change.before_len);
                    heard.store(change.after_len(), Ordering::Relaxed);
                });
                buffer
            })
            .collect();
        Self {
            random: seed | 1,
            buffers,
            models: vec![Vec::new(); BUFFERS],
            pins: Vec::new(),
            hooks_set: 0,
            hooks_run: Arc::default(),
            observed,
            file,
            content,
        }
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        ((self.random >> 11) % sides as u64) as usize
    }

    /// Mostly small, sometimes large.
    fn size(&mut self) -> usize {
        match self.roll(10) {
            0 => self.roll(70_000),
            1..=3 => self.roll(5_000),
            _ => self.roll(200),
        }
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        // Few values, so that searches find something.
        (0..len).map(|_| b"ab\r\n\0xyz"[self.roll(8)]).collect()
    }

    /// Brings every file range of a buffer into memory.
    fn fill(&mut self, b: usize) {
        // A peek that hits a file range says so; the whole is then read.
        loop {
            let buffer = &mut self.buffers[b];
            if buffer.make_contiguous(buffer.len()).is_ok() {
                return;
            }
            // Bring ranges to the front by way of another buffer.
            let mut front = Buffer::new();
            while buffer.front_file().is_none() {
                let n = buffer.chunk().len();
                buffer.move_to(&mut front, n).unwrap();
            }
            while let Some(range) = buffer.front_file() {
                let mut block = Block::take(BlockClass::K16);
                let n = range.len.min(block.capacity());
                let start = range.offset as usize;
                block.as_mut_slice()[..n].copy_from_slice(&self.content[start..start + n]);
                buffer.fill_front_file(block, n).unwrap();
            }
            buffer.prepend_buffer(&mut front).unwrap();
        }
    }

    fn step(&mut self) {
        let a = self.roll(BUFFERS);
        let b = self.roll(BUFFERS);
        let n = self.size();
        let total: usize = self.models.iter().map(Vec::len).sum();
        if total > 2_000_000 {
            let half = self.models[a].len() / 2;
            assert_eq!(self.buffers[a].drain(half), Ok(half));
            self.models[a].drain(..half);
        }
        match self.roll(19) {
            0..=2 => {
                let bytes = self.bytes(n);
                self.buffers[a].append(&bytes).unwrap();
                self.models[a].extend(bytes);
            }
            3 => {
                let bytes = self.bytes(n);
                self.buffers[a].prepend(&bytes).unwrap();
                self.models[a].splice(0..0, bytes);
            }
            4 => {
                let bytes = self.bytes(n.min(16_384));
                let mut block = Block::take(BlockClass::K16);
                block.as_mut_slice()[..bytes.len()].copy_from_slice(&bytes);
                self.buffers[a].append_block(block, bytes.len()).unwrap();
                self.models[a].extend(bytes);
            }
            5 => {
                let bytes = self.bytes(n);
                let run = Arc::clone(&self.hooks_run);
                self.hooks_set += 1;
                self.buffers[a]
                    .append_reference_with(bytes.clone(), move || {
                        run.fetch_add(1, Ordering::Relaxed);
                    })
                    .unwrap();
                self.models[a].extend(bytes);
            }
            6 => {
                let bytes = self.bytes(n);
                let room = self.buffers[a].reserve(n).unwrap();
                room[..n].copy_from_slice(&bytes);
                self.buffers[a].commit(n).unwrap();
                self.models[a].extend(bytes);
            }
            7..=8 => {
                let expected = n.min(self.models[a].len());
                assert_eq!(self.buffers[a].drain(n), Ok(expected));
                self.models[a].drain(..expected);
            }
            9 => {
                let mut got = vec![0; n];
                let read = self.buffers[a].read(&mut got).unwrap();
                let expected: Vec<u8> = self.models[a].drain(..read).collect();
                assert_eq!(read, n.min(read + self.models[a].len()));
                assert!(got[..read] == expected);
            }
            10 if a != b => {
                let (mut from, mut to) = (std::mem::take(&mut self.models[a]), Vec::new());
                let [one, other] = self.buffers.get_disjoint_mut([a, b]).unwrap();
                if n.is_multiple_of(2) {
                    other.append_buffer(one).unwrap();
                    to.append(&mut self.models[b]);
                    to.append(&mut from);
                } else {
                    other.prepend_buffer(one).unwrap();
                    to.append(&mut from);
                    to.append(&mut self.models[b]);
                }
                self.models[b] = to;
            }
            11 if a != b => {
                let [one, other] = self.buffers.get_disjoint_mut([a, b]).unwrap();
                let moved = one.move_to(other, n).unwrap();
                assert_eq!(moved, n.min(self.models[a].len()));
                let bytes: Vec<u8> = self.models[a].drain(..moved).collect();
                self.models[b].extend(bytes);
            }
            12 => {
                let mut shared = self.buffers[a].share(n);
                let expected = self.models[a][..n.min(self.models[a].len())].to_vec();
                assert!(shared == *expected);
                if a != b {
                    self.buffers[b].append_buffer(&mut shared).unwrap();
                    self.models[b].extend(expected);
                }
            }
            13 => {
                let pinned = self.buffers[a].pin(n, 1 + n % 20);
                let expected = self.models[a][..pinned.len()].to_vec();
                self.pins.push((pinned, expected));
                if self.pins.len() > 20 {
                    let oldest = self.roll(self.pins.len());
                    let (pinned, expected) = self.pins.swap_remove(oldest);
                    check_pin(&pinned, &expected);
                }
            }
            14 => {
                let from = self.roll(self.models[a].len() + 2);
                let model = self.models[a].get(from..).unwrap_or_default();
                let found = model
                    .iter()
                    .position(|byte| *byte == b'\n')
                    .map(|at| at + from);
                assert_eq!(self.buffers[a].find_byte(b'\n', from), Ok(found));
                let found = model
                    .windows(3)
                    .position(|it| it == b"xyz")
                    .map(|at| at + from);
                assert_eq!(self.buffers[a].find(b"xyz", from), Ok(found));
            }
            15 => self.line(a, n),
            16 => {
                let wanted = n.min(self.models[a].len());
                let got = self.buffers[a].make_contiguous(wanted).unwrap();
                assert!(got[..wanted] == self.models[a][..wanted]);
            }
            17 => {
                let start = self.roll(50_000);
                self.buffers[a]
                    .append_file(Arc::clone(&self.file), start as u64, n)
                    .unwrap();
                self.models[a].extend(&self.content[start..start + n.min(50_000)]);
                if n > 50_000 {
                    // No such bytes in the file: out again.
                    let all = self.models[a].len() + n - 50_000;
                    assert_eq!(self.buffers[a].len(), all);
                    self.buffers[a].clear().unwrap();
                    self.models[a].clear();
                }
                self.fill(a);
            }
            _ => {
                self.buffers[a].freeze(End::Front);
                self.buffers[a].freeze(End::Back);
                let refused = Err(BufferError::Frozen(End::Front));
                assert_eq!(self.buffers[a].drain(1), refused);
                let refused = Err(BufferError::Frozen(End::Back));
                assert_eq!(self.buffers[a].append(b"x"), refused);
                self.buffers[a].unfreeze(End::Front);
                self.buffers[a].unfreeze(End::Back);
            }
        }
        for s in [a, b] {
            assert_eq!(self.buffers[s].len(), self.models[s].len());
            assert_eq!(
                self.observed[s].load(Ordering::Relaxed),
                self.models[s].len()
            );
        }
    }

    fn line(&mut self, a: usize, max: usize) {
        let model = &mut self.models[a];
        let Some(at) = model.iter().position(|byte| *byte == b'\n') else {
            if model.len() <= max {
                assert_eq!(self.buffers[a].read_line(Eol::Crlf, max), Ok(None));
            }
            return;
        };
        let end = if at > 0 && model[at - 1] == b'\r' {
            at - 1
        } else {
            at
        };
        match self.buffers[a].read_line(Eol::Crlf, max) {
            Ok(line) => {
                assert!(end <= max);
                assert!(line.unwrap() == model[..end]);
                model.drain(..=at);
            }
            Err(error) => {
                assert!(end > max, "{error}: a line of {end} where {max} may be");
            }
        }
    }

    fn check(&self) {
        for (buffer, model) in self.buffers.iter().zip(&self.models) {
            assert!(buffer == model.as_slice());
        }
        for (pinned, expected) in &self.pins {
            check_pin(pinned, expected);
        }
        assert!(pooled_bytes() <= POOL_LIMIT);
    }
}

fn check_pin(pinned: &Pinned, expected: &[u8]) {
    let mut slices = [IoSlice::new(&[]); 64];
    let count = pinned.io_slices(0, &mut slices);
    let got: Vec<u8> = slices[..count]
        .iter()
        .flat_map(|it| it.iter().copied())
        .collect();
    assert!(got == expected);
}

#[test]
fn a_buffer_is_a_vec_that_moves_without_copying() {
    let steps = std::env::var("FERREVENT_CASES").ok();
    let steps: u32 = steps.and_then(|it| it.parse().ok()).unwrap_or(600) * 50;
    for seed in [1, 20_091_124, 77] {
        let mut world = World::new(seed);
        for step in 0..steps {
            world.step();
            if step % 100 == 0 {
                world.check();
            }
        }
        world.check();
        let (set, run) = (world.hooks_set, Arc::clone(&world.hooks_run));
        drop(world);
        // Every release hook ran, and none of them twice.
        assert_eq!(run.load(Ordering::Relaxed), set);
    }
}

#[test]
fn a_buffer_is_small_and_can_be_sent() {
    fn can_be_sent<T: Send>() {}
    can_be_sent::<Buffer>();
    can_be_sent::<Pinned>();
    assert!(size_of::<Buffer>() <= 48);
}
