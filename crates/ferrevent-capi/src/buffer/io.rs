//! Reading from descriptors and writing to them.

use std::ffi::c_int;
use std::io::{self, IoSlice};

use ferrevent::Buffer;
use ferrevent::buffer::{Block, End};

use super::{Buf, Held};
use crate::system::{self, Socket, iovec};

/// Bytes of one read.
const MOST_READ: usize = 4096;
/// Pieces of one write.
const MOST_SLICES: usize = 128;

impl Buf {
    /// Reads into it, once and at most so much, be its back frozen or not.
    pub(crate) fn receive(self, fd: Socket, most: usize) -> io::Result<usize> {
        let mut block = Block::with_capacity_at_least(most);
        let room = block.as_mut_slice();
        let most = most.min(room.len());
        let read = system::read(fd, &mut room[..most]);
        let length = usize::try_from(read).map_err(|_| system::last())?;
        if length == 0 {
            return Ok(0);
        }
        let mut held = self.hold();
        held.buffer.unfreeze(End::Back);
        // There is a limit to what a buffer may hold, beyond any memory.
        let outcome = held.buffer.append_block(block, length);
        outcome.map_err(io::Error::other)?;
        held.changed(length, 0);
        held.buffer.freeze(End::Back);
        Ok(length)
    }

    /// Writes from it, once and at most so much, be its front frozen or not.
    pub(crate) fn send(self, fd: Socket, most: usize) -> io::Result<usize> {
        let mut held = self.hold();
        held.buffer.unfreeze(End::Front);
        let sent = held.write(fd, most);
        // What is told of the change may have changed the error.
        let sent = usize::try_from(sent).map_err(|_| system::last());
        held.buffer.freeze(End::Front);
        sent
    }
}

/// What a stream moves.
impl Buf {
    /// Adds what has come, be its back frozen or not.
    pub(crate) fn take_in(self, mut bytes: Buffer) -> io::Result<usize> {
        let length = bytes.len();
        if length > 0 {
            let mut held = self.hold();
            held.buffer.unfreeze(End::Back);
            let outcome = held.buffer.append_buffer(&mut bytes);
            outcome.map_err(io::Error::other)?;
            held.changed(length, 0);
            held.buffer.freeze(End::Back);
        }
        Ok(length)
    }

    /// The first bytes, which stay here until they are sent.
    pub(crate) fn share(self, most: usize) -> Buffer {
        self.look(|buffer| buffer.share(most))
    }

    /// So many bytes were sent, be its front frozen or not.
    pub(crate) fn let_go(self, sent: usize) {
        let mut held = self.hold();
        held.buffer.unfreeze(End::Front);
        held.written(sent.cast_signed());
        held.buffer.freeze(End::Front);
    }
}

impl Held {
    fn write(&mut self, fd: Socket, most: usize) -> isize {
        let front = self.buffer.chunk();
        if front.len() >= most {
            let written = system::write(fd, &front[..most]);
            self.written(written);
            return written;
        }
        let mut slices = [IoSlice::new(&[]); MOST_SLICES];
        let count = self.buffer.io_slices(&mut slices);
        let mut left = most;
        let mut vectors = [iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        }; MOST_SLICES];
        let mut used = 0;
        for slice in &slices[..count] {
            if left == 0 {
                break;
            }
            vectors[used] = iovec {
                iov_base: slice.as_ptr().cast_mut().cast(),
                iov_len: slice.len().min(left),
            };
            left -= vectors[used].iov_len;
            used += 1;
        }
        // SAFETY: vectors of bytes that stay through the call.
        let written = unsafe { system::write_vectors(fd, &vectors[..used]) };
        self.written(written);
        written
    }

    /// So many bytes have left, or none for an error.
    fn written(&mut self, written: isize) {
        if let Ok(written) = usize::try_from(written)
            && written > 0
            && self.buffer.drain(written).is_ok()
        {
            self.changed(0, written);
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_write(buf: Buf, fd: Socket) -> c_int {
    evbuffer_write_atmost(buf, fd, -1)
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_write_atmost(buf: Buf, fd: Socket, most: isize) -> c_int {
    let mut held = buf.hold();
    if held.buffer.is_frozen(End::Front) {
        return -1;
    }
    let length = held.buffer.len();
    let most = usize::try_from(most).unwrap_or(length).min(length);
    if most == 0 {
        return -1;
    }
    held.write(fd, most) as c_int
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_read(buf: Buf, fd: Socket, most: c_int) -> c_int {
    let mut held = buf.hold();
    let ready = system::waiting(fd).filter(|ready| (1..=MOST_READ).contains(ready));
    let ready = ready.unwrap_or(MOST_READ);
    let length = usize::try_from(most).unwrap_or(ready).min(ready);
    let Ok(room) = held.buffer.reserve(length) else {
        return -1;
    };
    let length = length.min(room.len());
    let read = system::read(fd, &mut room[..length]);
    let length = usize::try_from(read).unwrap_or(0);
    if held.buffer.commit(length).is_err() {
        return -1;
    }
    held.changed(length, 0);
    read as c_int
}
