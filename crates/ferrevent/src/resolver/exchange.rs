//! Questions by TCP: one for each connection (RFC 7766).

use std::net::SocketAddr;
use std::sync::Arc;

use ferrevent_dns::ExchangeId;

use super::shared::{Shared, State};
use crate::host::Context;
use crate::{Address, CloseReason, Handler, Stream};

/// The length in front of a message (RFC 1035, section 4.2.2).
const LENGTH: usize = 2;

struct Exchange {
    shared: Arc<Shared>,
    id: ExchangeId,
}

impl Shared {
    pub(super) fn exchange(
        self: &Arc<Self>,
        state: &mut State,
        context: &mut Context<'_>,
        exchange: ExchangeId,
        server: SocketAddr,
        message: Vec<u8>,
    ) {
        let handler = Exchange {
            shared: Arc::clone(self),
            id: exchange,
        };
        let outcome = context
            .connect(&Address::Socket(server), handler)
            .and_then(|stream| {
                // It has room for a first message.
                let written = stream.write(message);
                written.map_err(|error| std::io::Error::other(error.to_string()))?;
                Ok(stream)
            });
        match outcome {
            Ok(stream) => {
                state.exchanges.insert(exchange, stream);
            }
            Err(error) => {
                let now = context.now_tick();
                state
                    .client
                    .exchange_failed(now, exchange, &error.to_string());
            }
        }
    }
}

impl Handler for Exchange {
    fn readable(&mut self, stream: &mut Stream<'_>) {
        let Some(message) = take_message(stream) else {
            return;
        };
        let id = self.id;
        self.shared.drive(stream.context(), |state, now| {
            state.client.exchanged(now, id, &message);
        });
        stream.close();
    }

    fn closed(&mut self, stream: &mut Stream<'_>, reason: CloseReason) {
        let id = self.id;
        self.shared.drive(stream.context(), |state, now| {
            state.exchanges.remove(&id);
            let why = reason.to_string();
            state.client.exchange_failed(now, id, &why);
        });
    }
}

/// The message that came, once it is whole.
fn take_message(stream: &mut Stream<'_>) -> Option<Vec<u8>> {
    let input = stream.input();
    let mut length = [0; LENGTH];
    if input.copy_out(&mut length).ok()? < LENGTH {
        return None;
    }
    let len = usize::from(u16::from_be_bytes(length));
    if input.len() < LENGTH + len {
        return None;
    }
    input.drain(LENGTH).ok()?;
    input.take_vec(len).ok()
}
