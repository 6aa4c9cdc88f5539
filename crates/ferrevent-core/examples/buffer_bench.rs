//! What the buffer's operations cost: `buffer_bench [--only NAME [COUNT]]` prints
//! a line for each, `name<TAB>nanoseconds`, the best of several rounds. With a
//! count there is one round, of so many: for callgrind, which counts instructions.

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use ferrevent_core::buffer::{Buffer, BufferError, Eol};

type Cell = fn(u32) -> Result<(), BufferError>;

const CELLS: &[(&str, u32, Cell)] = &[
    ("append64", 4_000_000, append64),
    ("append_drain64", 4_000_000, append_drain64),
    ("crlf_line40", 2_000_000, crlf_line40),
    ("crlf_line40_owned", 2_000_000, crlf_line40_owned),
    ("search_64k", 20_000, search_64k),
    ("reference_1m_drain", 1_000_000, reference_1m_drain),
    ("counted_1m_drain", 1_000_000, counted_1m_drain),
    ("move_64k_twice", 1_000_000, move_64k_twice),
    ("new_add_free64", 2_000_000, new_add_free64),
    ("copy_4k_in_out", 1_000_000, copy_4k_in_out),
];

fn main() -> Result<(), BufferError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (only, fixed) = match &arguments[..] {
        [flag, name] if flag == "--only" => (Some(name.as_str()), None),
        [flag, name, count] if flag == "--only" => (Some(name.as_str()), count.parse().ok()),
        _ => (None, None),
    };
    for (name, usual, cell) in CELLS {
        if only.is_some_and(|only| only != *name) {
            continue;
        }
        let count = fixed.unwrap_or(*usual);
        let mut best = f64::INFINITY;
        for _ in 0..if fixed.is_some() { 1 } else { 7 } {
            let start = Instant::now();
            cell(count)?;
            best = best.min(start.elapsed().as_nanos() as f64 / f64::from(count));
        }
        println!("{name}\t{best:.1}");
    }
    Ok(())
}

fn append64(count: u32) -> Result<(), BufferError> {
    let mut buffer = Buffer::new();
    for index in 0..count {
        buffer.append(black_box(&[7; 64]))?;
        if index % 16_384 == 16_383 {
            buffer.clear()?;
        }
    }
    Ok(())
}

fn append_drain64(count: u32) -> Result<(), BufferError> {
    let mut buffer = Buffer::new();
    for _ in 0..count {
        buffer.append(black_box(&[7; 64]))?;
        buffer.drain(black_box(64))?;
    }
    Ok(())
}

/// A thousand lines of forty bytes, CRLF included.
fn lines() -> Vec<u8> {
    b"01234567890123456789012345678901234567\r\n".repeat(1000)
}

fn crlf_line40(count: u32) -> Result<(), BufferError> {
    let text = lines();
    let mut buffer = Buffer::new();
    let mut read = 0;
    while read < count {
        buffer.append(&text)?;
        while buffer
            .with_line(Eol::Crlf, 1000, |line| black_box(line).len())?
            .is_some()
        {
            read += 1;
        }
    }
    Ok(())
}

fn crlf_line40_owned(count: u32) -> Result<(), BufferError> {
    let text = lines();
    let mut buffer = Buffer::new();
    let mut read = 0;
    while read < count {
        buffer.append(&text)?;
        while let Some(line) = buffer.read_line(Eol::Crlf, 1000)? {
            black_box(line);
            read += 1;
        }
    }
    Ok(())
}

/// Sixteen pieces of 4 KiB, the sequence at the very end.
fn search_64k(count: u32) -> Result<(), BufferError> {
    let mut buffer = Buffer::new();
    for _ in 0..16 {
        buffer.append(&[b'b'; 4096])?;
    }
    buffer.append(b"\r\n\r\n")?;
    for _ in 0..count {
        black_box(buffer.find(black_box(b"\r\n\r\n"), 0)?);
    }
    Ok(())
}

/// Memory that nobody owns, as evbuffer takes it.
fn reference_1m_drain(count: u32) -> Result<(), BufferError> {
    static MEMORY: [u8; 1 << 20] = [7; 1 << 20];
    let mut buffer = Buffer::new();
    for _ in 0..count {
        buffer.append_reference(&black_box(&MEMORY)[..])?;
        buffer.drain(black_box(1 << 20))?;
    }
    Ok(())
}

/// Memory that is reference-counted, which evbuffer has not.
fn counted_1m_drain(count: u32) -> Result<(), BufferError> {
    let memory = Bytes::from(vec![7; 1 << 20]);
    let mut buffer = Buffer::new();
    for _ in 0..count {
        buffer.append_bytes(black_box(&memory).clone())?;
        buffer.drain(black_box(1 << 20))?;
    }
    Ok(())
}

fn move_64k_twice(count: u32) -> Result<(), BufferError> {
    let mut one = Buffer::from(&[7; 65_536][..]);
    let mut other = Buffer::new();
    for _ in 0..count {
        black_box(&mut other).append_buffer(&mut one)?;
        black_box(&mut one).append_buffer(&mut other)?;
    }
    Ok(())
}

fn new_add_free64(count: u32) -> Result<(), BufferError> {
    for _ in 0..count {
        let mut buffer = Buffer::new();
        buffer.append(black_box(&[7; 64]))?;
        drop(black_box(buffer));
    }
    Ok(())
}

fn copy_4k_in_out(count: u32) -> Result<(), BufferError> {
    let bytes = [7; 4096];
    let mut out = [0; 4096];
    let mut buffer = Buffer::new();
    for _ in 0..count {
        buffer.append(black_box(&bytes))?;
        buffer.read(black_box(&mut out))?;
    }
    Ok(())
}
