//! One connection, from its connect to its end.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use soak::{Ending, Noise};

use crate::link::{Link, Moved};
use crate::plan::{Kind, Leaving, Pace, Plan};
use crate::{STACK, TICK, World};

/// What must not happen.
pub(crate) enum Failure {
    /// A byte was not the expected one.
    Wrong(String),
    /// Nothing moved for too long.
    Stuck(String),
    /// It did not end as it should have.
    Ended(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Wrong(what) => write!(f, "wrong bytes: {what}"),
            Failure::Stuck(what) => write!(f, "stuck: {what}"),
            Failure::Ended(what) => write!(f, "ended wrongly: {what}"),
        }
    }
}

/// Carries a plan out.
pub(crate) fn run(plan: &Plan, world: &World) -> Result<(), Failure> {
    let link = Link::connect(plan, world)
        .map_err(|error| Failure::Ended(format!("cannot connect: {error}")))?;
    let run = Run {
        plan,
        world,
        link: &link,
        began: Instant::now(),
        moved_at: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        owed: AtomicUsize::new(0),
    };
    let outcome = match plan.kind {
        Kind::Leave(leaving) => run.leave(leaving),
        Kind::Chat | Kind::Idle => run.chat(),
        _ => run.both_ways(),
    };
    if let Err(Failure::Stuck(what)) = &outcome {
        // While it is still open.
        world.say_and_wait(&format!("stuck {what} in {plan:?}"));
    }
    if matches!(plan.kind, Kind::Break | Kind::Leave(Leaving::Reset)) {
        link.break_off()
            .map_err(|error| Failure::Ended(error.to_string()))?;
    }
    outcome
}

struct Run<'a> {
    plan: &'a Plan,
    world: &'a World,
    link: &'a Link,
    began: Instant,
    /// When something moved last, in milliseconds since it began.
    moved_at: AtomicU64,
    /// Both directions are to end.
    stop: AtomicBool,
    /// Bytes that were moved and not accounted for yet.
    owed: AtomicUsize,
}

/// So many bytes are accounted for at once.
const ACCOUNT: usize = 16 * 1024;

/// How the client's receiving ended.
struct Heard {
    received: u64,
    wrong: Option<u64>,
    end: End,
}

/// How one direction ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// As it should: all is sent, or the peer has ended.
    Done,
    /// Here it is that the client breaks off.
    Enough,
    /// The other direction told it to.
    Stopped,
    /// The peer broke off.
    Broken,
    Stuck,
    Failed(String),
}

impl Run<'_> {
    fn leave(&self, leaving: Leaving) -> Result<(), Failure> {
        let order = self.plan.order.encode();
        match leaving {
            Leaving::Silent | Leaving::Reset => return Ok(()),
            Leaving::Halfway => {
                let _ = self.link.write(&order[..order.len() / 2]);
                return Ok(());
            }
            Leaving::Polite => {}
        }
        let _ = self.link.write(&order[..order.len() / 2]);
        self.end_writing()?;
        let heard = self.hear(&mut Noise::new(0), 0);
        match heard.end {
            End::Done if heard.received == 0 => Ok(()),
            ref other => Err(self.failure(other, "no answer was to be expected", &heard, 0)),
        }
    }

    /// Messages and their answers, one after the other.
    fn chat(&self) -> Result<(), Failure> {
        let mut dice = self.plan.dice.clone();
        let (messages, longest, rest) = match self.plan.kind {
            Kind::Idle => (dice.between(1, 3), 1 << 10, (500, 2000)),
            _ => (dice.between(1, 40), 32 << 10, (0, 100)),
        };
        let order = &self.plan.order;
        let (mut made, mut expected) = (Noise::new(order.up_seed()), Noise::new(order.down_seed()));
        let mut first = order.encode().to_vec();
        // It is known beforehand how much there will be: the server checks that.
        let sizes: Vec<u64> = (0..messages).map(|_| dice.magnitude(1, longest)).collect();
        let mut order = *order;
        order.up = sizes.iter().sum();
        order.down = order.up;
        first.copy_from_slice(&order.encode());
        let mut sent = 0;
        self.expect(self.push(&first), End::Done, sent)?;
        for size in sizes {
            thread::sleep(Duration::from_millis(dice.between(rest.0, rest.1)));
            let mut message = vec![0; size as usize];
            made.fill(&mut message);
            self.expect(self.push(&message), End::Done, sent)?;
            self.sent(message.len());
            sent += size;
            let heard = self.hear(&mut expected, sent);
            self.judge(&heard, &End::Enough, sent)?;
        }
        self.end_writing()?;
        let heard = self.hear(&mut expected, u64::MAX);
        self.judge(&heard, &End::Done, sent)?;
        if heard.received == sent {
            Ok(())
        } else {
            Err(self.failure(&heard.end, "bytes are missing or too many", &heard, sent))
        }
    }

    /// Writes and reads at the same time.
    fn both_ways(&self) -> Result<(), Failure> {
        let order = &self.plan.order;
        let ((sent, written), heard) = thread::scope(|scope| {
            let writer = thread::Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, || self.write());
            let until = match order.ending {
                Ending::ClientBreaks => self.plan.break_at,
                _ => u64::MAX,
            };
            let mut heard = self.hear(&mut Noise::new(order.down_seed()), until);
            if heard.end == End::Enough {
                self.wait_for_more(&mut heard);
            }
            let whole = heard.end == End::Done && order.ending == Ending::Complete;
            if !whole {
                self.stop.store(true, Ordering::Release);
            }
            let written = writer
                .map_err(|error| error.to_string())
                .and_then(|writer| writer.join().map_err(|_| "the writer panicked".into()))
                .unwrap_or_else(|error| (0, End::Failed(error)));
            (written, heard)
        });
        match order.ending {
            Ending::Complete => {
                self.judge(&heard, &End::Done, sent)?;
                self.expect(written, End::Done, sent)?;
                if heard.received != order.down || sent != order.up {
                    return Err(self.failure(&End::Done, "bytes are missing", &heard, sent));
                }
                Ok(())
            }
            Ending::ClientBreaks => {
                self.judge(&heard, &End::Enough, sent)?;
                self.expect(written, End::Stopped, sent)
            }
            Ending::ServerBreaks => {
                let end = match heard.end {
                    End::Broken => End::Broken,
                    _ => End::Done,
                };
                self.judge(&heard, &end, sent)?;
                if heard.received > order.down {
                    return Err(self.failure(&end, "more came than was sent", &heard, sent));
                }
                match written {
                    End::Broken | End::Stopped => Ok(()),
                    other => Err(self.failure(&other, "writing", &heard, sent)),
                }
            }
        }
    }

    /// Sends the order and everything after it; how much, and how that ended.
    fn write(&self) -> (u64, End) {
        let order = &self.plan.order;
        let end = self.push(&order.encode());
        if end != End::Done {
            return (0, end);
        }
        let mut noise = Noise::new(order.up_seed());
        let mut piece = vec![0; self.plan.write.piece];
        let mut walk = Walk::new(self.plan.write);
        while noise.at() < order.up {
            let sent = noise.at();
            if self.is_stopped() {
                return (sent, End::Stopped);
            }
            if sent >= self.plan.ceiling {
                thread::sleep(TICK);
                continue;
            }
            let len = piece.len().min((order.up - sent) as usize);
            noise.fill(&mut piece[..len]);
            let end = self.push(&piece[..len]);
            if end != End::Done {
                return (sent, end);
            }
            self.sent(len);
            walk.step(noise.at(), self);
        }
        let end = match self.link.end() {
            Ok(()) => End::Done,
            Err(error) => End::Failed(error.to_string()),
        };
        (noise.at(), end)
    }

    /// Sends all of this.
    fn push(&self, mut bytes: &[u8]) -> End {
        while !bytes.is_empty() {
            match self.link.write(bytes) {
                Ok(Moved::Bytes(len)) => {
                    bytes = &bytes[len..];
                    self.moved();
                }
                Ok(Moved::Not) if self.is_stopped() => return End::Stopped,
                Ok(Moved::Not) if self.is_stuck() => return End::Stuck,
                Ok(Moved::Not) => {}
                Ok(Moved::Broken | Moved::End) => return End::Broken,
                Err(error) => return End::Failed(error.to_string()),
            }
        }
        End::Done
    }

    /// Receives and checks, until the peer ends or so much has come in all.
    fn hear(&self, expected: &mut Noise, until: u64) -> Heard {
        let mut piece = vec![0; self.plan.read.piece];
        let mut walk = Walk::new(self.plan.read);
        let mut wrong = None;
        let end = loop {
            let left = until - expected.at();
            if left == 0 && until > 0 {
                break End::Enough;
            }
            // One byte more than none, where none is expected.
            let len = piece.len().min(left.max(1) as usize);
            match self.link.read(&mut piece[..len]) {
                Ok(Moved::Bytes(len)) => {
                    wrong = wrong.or(expected.check(&piece[..len]));
                    self.moved();
                    self.world
                        .totals
                        .down
                        .fetch_add(len as u64, Ordering::Relaxed);
                    self.account(len);
                    walk.step(expected.at(), self);
                    if until == 0 {
                        break End::Done;
                    }
                }
                Ok(Moved::End) => break End::Done,
                Ok(Moved::Broken) => break End::Broken,
                Ok(Moved::Not) if self.is_stuck() => break End::Stuck,
                Ok(Moved::Not) => {}
                Err(error) => break End::Failed(error.to_string()),
            }
        };
        Heard {
            received: expected.at(),
            wrong,
            end,
        }
    }

    /// A unix socket is broken off by leaving bytes unread.
    fn wait_for_more(&self, heard: &mut Heard) {
        if !self.plan.route.is_unix() {
            return;
        }
        loop {
            match self.link.peek() {
                Ok(Moved::Bytes(_)) => return,
                Ok(Moved::Not) if self.is_stuck() => heard.end = End::Stuck,
                Ok(Moved::Not) => continue,
                Ok(Moved::End) => heard.end = End::Done,
                Ok(Moved::Broken) => heard.end = End::Broken,
                Err(error) => heard.end = End::Failed(error.to_string()),
            }
            return;
        }
    }

    fn end_writing(&self) -> Result<(), Failure> {
        self.link
            .end()
            .map_err(|error| Failure::Ended(format!("cannot end the sending side: {error}")))
    }

    fn sent(&self, len: usize) {
        self.world
            .totals
            .up
            .fetch_add(len as u64, Ordering::Relaxed);
        if self.plan.order.ending == Ending::ServerBreaks {
            // The server waits for it.
            self.world.throttle.note(len);
        } else {
            self.account(len);
        }
    }

    /// Waits for its turn, now and then: not for every byte of many.
    fn account(&self, len: usize) {
        let owed = self.owed.fetch_add(len, Ordering::Relaxed) + len;
        if owed >= ACCOUNT {
            self.owed.store(0, Ordering::Relaxed);
            self.world.throttle.take(owed);
        }
    }

    fn moved(&self) {
        let now = self.began.elapsed().as_millis() as u64;
        self.moved_at.fetch_max(now, Ordering::Relaxed);
    }

    fn is_stuck(&self) -> bool {
        let moved_at = Duration::from_millis(self.moved_at.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(moved_at) > self.world.options.patience
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// What was received must be right, and end so.
    fn judge(&self, heard: &Heard, end: &End, sent: u64) -> Result<(), Failure> {
        if let Some(at) = heard.wrong {
            return Err(Failure::Wrong(format!("byte {at} of those received")));
        }
        if heard.end == *end {
            Ok(())
        } else {
            Err(self.failure(&heard.end, "receiving", heard, sent))
        }
    }

    /// What was sent must end so.
    fn expect(&self, end: End, wanted: End, sent: u64) -> Result<(), Failure> {
        if end == wanted {
            return Ok(());
        }
        let text = format!("sending, after {sent} bytes: {end:?}");
        Err(match end {
            End::Stuck => Failure::Stuck(text),
            _ => Failure::Ended(text),
        })
    }

    fn failure(&self, end: &End, what: &str, heard: &Heard, sent: u64) -> Failure {
        let text = format!(
            "{what}: {end:?} after {:.1} s, sent {sent}, received {}",
            self.began.elapsed().as_secs_f64(),
            heard.received
        );
        match end {
            End::Stuck => Failure::Stuck(text),
            _ => Failure::Ended(text),
        }
    }
}

/// Where the next pause of a pace is.
struct Walk {
    pace: Pace,
    next: u64,
}

impl Walk {
    fn new(pace: Pace) -> Self {
        Self {
            pace,
            next: pace.stride,
        }
    }

    /// Pauses if it is time to.
    fn step(&mut self, at: u64, run: &Run<'_>) {
        if at >= self.next {
            self.next = at.saturating_add(self.pace.stride);
            thread::sleep(self.pace.pause);
            run.moved();
        }
    }
}
