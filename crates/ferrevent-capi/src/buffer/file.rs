//! Parts of files, mapped into memory.

use std::ffi::{c_int, c_uint, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use ferrevent::buffer::End;

use super::{Buf, gone};
use crate::memory;

/// `struct evbuffer_file_segment`.
pub(crate) struct FileSegment(Arc<Mapped>);

type CleanupFn = unsafe extern "C" fn(*const FileSegment, c_int, *mut c_void);

/// The bytes of a part of a file.
struct Mapped {
    fd: c_int,
    flags: c_uint,
    /// The mapping begins at a page, which is before the part.
    place: *mut c_void,
    mapped: usize,
    start: usize,
    length: usize,
    cleanup: std::sync::Mutex<Option<(CleanupFn, usize, usize)>>,
}

// SAFETY: a mapping that is only read, and a number.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

const CLOSE_ON_FREE: c_uint = 0x01;

impl Mapped {
    fn new(fd: c_int, offset: i64, length: i64, flags: c_uint) -> Option<Self> {
        let length = if length == -1 {
            size_of_file(fd)?.checked_sub(offset)?
        } else {
            length
        };
        let (Ok(offset), Ok(length)) = (usize::try_from(offset), usize::try_from(length)) else {
            return None;
        };
        // SAFETY: asks for a number.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()?;
        let start = offset % page;
        let mapped = length + start;
        let place = if length == 0 {
            ptr::null_mut()
        } else {
            let from = i64::try_from(offset - start).ok()?;
            // SAFETY: a mapping of its own, wherever there is room.
            let place = unsafe {
                libc::mmap(
                    ptr::null_mut(),
                    mapped,
                    libc::PROT_READ,
                    libc::MAP_PRIVATE,
                    fd,
                    from,
                )
            };
            if place == libc::MAP_FAILED {
                return None;
            }
            place
        };
        Some(Self {
            fd,
            flags,
            place,
            mapped,
            start,
            length,
            cleanup: std::sync::Mutex::new(None),
        })
    }

    fn bytes(&self) -> &[u8] {
        if self.place.is_null() {
            return &[];
        }
        // SAFETY: the mapping stays as long as this does.
        unsafe { std::slice::from_raw_parts(self.place.cast::<u8>().add(self.start), self.length) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if !self.place.is_null() {
            // SAFETY: the mapping that was made, and nobody reads it any more.
            unsafe { libc::munmap(self.place, self.mapped) };
        }
        let cleanup = self.cleanup.get_mut().ok().and_then(Option::take);
        if let Some((cleanup, segment, argument)) = cleanup {
            let flags = self.flags.cast_signed();
            // SAFETY: what the program has given to be called now.
            gone::note(move || unsafe {
                cleanup(
                    ptr::with_exposed_provenance(segment),
                    flags,
                    ptr::with_exposed_provenance_mut(argument),
                );
            });
        }
        if self.flags & CLOSE_ON_FREE != 0 {
            // SAFETY: the program's descriptor, which it has given away.
            unsafe { libc::close(self.fd) };
        }
    }
}

fn size_of_file(fd: c_int) -> Option<i64> {
    // SAFETY: all zeros is a valid `stat`, and it lives through the call.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        (libc::fstat(fd, &raw mut stat) == 0).then_some(stat.st_size)
    }
}

/// A part of a mapping.
struct Part {
    whole: Arc<Mapped>,
    from: usize,
    length: usize,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.whole.bytes()[self.from..self.from + self.length]
    }
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_file_segment_new(
    fd: c_int,
    offset: i64,
    length: i64,
    flags: c_uint,
) -> Option<NonNull<FileSegment>> {
    let mapped = Mapped::new(fd, offset, length, flags)?;
    memory::place(FileSegment(Arc::new(mapped)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn evbuffer_file_segment_free(segment: Option<NonNull<FileSegment>>) {
    if let Some(segment) = segment {
        // SAFETY: made above, and the program uses it no more; what is in
        // buffers stays.
        unsafe { memory::displace(segment) };
        gone::tell();
    }
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_file_segment_add_cleanup_cb(
    segment: &FileSegment,
    cleanup: CleanupFn,
    argument: *mut c_void,
) {
    if let Ok(mut place) = segment.0.cleanup.lock() {
        let address = ptr::from_ref(segment).expose_provenance();
        *place = Some((cleanup, address, argument.expose_provenance()));
    }
}

#[unsafe(no_mangle)]
extern "C" fn evbuffer_add_file_segment(
    buf: Buf,
    segment: Option<&FileSegment>,
    offset: i64,
    length: i64,
) -> c_int {
    let (Some(segment), Ok(from)) = (segment, usize::try_from(offset)) else {
        return -1;
    };
    let whole = &segment.0;
    let length = match usize::try_from(length) {
        Ok(length) => Some(length),
        Err(_) => whole.length.checked_sub(from),
    };
    let Some(length) = length.filter(|length| {
        from.checked_add(*length)
            .is_some_and(|end| end <= whole.length)
    }) else {
        return -1;
    };
    let part = Part {
        whole: Arc::clone(whole),
        from,
        length,
    };
    let mut held = buf.hold();
    if held.buffer.append_reference(part).is_err() {
        return -1;
    }
    held.changed(length, 0);
    0
}

/// Adds a part of a file, which is closed when nobody reads it any more.
#[unsafe(no_mangle)]
extern "C" fn evbuffer_add_file(buf: Buf, fd: c_int, offset: i64, length: i64) -> c_int {
    // What is refused is not closed.
    if buf.hold().buffer.is_frozen(End::Back) {
        return -1;
    }
    let Some(mapped) = Mapped::new(fd, offset, length, CLOSE_ON_FREE) else {
        return -1;
    };
    let segment = FileSegment(Arc::new(mapped));
    evbuffer_add_file_segment(buf, Some(&segment), 0, -1)
}
