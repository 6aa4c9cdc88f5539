//! Streams with compression, and bytes that are worth it.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(unused_imports, reason = "as above")]

use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};

use ferrevent::compress::{Compression, Format};
use ferrevent::{Address, CloseReason, Filter, Handle, Handler, ListenOptions, StreamConfig};

pub(crate) use crate::common::record::{once, over, writer};
use crate::common::{Recorder, Rig, Shared, Works, random_bytes};

pub(crate) fn any() -> Address {
    "127.0.0.1:0".parse().unwrap()
}

pub(crate) fn tcp(address: &Address) -> TcpStream {
    match address {
        Address::Socket(address) => TcpStream::connect(address).unwrap(),
        other => panic!("{other} is no TCP address"),
    }
}

/// A half that does not compress, and one that does, in pieces that change.
pub(crate) fn mixed(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 5000);
    let mut piece = seed;
    while bytes.len() < len {
        piece = piece
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let size = 1 + (piece >> 33) as usize % 5000;
        if piece >> 62 & 1 == 0 {
            bytes.extend(random_bytes(size, piece));
        } else {
            bytes.extend(b"all work and no play ".iter().cycle().take(size));
        }
    }
    bytes.truncate(len);
    bytes
}

/// Listens with filters on every connection.
pub(crate) fn listen_with<H: Handler + Send + 'static>(
    events: &mut impl Works,
    config: StreamConfig,
    filters: impl FnMut() -> Vec<Box<dyn Filter>> + Send + 'static,
    mut factory: impl FnMut() -> H + Send + 'static,
) -> Address {
    let mut context = events.context();
    let options = ListenOptions::default();
    let listener = context
        .listen_filtered(&any(), &options, Some(config), filters, move || {
            Box::new(factory())
        })
        .unwrap();
    Address::Socket(context.listener_addr(listener).unwrap())
}

/// Listens with this compression.
pub(crate) fn listen<H: Handler + Send + 'static>(
    events: &mut impl Works,
    how: Compression,
    factory: impl FnMut() -> H + Send + 'static,
) -> Address {
    listen_with(
        events,
        StreamConfig::DEFAULT,
        move || vec![how.filter()],
        factory,
    )
}

pub(crate) fn connect(
    events: &mut impl Works,
    to: &Address,
    how: Compression,
    handler: impl Handler + Send + 'static,
) -> Handle {
    events
        .context()
        .connect_filtered(to, None, StreamConfig::DEFAULT, vec![how.filter()], handler)
        .unwrap()
}

/// The formats, one after the other, for tests that take their time.
#[derive(Default)]
pub(crate) struct Rotation(AtomicUsize);

impl Rotation {
    pub(crate) fn next(&self) -> Format {
        Format::ALL[self.0.fetch_add(1, Ordering::Relaxed) % Format::ALL.len()]
    }
}

pub(crate) fn finished(record: &Shared) -> bool {
    matches!(record.see().reason, Some(CloseReason::Finished))
}

/// What the filter of this compression makes of these bytes, as a file.
pub(crate) fn packed(events: &mut Rig, how: Compression, bytes: &[u8]) -> Vec<u8> {
    let (sender, _) = writer(bytes.to_vec(), 100_000);
    let sender = std::sync::Mutex::new(Some(sender));
    let to = listen(events, how, move || sender.lock().unwrap().take().unwrap());
    let (receiver, record) = Recorder::with(|stream, what| {
        if what == "ended" {
            stream.finish();
        }
    });
    events.connect(to, receiver).unwrap();
    crate::common::until(events, "the file", || over(&record));
    record.bytes()
}
