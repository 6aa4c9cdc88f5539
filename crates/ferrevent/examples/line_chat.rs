//! A chat server: `line_chat ADDR`. The first line of a connection is its
//! name; every further line goes to everybody else.

use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error;
use std::rc::Rc;

use ferrevent::buffer::{BufferError, Eol};
use ferrevent::{Address, CloseReason, EventLoop, Handle, Handler, Stream};

const LONGEST_LINE: usize = 1000;

/// Everybody in the room, by number.
#[derive(Default)]
struct Room {
    members: HashMap<u64, Handle>,
    next: u64,
}

impl Room {
    fn say(&self, from: u64, text: &str) {
        for (id, member) in &self.members {
            if *id != from && member.write(text.as_bytes()).is_err() {
                // Reads too slowly, or is gone: nobody else waits for that.
                member.close();
            }
        }
    }
}

struct Member {
    room: Rc<RefCell<Room>>,
    id: u64,
    name: Option<String>,
}

impl Member {
    fn line(&mut self, stream: &mut Stream<'_>, line: &str) {
        if let Some(name) = &self.name {
            self.room
                .borrow()
                .say(self.id, &format!("{name}: {line}\n"));
            return;
        }
        let mut room = self.room.borrow_mut();
        room.say(self.id, &format!("* {line} comes in\n"));
        room.members.insert(self.id, stream.handle());
        self.name = Some(line.to_owned());
    }
}

impl Handler for Member {
    fn opened(&mut self, stream: &mut Stream<'_>) {
        let _ = stream.write(b"your name?\n");
    }

    fn readable(&mut self, stream: &mut Stream<'_>) {
        loop {
            match stream.input().read_line(Eol::Crlf, LONGEST_LINE) {
                Ok(Some(line)) => self.line(stream, &String::from_utf8_lossy(&line)),
                Ok(None) => return,
                Err(BufferError::TooLong { .. }) => {
                    let _ = stream.write(b"* that line is too long, good bye\n");
                    return stream.finish();
                }
                Err(_) => return stream.close(),
            }
        }
    }

    fn closed(&mut self, _: &mut Stream<'_>, _: CloseReason) {
        let mut room = self.room.borrow_mut();
        room.members.remove(&self.id);
        if let Some(name) = &self.name {
            room.say(self.id, &format!("* {name} leaves\n"));
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address: Address = std::env::args()
        .nth(1)
        .ok_or("usage: line_chat ADDR")?
        .parse()?;
    let room: Rc<RefCell<Room>> = Rc::default();
    let mut events = EventLoop::new()?;
    events.listen(address, move || {
        let mut guests = room.borrow_mut();
        guests.next += 1;
        Member {
            room: Rc::clone(&room),
            id: guests.next,
            name: None,
        }
    })?;
    Ok(events.run()?)
}
