//! Reading from descriptors and writing to them.

use std::ffi::c_int;
use std::io::{self, IoSlice};

use ferrevent::buffer::{Block, End};

use super::{Buf, Held};

/// Bytes of one read.
const MOST_READ: usize = 4096;
/// Pieces of one write.
const MOST_SLICES: usize = 128;

impl Buf {
    /// Reads into it, once and at most so much, be its back frozen or not.
    pub(crate) fn receive(self, fd: c_int, most: usize) -> io::Result<usize> {
        let mut block = Block::with_capacity_at_least(most);
        let room = block.as_mut_slice();
        let most = most.min(room.len());
        // SAFETY: there is so much room.
        let read = unsafe { libc::read(fd, room.as_mut_ptr().cast(), most) };
        let length = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
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
    pub(crate) fn send(self, fd: c_int, most: usize) -> io::Result<usize> {
        let mut held = self.hold();
        held.buffer.unfreeze(End::Front);
        let sent = held.write(fd, most);
        // What is told of the change may have changed the error.
        let sent = usize::try_from(sent).map_err(|_| io::Error::last_os_error());
        held.buffer.freeze(End::Front);
        sent
    }
}

impl Held {
    fn write(&mut self, fd: c_int, most: usize) -> isize {
        let front = self.buffer.chunk();
        if front.len() >= most {
            // SAFETY: so many bytes that stay through the call.
            let written = unsafe { libc::write(fd, front.as_ptr().cast(), most) };
            self.written(written);
            return written;
        }
        let mut slices = [IoSlice::new(&[]); MOST_SLICES];
        let count = self.buffer.io_slices(&mut slices);
        let mut left = most;
        let mut vectors = [libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        }; MOST_SLICES];
        let mut used = 0;
        for slice in &slices[..count] {
            if left == 0 {
                break;
            }
            vectors[used] = libc::iovec {
                iov_base: slice.as_ptr().cast_mut().cast(),
                iov_len: slice.len().min(left),
            };
            left -= vectors[used].iov_len;
            used += 1;
        }
        // SAFETY: so many vectors of bytes that stay through the call.
        let written = unsafe { libc::writev(fd, vectors.as_ptr(), used as c_int) };
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
extern "C" fn evbuffer_write(buf: Buf, fd: c_int) -> c_int {
    evbuffer_write_atmost(buf, fd, -1)
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_write_atmost(buf: Buf, fd: c_int, most: isize) -> c_int {
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
extern "C" fn evbuffer_read(buf: Buf, fd: c_int, most: c_int) -> c_int {
    let mut held = buf.hold();
    let mut waiting: c_int = 0;
    // SAFETY: an int that lives through the call.
    let known = unsafe { libc::ioctl(fd, libc::FIONREAD, &raw mut waiting) } >= 0;
    let ready = usize::try_from(waiting).unwrap_or(0);
    let ready = if known && (1..=MOST_READ).contains(&ready) {
        ready
    } else {
        MOST_READ
    };
    let length = usize::try_from(most).unwrap_or(ready).min(ready);
    let Ok(room) = held.buffer.reserve(length) else {
        return -1;
    };
    // SAFETY: there is so much room, or more.
    let read = unsafe { libc::read(fd, room.as_mut_ptr().cast(), length.min(room.len())) };
    let length = usize::try_from(read).unwrap_or(0);
    if held.buffer.commit(length).is_err() {
        return -1;
    }
    held.changed(length, 0);
    read as c_int
}
