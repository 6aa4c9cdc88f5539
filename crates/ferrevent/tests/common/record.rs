//! Handlers that record.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferrevent::{CloseReason, Handler, Stream, Timeout};

/// What happened to one stream, in order.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) log: Vec<&'static str>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) reason: Option<CloseReason>,
}

/// A record that a handler and its test share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared(Arc<Mutex<Record>>);

impl Shared {
    pub(crate) fn see(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.see().bytes.clone()
    }

    pub(crate) fn log(&self) -> Vec<&'static str> {
        self.see().log.clone()
    }

    /// Why it closed, in words.
    pub(crate) fn reason(&self) -> String {
        let reason = &self.see().reason;
        reason
            .as_ref()
            .map_or_else(String::new, ToString::to_string)
    }

    /// Whether it closed after everything had been sent and received.
    pub(crate) fn finished(&self) -> bool {
        matches!(self.see().reason, Some(CloseReason::Finished))
    }

    /// Whether it closed because something failed.
    pub(crate) fn failed(&self) -> bool {
        matches!(self.see().reason, Some(CloseReason::Failed { .. }))
    }
}

type Action = Box<dyn FnMut(&mut Stream<'_>, &'static str) + Send>;

/// A handler that records everything, reads everything, and does something
/// more at each callback.
pub(crate) struct Recorder {
    pub(crate) record: Shared,
    pub(crate) action: Action,
}

impl Recorder {
    pub(crate) fn new() -> (Self, Shared) {
        Self::with(|_, _| ())
    }

    pub(crate) fn with(
        action: impl FnMut(&mut Stream<'_>, &'static str) + Send + 'static,
    ) -> (Self, Shared) {
        let record = Shared::default();
        let recorder = Self {
            record: record.clone(),
            action: Box::new(action),
        };
        (recorder, record)
    }

    fn tell(&mut self, stream: &mut Stream<'_>, what: &'static str) {
        {
            let mut record = self.record.see();
            assert!(record.reason.is_none(), "{what} after closed");
            if record.log.last() != Some(&what) || what == "opened" || what == "ended" {
                record.log.push(what);
            }
        }
        (self.action)(stream, what);
    }
}

impl Handler for Recorder {
    fn opened(&mut self, stream: &mut Stream<'_>) {
        self.tell(stream, "opened");
    }

    fn readable(&mut self, stream: &mut Stream<'_>) {
        let len = stream.input().len();
        let bytes = stream.input().take_vec(len).unwrap();
        self.record.see().bytes.extend(bytes);
        self.tell(stream, "readable");
    }

    fn writable(&mut self, stream: &mut Stream<'_>) {
        (self.action)(stream, "writable");
    }

    fn ended(&mut self, stream: &mut Stream<'_>) {
        self.tell(stream, "ended");
        stream.finish();
    }

    fn timed_out(&mut self, stream: &mut Stream<'_>, which: Timeout) {
        self.tell(stream, "timed out");
        stream.close_because(CloseReason::TimedOut(which));
    }

    fn closed(&mut self, stream: &mut Stream<'_>, reason: CloseReason) {
        self.tell(stream, "closed");
        self.record.see().reason = Some(reason);
    }
}

/// Sends much and ends, and keeps at each notice how many bytes the wire has
/// taken and how many wait.
#[derive(Clone, Default)]
pub(crate) struct Progress(pub(crate) Arc<Mutex<Vec<(u64, usize)>>>);

impl Progress {
    pub(crate) const LEN: usize = 900_000;
}

impl Handler for Progress {
    fn opened(&mut self, stream: &mut Stream<'_>) {
        stream.tell_sent(true);
        stream.write(&vec![1; Self::LEN]).unwrap();
        stream.finish_write();
    }

    fn sent(&mut self, stream: &mut Stream<'_>) {
        let progress = (stream.wire_sent_bytes(), stream.waiting());
        self.0.lock().unwrap().push(progress);
    }

    fn readable(&mut self, _: &mut Stream<'_>) {}
}

/// Writes all of it, at most so much at once, and ends.
pub(crate) fn writer(mut left: Vec<u8>, piece: usize) -> (Recorder, Shared) {
    Recorder::with(move |stream, what| {
        if what == "opened" || what == "writable" {
            let n = left.len().min(piece);
            if n > 0 {
                let piece: Vec<u8> = left.drain(..n).collect();
                stream.write(&piece).unwrap();
            } else {
                stream.finish_write();
            }
        }
    })
}

/// One handler, for the one connection that a test makes.
pub(crate) fn once<H>(handler: H) -> impl FnMut() -> H {
    let mut handler = Some(handler);
    move || handler.take().unwrap()
}

pub(crate) fn over(record: &Shared) -> bool {
    record.see().reason.is_some()
}
