//! Filters for tests, one for each thing that a filter may do.

use std::io;

use ferrevent_core::filter::{Filter, Pass};

use crate::Choices;

/// What a random stack is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Layer {
    /// Changes every byte, one for one.
    Xor(u8),
    /// Says every byte twice.
    Stutter,
    /// Works in units, and marks its own end.
    Frames,
    /// Holds bytes back until they are many, or it is told to flush.
    Hold,
    /// Lets nothing pass before both sides have said hello.
    Hello,
}

impl Layer {
    /// A stack of up to three.
    #[must_use]
    pub fn stack(choices: &mut Choices<'_>) -> Vec<Self> {
        let depth = choices.below(4);
        let layer = |_| match choices.below(5) {
            0 => Self::Xor(choices.below(256) as u8),
            1 => Self::Stutter,
            2 => Self::Frames,
            3 => Self::Hold,
            _ => Self::Hello,
        };
        (0..depth).map(layer).collect()
    }

    /// Such a filter, which has seen nothing yet.
    #[must_use]
    pub fn filter(self) -> Box<dyn Filter> {
        match self {
            Layer::Xor(key) => Box::new(Xor(key)),
            Layer::Stutter => Box::new(Stutter),
            Layer::Frames => Box::new(Frames),
            Layer::Hold => Box::<Hold>::default(),
            Layer::Hello => Box::<Hello>::default(),
        }
    }
}

struct Xor(u8);

impl Filter for Xor {
    fn decode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        pass.map(|bytes| bytes.iter_mut().for_each(|byte| *byte ^= self.0));
        Ok(())
    }

    fn encode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        self.decode(pass)
    }
}

struct Stutter;

impl Filter for Stutter {
    fn decode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        while pass.room() > 0 && pass.available() >= 2 {
            let mut pair = [0; 2];
            pass.source().read(&mut pair)?;
            if pair[0] != pair[1] {
                return Err(io::ErrorKind::InvalidData.into());
            }
            pass.target().append(&pair[..1])?;
        }
        Ok(())
    }

    fn encode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        while pass.room() > 0 && pass.available() > 0 {
            let byte = pass.chunk()[0];
            pass.source().drain(1)?;
            pass.target().append(&[byte, byte])?;
        }
        Ok(())
    }
}

/// Frames of up to 700 bytes, each behind its length; an empty one is the end.
struct Frames;

impl Filter for Frames {
    fn decode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        while pass.room() > 0 {
            let mut head = [0; 2];
            if pass.source().copy_out(&mut head)? < 2 {
                break;
            }
            let len = usize::from(u16::from_be_bytes(head));
            if len == 0 {
                pass.end();
                break;
            }
            if pass.available() < 2 + len {
                break;
            }
            let (source, target) = pass.both();
            source.drain(2)?;
            source.move_to(target, len)?;
        }
        Ok(())
    }

    fn encode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        while pass.room() > 0 && pass.available() > 0 {
            let len = pass.available().min(700);
            let (source, target) = pass.both();
            target.append(&(len as u16).to_be_bytes())?;
            source.move_to(target, len)?;
        }
        if pass.is_last() && pass.available() == 0 && pass.room() > 0 {
            pass.target().append(&[0, 0])?;
            pass.end();
        }
        Ok(())
    }
}

#[derive(Default)]
struct Hold {
    held: Vec<u8>,
}

impl Filter for Hold {
    fn decode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        pass.map(|_| ());
        Ok(())
    }

    fn encode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        while pass.room() > 0 {
            let n = pass.available().min(1000 - self.held.len());
            self.held.extend(pass.source().take_vec(n)?);
            if self.held.is_empty() || (self.held.len() < 1000 && !pass.flush()) {
                break;
            }
            let n = self.held.len().min(pass.room());
            pass.target().append(&self.held[..n])?;
            self.held.drain(..n);
        }
        Ok(())
    }
}

#[derive(Default)]
struct Hello {
    said: bool,
    heard: bool,
}

const HELLO: &[u8] = b"good morning";

impl Filter for Hello {
    fn decode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        if !self.heard && pass.available() >= HELLO.len() {
            if pass.source().take_vec(HELLO.len())? != HELLO {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "no greeting"));
            }
            self.heard = true;
        }
        if self.heard {
            pass.map(|_| ());
        }
        Ok(())
    }

    fn encode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        if !std::mem::replace(&mut self.said, true) {
            pass.target().append(HELLO)?;
        }
        if self.heard {
            pass.map(|_| ());
        }
        Ok(())
    }

    fn is_open(&self) -> bool {
        self.heard
    }
}
