//! How other threads reach a loop: messages, and a wake-up that is sent only
//! to a loop that sleeps.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};

use ferrevent_core::buffer::Buffer;
use ferrevent_core::filter::Filter;
use ferrevent_os::{Backend, SockAddr, Token};

use crate::engine::Limits;
use crate::handle::Shared;
use crate::host::Context;
use crate::post::Post;
use crate::rate::Change;
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
    #[cfg(feature = "async")]
    Poll(Arc<dyn crate::asynch::Runnable>),
    /// Rate limits have changed: others may have their turn.
    Limits,
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
pub(crate) enum Command {
    Close(CloseReason),
    Finish,
    FinishWrite,
    Pause,
    Resume,
    Configure(Box<StreamConfig>),
    Flush,
    Nudge,
    AddFilter(Box<dyn Filter>),
    Limit(Box<(Change, Arc<Limits>)>),
    NotsentLowat(u32),
}

pub(crate) struct Mailbox {
    post: Post<Message>,
    backend: RwLock<Arc<Backend>>,
    limits: Arc<Limits>,
}

impl Mailbox {
    pub(crate) fn new(backend: Arc<Backend>, limits: Arc<Limits>) -> Self {
        Self {
            post: Post::new(),
            backend: RwLock::new(backend),
            limits,
        }
    }

    /// The rate limits of the streams there.
    pub(crate) fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// Leaves a message, and wakes the loop if it sleeps. Gives the message
    /// back when the loop is no more.
    pub(crate) fn send(&self, message: Message) -> Result<(), Message> {
        if self.post.send(message)? {
            let backend = self.backend.read().unwrap_or_else(PoisonError::into_inner);
            // Only a broken descriptor refuses a wake-up, and then the loop's
            // own wait has failed too.
            let _ = backend.wake();
        }
        Ok(())
    }

    /// Wakes by way of another backend from now on.
    pub(crate) fn use_backend(&self, backend: Arc<Backend>) {
        *self.backend.write().unwrap_or_else(PoisonError::into_inner) = backend;
    }
}

impl std::ops::Deref for Mailbox {
    type Target = Post<Message>;

    fn deref(&self) -> &Self::Target {
        &self.post
    }
}
