//! Echoes WebSocket messages, with tungstenite: `websocket_echo ADDR`.

use std::error::Error;
use std::io;

use async_tungstenite::tungstenite::Error as WebSocketError;
use ferrevent::EventLoop;
use ferrevent::asynch::{AsyncStream, Listener, Runtime};
use futures_util::StreamExt;

/// Serves every connection by a task of its own.
pub(crate) async fn serve(runtime: Runtime, listener: Listener) -> io::Result<()> {
    loop {
        let stream = listener.accept().await?;
        let connection = async move {
            if let Err(error) = echo(stream).await {
                eprintln!("a connection ended: {error}");
            }
        };
        runtime.spawn(connection).detach();
    }
}

/// Pings are answered, and a close is, by tungstenite itself.
async fn echo(stream: AsyncStream) -> Result<(), WebSocketError> {
    let mut messages = async_tungstenite::accept_async(stream).await?;
    while let Some(message) = messages.next().await {
        match message {
            Ok(message) if message.is_text() || message.is_binary() => {
                messages.send(message).await?;
            }
            Ok(_) => {}
            Err(WebSocketError::ConnectionClosed) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[allow(dead_code, reason = "the tests have their own")]
fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args()
        .nth(1)
        .ok_or("usage: websocket_echo ADDR")?;
    let address = address.parse()?;
    let mut events = EventLoop::new()?;
    let runtime = events.runtime();
    events.block_on(async move {
        let listener = runtime.listen(&address).await?;
        serve(runtime, listener).await
    })??;
    Ok(())
}
