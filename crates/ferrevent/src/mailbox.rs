//! How other threads reach a loop: messages, and a wake-up that is sent only
//! to a loop that sleeps.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ferrevent_core::buffer::Buffer;
use ferrevent_os::{Backend, SockAddr, Token};

use crate::handle::Shared;
use crate::host::Context;
use crate::{CloseReason, StreamConfig};

/// What may be asked of a loop from outside.
pub(crate) enum Message {
    Write(Token, Buffer, Arc<Shared>),
    Command(Token, Command),
    Resolved(Token, io::Result<Vec<SockAddr>>),
    Raise(Token, Arc<AtomicBool>),
    Pipe(Token, Token),
    Run(Box<dyn FnOnce(&mut Context<'_>) + Send>),
    Stop,
}

impl Message {
    /// The stream that this is for, if it is applied to one.
    pub(crate) fn stream(&self) -> Option<Token> {
        match self {
            Message::Write(token, ..) | Message::Command(token, _) => Some(*token),
            _ => None,
        }
    }
}

/// What may be asked of a stream from outside its callbacks.
#[derive(Debug)]
pub(crate) enum Command {
    Close(CloseReason),
    Finish,
    FinishWrite,
    Pause,
    Resume,
    Configure(StreamConfig),
}

pub(crate) struct Mailbox {
    messages: Mutex<Vec<Message>>,
    /// Whether there are messages; set and cleared under their lock.
    waiting: AtomicBool,
    asleep: AtomicBool,
    open: AtomicBool,
    backend: RwLock<Arc<Backend>>,
}

impl Mailbox {
    pub(crate) fn new(backend: Arc<Backend>) -> Self {
        Self {
            messages: Mutex::default(),
            waiting: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            open: AtomicBool::new(true),
            backend: RwLock::new(backend),
        }
    }

    /// Leaves a message, and wakes the loop if it sleeps. Gives the message
    /// back when the loop is no more.
    pub(crate) fn send(&self, message: Message) -> Result<(), Message> {
        {
            let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
            // Under the lock, so that a loop that closes sees every message
            // that was accepted.
            if !self.open.load(Ordering::Acquire) {
                return Err(message);
            }
            messages.push(message);
            self.waiting.store(true, Ordering::Release);
        }
        // Whoever finds the loop asleep wakes it, and nobody else need.
        if self.asleep.swap(false, Ordering::SeqCst) {
            let backend = self.backend.read().unwrap_or_else(PoisonError::into_inner);
            // Only a broken descriptor refuses a wake-up, and then the loop's
            // own wait has failed too.
            let _ = backend.wake();
        }
        Ok(())
    }

    /// Says that the loop is about to sleep; false when there is mail.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        let empty = self
            .messages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty();
        if !empty {
            self.asleep.store(false, Ordering::SeqCst);
        }
        empty
    }

    /// Says that the loop is awake.
    pub(crate) fn wake_up(&self) {
        self.asleep.store(false, Ordering::Relaxed);
    }

    /// Takes every message, in order; `into` must be empty and lends its room.
    pub(crate) fn collect(&self, into: &mut Vec<Message>) {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut *messages, into);
        self.waiting.store(false, Ordering::Release);
    }

    /// Whether there is mail, or comes some while this is asked `tries` times.
    pub(crate) fn has_mail(&self, tries: u32) -> bool {
        (0..=tries).any(|_| {
            std::hint::spin_loop();
            self.waiting.load(Ordering::Acquire)
        })
    }

    /// Takes no more messages.
    pub(crate) fn close(&self) -> Vec<Message> {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        self.open.store(false, Ordering::Release);
        std::mem::take(&mut messages)
    }

    /// Wakes by way of another backend from now on.
    pub(crate) fn use_backend(&self, backend: Arc<Backend>) {
        *self.backend.write().unwrap_or_else(PoisonError::into_inner) = backend;
    }
}
