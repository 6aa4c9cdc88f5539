//! One connection.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use ferrevent::{CloseReason, Context, Handle, Handler, Stream, TimerId};
use soak::{Ending, Noise, ORDER_LEN, Order, Work};

use crate::tally::Tally;

/// Noise is made in pieces of this size, while less than `AHEAD` waits.
const PIECE: usize = 16 * 1024;
const AHEAD: usize = 128 * 1024;
/// A server that breaks off looks every so often whether its input is full,
const LOOK: Duration = Duration::from_millis(10);
/// and then waits for what lies unread in the kernel.
const BEFORE_CUT: Duration = Duration::from_millis(100);

pub(crate) struct Session {
    tally: Arc<Tally>,
    /// Once the order has come.
    served: Option<Box<Served>>,
}

struct Served {
    order: Order,
    expected: Noise,
    noise: Noise,
    received: u64,
    /// It rests once so much has come.
    rest_at: u64,
    ended: bool,
    /// It was complained of already.
    wrong: bool,
}

impl Session {
    pub(crate) fn new(tally: Arc<Tally>) -> Self {
        Self {
            tally,
            served: None,
        }
    }

    /// Reads the order, if it is there.
    fn begin(&mut self, stream: &mut Stream<'_>) {
        if stream.input().len() < ORDER_LEN {
            return;
        }
        let bytes = stream.input().take_vec(ORDER_LEN).unwrap_or_default();
        let order = <[u8; ORDER_LEN]>::try_from(bytes.as_slice())
            .map_err(|_| soak::NoOrder)
            .and_then(|bytes| Order::decode(&bytes));
        let order = match order {
            Ok(order) => order,
            Err(error) => {
                self.tally
                    .complain(&self.tally.wrong, format_args!("{error}"));
                stream.close();
                return;
            }
        };
        let served = self.served.insert(Box::new(Served::new(order)));
        if order.ending == Ending::ServerBreaks {
            served.cut_when_full(stream);
        }
        if order.work == Work::Both {
            served.send(stream);
        }
    }
}

impl Handler for Session {
    fn opened(&mut self, _: &mut Stream<'_>) {
        self.tally.opened.add(1);
    }

    fn readable(&mut self, stream: &mut Stream<'_>) {
        if self.served.is_none() {
            self.begin(stream);
        }
        if let Some(served) = &mut self.served {
            served.receive(stream, &self.tally);
        }
    }

    fn writable(&mut self, stream: &mut Stream<'_>) {
        if let Some(served) = &mut self.served {
            served.go_on_sending(stream);
        }
    }

    fn ended(&mut self, stream: &mut Stream<'_>) {
        match &mut self.served {
            Some(served) => served.end(stream, &self.tally),
            None => stream.finish(),
        }
    }

    fn closed(&mut self, stream: &mut Stream<'_>, reason: CloseReason) {
        let tally = &self.tally;
        tally.received.add(stream.received_bytes());
        tally.sent.add(stream.sent_bytes());
        let Some(served) = &self.served else {
            tally.left.add(1);
            return;
        };
        let count = match served.order.ending {
            Ending::Complete => &tally.complete,
            Ending::ClientBreaks => &tally.broken,
            Ending::ServerBreaks => &tally.cut,
        };
        if served.may_end_so(&reason) {
            count.add(1);
        } else {
            tally.complain(&tally.misended, format_args!("{served}: closed: {reason}"));
        }
    }
}

impl Served {
    fn new(order: Order) -> Self {
        Self {
            order,
            expected: Noise::new(order.up_seed()),
            noise: Noise::new(order.down_seed()),
            received: 0,
            rest_at: order.stride.into(),
            ended: false,
            wrong: false,
        }
    }

    fn receive(&mut self, stream: &mut Stream<'_>, tally: &Tally) {
        if self.order.ending == Ending::ServerBreaks {
            return;
        }
        match self.order.work {
            Work::Echo => {
                self.received += stream.input().len() as u64;
                stream.echo();
            }
            Work::Both | Work::AnswerLast => self.check(stream, tally),
        }
        if self.order.stride > 0 && self.received >= self.rest_at {
            self.rest_at = self.received + u64::from(self.order.stride);
            self.rest(stream);
        }
    }

    fn check(&mut self, stream: &mut Stream<'_>, tally: &Tally) {
        while !stream.input().is_empty() {
            let chunk = stream.input().chunk();
            let len = chunk.len();
            let wrong = self.expected.check(chunk);
            self.received += len as u64;
            if let Some(at) = wrong
                && !self.wrong
            {
                self.wrong = true;
                tally.complain(&tally.wrong, format_args!("{self}: byte {at} is wrong"));
            }
            if stream.input().drain(len).is_err() {
                return;
            }
        }
    }

    fn rest(&self, stream: &mut Stream<'_>) {
        let handle = stream.handle();
        let pause = Duration::from_millis(self.order.pause_ms.into());
        let timer = stream.context().timer(pause, move |_| {
            handle.resume();
        });
        if timer.is_ok() {
            stream.pause();
        }
    }

    /// Takes nothing from the input. Once that is full, what the client goes on to send stays in
    /// the kernel: closing with it unread is what resets the connection.
    fn cut_when_full(&self, stream: &mut Stream<'_>) {
        let full = stream.config().input.high as u64;
        let handle = stream.handle();
        if look_again(stream.context(), handle, full).is_err() {
            stream.close();
        }
    }

    fn go_on_sending(&mut self, stream: &mut Stream<'_>) {
        match self.order.work {
            Work::Both => self.send(stream),
            Work::AnswerLast if self.ended => self.send(stream),
            Work::Echo | Work::AnswerLast => {}
        }
    }

    /// Sends as much as may wait, and ends after the last byte.
    fn send(&mut self, stream: &mut Stream<'_>) {
        let mut piece = [0; PIECE];
        loop {
            let left = self.order.down - self.noise.at();
            if left == 0 {
                break;
            }
            if stream.output().len() >= AHEAD {
                return;
            }
            let len = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
            self.noise.fill(&mut piece[..len]);
            if stream.write(&piece[..len]).is_err() {
                // It is over, which is told by itself.
                return;
            }
        }
        if self.order.ending == Ending::Complete {
            stream.finish_write();
        }
    }

    /// The client has ended its side.
    fn end(&mut self, stream: &mut Stream<'_>, tally: &Tally) {
        self.ended = true;
        match self.order.ending {
            Ending::Complete => match self.order.work {
                Work::Echo => stream.finish_write(),
                Work::Both => {}
                Work::AnswerLast => self.send(stream),
            },
            Ending::ClientBreaks if self.order.direct => {
                tally.complain(
                    &tally.misended,
                    format_args!("{self}: a reset was told as an end"),
                );
                stream.close();
            }
            // Whoever is in between ended it.
            Ending::ClientBreaks | Ending::ServerBreaks => stream.finish(),
        }
    }

    fn may_end_so(&self, reason: &CloseReason) -> bool {
        match self.order.ending {
            Ending::Complete => {
                self.ended
                    && self.received == self.order.up
                    && matches!(reason, CloseReason::Finished)
            }
            Ending::ClientBreaks if self.order.direct => {
                matches!(reason, CloseReason::Failed { .. })
            }
            Ending::ClientBreaks => {
                matches!(reason, CloseReason::Failed { .. } | CloseReason::Finished)
            }
            Ending::ServerBreaks => matches!(reason, CloseReason::Closed),
        }
    }
}

fn look_again(context: &mut Context<'_>, handle: Handle, full: u64) -> io::Result<TimerId> {
    context.timer(LOOK, move |context| {
        let is_full = match context.transferred(&handle) {
            Some((received, _)) => received >= full,
            // It runs just now, or is no more.
            None => handle.is_closed(),
        };
        let handle = handle.clone();
        let next = if is_full {
            context.timer(BEFORE_CUT, move |_| {
                handle.close();
            })
        } else {
            look_again(context, handle, full)
        };
        // Only with four billion things registered.
        drop(next);
    })
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (slot, number) = self.order.name;
        write!(
            f,
            "connection {slot}:{number}, received {}, made {}, ended {}, {:?}",
            self.received,
            self.noise.at(),
            self.ended,
            self.order
        )
    }
}
