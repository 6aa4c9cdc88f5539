//! The filters of one stream, and the bounded buffers between them.

use std::any::Any;
use std::fmt;
use std::io;

use super::{Filter, LAYER_BYTES, Pass};
use crate::buffer::{Buffer, End};

/// The filters of a stream, the lowest first.
pub(crate) struct Stack {
    layers: Vec<Layer>,
    /// What came from the kernel and no filter has taken yet.
    pub(crate) wire_in: Buffer,
    /// What is for the kernel.
    pub(crate) wire_out: Buffer,
    /// Bytes of the wire, those before the first filter included.
    pub(crate) wire_received: u64,
    pub(crate) wire_sent: u64,
    /// The peer has ended its side of the wire.
    pub(crate) wire_ended: bool,
    /// Nothing can be sent any more: the filters are not asked to.
    pub(crate) mute: bool,
    /// Nothing is decoded any more.
    pub(crate) deaf: bool,
    /// The owner is to be told when all it wrote has gone.
    pub(crate) owes_writable: bool,
    /// The one filter there is had nothing to do the last time, and nothing
    /// was left with it.
    rests: bool,
}

struct Layer {
    filter: Box<dyn Filter>,
    /// What it put out for the layer above; the top one has the input.
    up: Buffer,
    /// What the layer above has for it; the top one has the output.
    down: Buffer,
    up_ended: bool,
    down_ended: bool,
    /// It is to hold nothing back.
    flush: bool,
}

/// The owner's ends of a stack.
pub(crate) struct Ends<'a> {
    pub(crate) input: &'a mut Buffer,
    /// How long the input may become.
    pub(crate) input_limit: usize,
    pub(crate) output: &'a mut Buffer,
    /// Nothing will come behind the output.
    pub(crate) output_last: bool,
}

/// What a run of a stack did.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Bytes put into the input, and taken from the output.
    pub(crate) decoded: usize,
    pub(crate) encoded: usize,
    /// Why it failed, if it did.
    pub(crate) failure: Option<Failure>,
}

impl Outcome {
    /// What another run did, after this one.
    pub(crate) fn add(&mut self, other: Outcome) {
        self.decoded += other.decoded;
        self.encoded += other.encoded;
        self.failure = other.failure;
    }
}

/// A filter failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) decoding: bool,
    pub(crate) error: io::Error,
}

impl Stack {
    pub(crate) fn new(wire_received: u64, wire_sent: u64) -> Self {
        Self {
            layers: Vec::new(),
            wire_in: Buffer::new(),
            wire_out: Buffer::new(),
            wire_received,
            wire_sent,
            wire_ended: false,
            mute: false,
            deaf: false,
            owes_writable: false,
            rests: false,
        }
    }

    /// Puts a filter on top. What the owner has not taken yet belongs to it;
    /// what the owner has written goes below it.
    pub(crate) fn push(
        &mut self,
        filter: Box<dyn Filter>,
        input: &mut Buffer,
        output: &mut Buffer,
        in_flight: bool,
    ) {
        self.rests = false;
        output.unfreeze(End::Front);
        let (up, down) = match self.layers.last_mut() {
            Some(top) => (&mut top.up, &mut top.down),
            None => (&mut self.wire_in, &mut self.wire_out),
        };
        // Nothing is frozen here but the front of what is in flight.
        let _ = up.append_buffer(input);
        let _ = down.append_buffer(output);
        if in_flight && self.layers.is_empty() {
            self.wire_out.freeze(End::Front);
        }
        self.layers.push(Layer {
            filter,
            up: Buffer::new(),
            down: Buffer::new(),
            up_ended: false,
            down_ended: false,
            flush: false,
        });
    }

    /// Whether the owner's bytes can pass every filter.
    pub(crate) fn is_open(&self) -> bool {
        self.layers.iter().all(|layer| layer.filter.is_open())
    }

    /// Whether the owner was given its last byte.
    pub(crate) fn is_ended(&self) -> bool {
        self.layers.last().is_some_and(|top| top.up_ended)
    }

    /// Whether everything, the end of every filter included, is on the wire's
    /// buffer.
    pub(crate) fn is_finished(&self) -> bool {
        self.layers.first().is_some_and(|lowest| lowest.down_ended)
    }

    /// Bytes that the filters took and the kernel did not yet.
    pub(crate) fn pending(&self) -> usize {
        let between: usize = self.layers.iter().map(|layer| layer.down.len()).sum();
        between + self.wire_out.len()
    }

    /// Whether what came from the kernel has reached its bound.
    pub(crate) fn is_full(&self) -> bool {
        self.wire_in.len() >= LAYER_BYTES
    }

    /// Whether the top filter has room to put out what it is given.
    pub(crate) fn has_room(&self) -> bool {
        let below = match self.layers.len() {
            0 | 1 => &self.wire_out,
            n => &self.layers[n - 2].down,
        };
        !self.mute && below.len() < LAYER_BYTES
    }

    /// Lets every filter put out what it holds.
    pub(crate) fn flush(&mut self) {
        self.rests = false;
        if let Some(top) = self.layers.last_mut() {
            top.flush = true;
        }
    }

    /// The end that comes is that of nothing whole.
    pub(crate) fn cut_short(&mut self) {
        for layer in &mut self.layers {
            layer.filter.cut_short();
        }
    }

    /// Forgets the bytes of a stream that is over.
    pub(crate) fn clear(&mut self) {
        self.wire_out.unfreeze(End::Front);
        for buffer in [&mut self.wire_in, &mut self.wire_out] {
            let _ = buffer.clear();
        }
        for layer in &mut self.layers {
            let _ = layer.up.clear();
            let _ = layer.down.clear();
        }
        self.mute = true;
        self.deaf = true;
    }

    /// The highest filter of this type.
    pub(crate) fn find<F: Filter>(&self) -> Option<&F> {
        self.layers
            .iter()
            .rev()
            .find_map(|layer| (&*layer.filter as &dyn Any).downcast_ref())
    }

    /// As [`find`](Self::find), to be changed.
    pub(crate) fn find_mut<F: Filter>(&mut self) -> Option<&mut F> {
        self.rests = false;
        self.layers
            .iter_mut()
            .rev()
            .find_map(|layer| (&mut *layer.filter as &mut dyn Any).downcast_mut())
    }

    /// Lets bytes pass in both directions until nothing moves any more, or a
    /// filter fails.
    pub(crate) fn run(&mut self, mut ends: Ends<'_>) -> Outcome {
        let mut outcome = Outcome::default();
        if self.rests && self.has_nothing(&ends) {
            return outcome;
        }
        let (before_in, before_out) = (ends.input.len(), ends.output.len());
        loop {
            match self.pass(&mut ends) {
                Ok(true) => {}
                Ok(false) => break,
                Err(failure) => {
                    outcome.failure = Some(failure);
                    break;
                }
            }
        }
        outcome.decoded = ends.input.len() - before_in;
        outcome.encoded = before_out - ends.output.len();
        self.rests = outcome.failure.is_none() && self.has_nothing(&ends) && self.has_room();
        outcome
    }

    /// Whether there is one filter only, and nothing to give to it.
    fn has_nothing(&self, ends: &Ends<'_>) -> bool {
        self.layers.len() == 1
            && self.wire_in.is_empty()
            && ends.output.is_empty()
            && !self.wire_ended
            && !ends.output_last
    }

    /// After a failure: what the filters still have to say to the peer.
    pub(crate) fn last_words(&mut self) {
        self.deaf = true;
        let (mut input, mut output) = (Buffer::new(), Buffer::new());
        self.run(Ends {
            input: &mut input,
            input_limit: 0,
            output: &mut output,
            output_last: false,
        });
    }

    /// One pass in each direction; tells whether anything moved.
    fn pass(&mut self, ends: &mut Ends<'_>) -> Result<bool, Failure> {
        let mut moved = false;
        if !self.deaf {
            moved |= self.decode(ends).map_err(|error| Failure {
                decoding: true,
                error,
            })?;
        }
        if !self.mute {
            moved |= self.encode(ends).map_err(|error| Failure {
                decoding: false,
                error,
            })?;
        }
        Ok(moved)
    }

    fn decode(&mut self, ends: &mut Ends<'_>) -> io::Result<bool> {
        let mut moved = false;
        let count = self.layers.len();
        for i in 0..count {
            let (below, from_here) = self.layers.split_at_mut(i);
            let layer = &mut from_here[0];
            let (source, last) = match below.last_mut() {
                Some(below) => (&mut below.up, below.up_ended),
                None => (&mut self.wire_in, self.wire_ended),
            };
            let (target, limit) = if i + 1 == count {
                (&mut *ends.input, ends.input_limit)
            } else {
                (&mut layer.up, LAYER_BYTES)
            };
            if layer.up_ended {
                // Whatever comes behind the end is no concern of the owner's.
                let _ = source.clear();
                continue;
            }
            if target.len() >= limit || (source.is_empty() && !last) {
                continue;
            }
            let step = Step::begin(source, target, last);
            let mut pass = Pass::new(source, target, limit).last(last);
            layer.filter.decode(&mut pass)?;
            let said = pass.has_ended();
            layer.up_ended = said || step.is_over(&*layer.filter, source, target, limit);
            let changed = step.changed(source, target) || layer.up_ended;
            if !changed {
                stuck(source.len(), last)?;
            }
            moved |= changed;
        }
        Ok(moved)
    }

    fn encode(&mut self, ends: &mut Ends<'_>) -> io::Result<bool> {
        let mut moved = false;
        for i in (0..self.layers.len()).rev() {
            let (to_here, above) = self.layers.split_at_mut(i + 1);
            let (below, here) = to_here.split_at_mut(i);
            let layer = &mut here[0];
            let (source, last) = match above.first() {
                Some(above) => (&mut layer.down, above.down_ended),
                None => (&mut *ends.output, ends.output_last),
            };
            let (target, mut flush_below) = match below.last_mut() {
                Some(below) => (&mut below.down, Some(&mut below.flush)),
                None => (&mut self.wire_out, None),
            };
            if layer.down_ended || target.len() >= LAYER_BYTES {
                continue;
            }
            // A part of a file is not there yet.
            let last = last && source.len_in_memory() == source.len();
            let step = Step::begin(source, target, last);
            let mut pass = Pass::new(source, target, LAYER_BYTES)
                .flushing(layer.flush)
                .last(last);
            layer.filter.encode(&mut pass)?;
            let said = pass.has_ended();
            layer.down_ended = said || step.is_over(&*layer.filter, source, target, LAYER_BYTES);
            moved |= step.changed(source, target) || layer.down_ended;
            let flushed = layer.flush && source.is_empty() && target.len() < LAYER_BYTES;
            if flushed {
                layer.flush = false;
            }
            // What a filter says of its own accord waits for nothing.
            let own = source.len() == step.source && target.len() > step.target;
            if (flushed || own)
                && let Some(flush) = &mut flush_below
            {
                **flush = true;
            }
        }
        Ok(moved)
    }
}

/// How long source and target of one call were before it.
struct Step {
    source: usize,
    target: usize,
    last: bool,
}

impl Step {
    fn begin(source: &Buffer, target: &Buffer, last: bool) -> Self {
        Self {
            source: source.len(),
            target: target.len(),
            last,
        }
    }

    fn changed(&self, source: &Buffer, target: &Buffer) -> bool {
        source.len() != self.source || target.len() != self.target
    }

    /// Whether the filter has put out its last byte: it had room for more.
    fn is_over(&self, filter: &dyn Filter, source: &Buffer, target: &Buffer, limit: usize) -> bool {
        self.last && source.is_empty() && target.len() < limit && filter.is_open()
    }
}

/// A filter had bytes and room, and did nothing: an error, if nothing can
/// help it on.
fn stuck(left: usize, last: bool) -> io::Result<()> {
    if last {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("the peer ended where the filter needs more, {left} bytes into it"),
        ));
    }
    if left >= LAYER_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the filter makes nothing of {left} bytes; it must take what it waits with"),
        ));
    }
    Ok(())
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack")
            .field("layers", &self.layers.len())
            .field("wire_in", &self.wire_in.len())
            .field("wire_out", &self.wire_out.len())
            .field("open", &self.is_open())
            .finish_non_exhaustive()
    }
}
