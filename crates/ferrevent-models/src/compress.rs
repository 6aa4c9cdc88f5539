//! Compressed streams without a network: what a filter makes of bytes, and
//! what it says of any bytes at all.

use ferrevent::buffer::Buffer;
use ferrevent::compress::{Bounds, CompressError, Compression, Format};
use ferrevent::{CloseReason, StreamConfig, Watermarks};
use ferrevent_core::stream::{Machine, StreamEvent};
use ferrevent_core::timer::Tick;

use crate::Choices;

/// The input's high watermark here.
const HIGH: usize = 8 * 1024;
/// What a filter may put out beyond it: a piece that it does not divide.
const BEYOND: usize = 64 * 1024;

/// What became of a stream that was received.
#[derive(Debug)]
pub struct Unpacked {
    /// All that came out.
    pub bytes: Vec<u8>,
    /// How it closed.
    pub reason: CloseReason,
}

impl Unpacked {
    /// Why it failed, if compression did.
    ///
    /// ```
    /// use ferrevent::compress::{CompressError, Compression, Format};
    /// use ferrevent_models::compress::unpack;
    /// let gzip = Compression::new(Format::Gzip);
    /// let refused = unpack(&gzip, b"HTTP/1.1 200 OK", 100);
    /// assert!(matches!(refused.error(), Some(CompressError::Foreign(Format::Gzip))));
    /// ```
    pub fn error(&self) -> Option<&CompressError> {
        CompressError::of(&self.reason)
    }
}

/// What goes over the wire when this is written in so many bytes at a time,
/// and finished.
///
/// ```
/// use ferrevent::compress::{Compression, Format};
/// use ferrevent_models::compress::{pack, unpack};
/// let lz4 = Compression::new(Format::Lz4);
/// assert_eq!(unpack(&lz4, &pack(&lz4, b"hello", 2), 3).bytes, b"hello");
/// ```
///
/// # Panics
/// If it closes of itself.
pub fn pack(how: &Compression, bytes: &[u8], piece: usize) -> Vec<u8> {
    let mut machine = Machine::connected();
    machine.add_filter(Tick(0), how.filter()).unwrap();
    let mut wire = Vec::new();
    for piece in bytes.chunks(piece.max(1)) {
        machine.write(piece).unwrap();
        send(&mut machine, &mut wire);
    }
    machine.finish_write();
    send(&mut machine, &mut wire);
    assert!(machine.wants_shutdown(), "the end of the frame is missing");
    wire
}

/// What is received when this comes over the wire in so many bytes at a time,
/// by an owner who takes it at once.
///
/// # Panics
/// If more lies in the input than there may, or it does not close.
///
/// ```
/// use ferrevent::compress::{Compression, Format};
/// use ferrevent_models::compress::unpack;
/// let zstd = Compression::new(Format::Zstd);
/// assert!(unpack(&zstd, b"", 1).error().is_some());
/// ```
pub fn unpack(how: &Compression, mut wire: &[u8], piece: usize) -> Unpacked {
    let mut machine = Machine::connected();
    let config = StreamConfig {
        input: Watermarks { low: 0, high: HIGH },
        ..StreamConfig::DEFAULT
    };
    machine.configure(Tick(0), config);
    machine.add_filter(Tick(0), how.filter()).unwrap();
    let mut bytes = Vec::new();
    while !wire.is_empty() && machine.wants_receive() {
        let (now, later) = wire.split_at(piece.clamp(1, wire.len()));
        machine.receive_began(Tick(0));
        machine.received(Tick(0), false, now.len(), |input| {
            input.append(now).unwrap();
        });
        wire = later;
        take(&mut machine, &mut bytes);
    }
    machine.receive_ended(Tick(0));
    take(&mut machine, &mut bytes);
    machine.finish_write();
    send(&mut machine, &mut Vec::new());
    if machine.wants_shutdown() {
        machine.shutdown_ended(Ok(()));
    }
    let reason = loop {
        match machine.next_event() {
            Some(StreamEvent::Closed(reason)) => break reason,
            Some(_) => {}
            None => panic!("it did not close"),
        }
    };
    Unpacked { bytes, reason }
}

/// The owner takes what came, until no more comes of it.
fn take(machine: &mut Machine, bytes: &mut Vec<u8>) {
    loop {
        let len = machine.input().len();
        assert!(len <= HIGH + BEYOND, "{len} bytes lie in the input");
        if len == 0 {
            return;
        }
        bytes.extend(machine.input().take_vec(len).unwrap());
        // Whoever works on a stream asks it this.
        let _ = machine.sendable(Tick(0));
    }
}

fn send(machine: &mut Machine, wire: &mut Vec<u8>) {
    while let Some(output) = machine.sendable(Tick(0)).map(copied) {
        wire.extend(&output);
        machine.sent_at_once(Tick(0), Ok(output.len()));
    }
}

fn copied(buffer: &Buffer) -> Vec<u8> {
    let mut bytes = vec![0; buffer.len()];
    buffer.copy_out(&mut bytes).unwrap();
    bytes
}

/// Takes the first bytes for a format and for sizes, and the others once for
/// what a peer sends, and once for what is to be compressed: that comes out as
/// it was. What comes in is refused, or not; it never does harm.
///
/// ```
/// ferrevent_models::compress::run(b"any bytes");
/// ```
///
/// # Panics
/// If that is not so.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let format = Format::ALL[choices.below(Format::ALL.len())];
    let (write, read) = (1 + choices.below(300), 1 + choices.below(300));
    let bounds = Bounds {
        window: 1 << (10 + choices.below(14)),
        ratio: Some(50),
        free: 1 << 20,
    };
    let how = Compression::new(format).bounds(bounds);
    let rest = choices.rest();
    let came = unpack(&how, rest, read);
    let most = 50 * rest.len() + (1 << 20) + BEYOND;
    assert!(came.bytes.len() <= most, "{} bytes", came.bytes.len());
    let told = came.reason.is_clean() || came.error().is_some();
    assert!(told, "{}", came.reason);
    // What this library makes must come back, whatever the window is.
    let how = Compression::new(format);
    let back = unpack(&how, &pack(&how, rest, write), read);
    assert!(back.bytes == rest && back.reason.is_clean(), "{back:?}");
}
