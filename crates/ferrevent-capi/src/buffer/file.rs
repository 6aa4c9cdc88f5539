//! Parts of files, mapped into memory or read into it.

use std::ffi::{c_int, c_uint, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use ferrevent::buffer::End;

use super::{Buf, gone};
use crate::memory;
use crate::system::{self, FilePart};

/// `struct evbuffer_file_segment`.
pub(crate) struct FileSegment(Arc<Mapped>);

type CleanupFn = unsafe extern "C" fn(*const FileSegment, c_int, *mut c_void);

/// The bytes of a part of a file.
struct Mapped {
    fd: c_int,
    flags: c_uint,
    part: FilePart,
    length: usize,
    cleanup: std::sync::Mutex<Option<(CleanupFn, usize, usize)>>,
}

const CLOSE_ON_FREE: c_uint = 0x01;

impl Mapped {
    fn new(fd: c_int, offset: i64, length: i64, flags: c_uint) -> Option<Self> {
        let length = if length == -1 {
            system::size_of_file(fd)?.checked_sub(offset)?
        } else {
            length
        };
        let (Ok(offset), Ok(length)) = (usize::try_from(offset), usize::try_from(length)) else {
            return None;
        };
        Some(Self {
            fd,
            flags,
            part: FilePart::new(fd, offset, length)?,
            length,
            cleanup: std::sync::Mutex::new(None),
        })
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
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
            system::close_file(self.fd);
        }
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
        &self.whole.part.bytes()[self.from..self.from + self.length]
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
