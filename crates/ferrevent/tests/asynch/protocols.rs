//! Protocols of others, over these streams: HTTP by hyper, WebSocket by
//! tungstenite, each with the project's own examples.

use std::io;

use async_tungstenite::tungstenite::protocol::frame::CloseFrame;
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use async_tungstenite::tungstenite::{Error as WebSocketError, Message};
use ferrevent::Address;
use ferrevent::asynch::Runtime;
use futures_util::StreamExt;
use hyper::Version;

use crate::everywhere::everywhere;

#[allow(dead_code, reason = "it has a main of its own")]
#[path = "../../examples/hyper_client.rs"]
pub(crate) mod hyper_client;
#[allow(dead_code, reason = "it has a main of its own")]
#[path = "../../examples/hyper_server.rs"]
pub(crate) mod hyper_server;
#[allow(dead_code, reason = "it has a main of its own")]
#[path = "../../examples/websocket_echo.rs"]
mod websocket_echo;

/// Starts the HTTP server, and says where.
pub(crate) async fn http_server(runtime: &Runtime) -> io::Result<Address> {
    let listener = runtime.listen(&"127.0.0.1:0".parse().unwrap()).await?;
    let address = listener.local_addr().unwrap().into();
    let serve = hyper_server::serve(runtime.clone(), listener);
    runtime.spawn(serve).detach();
    Ok(address)
}

#[test]
fn hyper_speaks_to_itself() {
    everywhere(|runtime| async move {
        let address = http_server(&runtime).await?;
        for version in [Version::HTTP_11, Version::HTTP_2] {
            for name in ["you", "all"] {
                let stream = runtime.connect(&address).await?;
                let uri = format!("http://{address}/{name}");
                let fetched = hyper_client::fetch(&runtime, stream, version, &uri);
                let (status, body) = fetched.await.map_err(io::Error::other)?;
                assert_eq!(status, 200);
                assert_eq!(&body[..], format!("hello {name}\n").as_bytes());
            }
        }
        Ok(())
    });
}

#[test]
fn messages_come_back() {
    everywhere(|runtime| async move {
        let listener = runtime.listen(&"127.0.0.1:0".parse().unwrap()).await?;
        let address = listener.local_addr().unwrap().into();
        let serve = websocket_echo::serve(runtime.clone(), listener);
        runtime.spawn(serve).detach();
        let talked = talk(&runtime, &address).await;
        talked.map_err(io::Error::other)
    });
}

/// The cases that one would look at first: sizes at the borders of the
/// length's encodings, text and bytes, pings, and a close.
async fn talk(runtime: &Runtime, address: &Address) -> Result<(), WebSocketError> {
    let stream = runtime.connect(address).await?;
    let url = format!("ws://{address}/");
    let (mut messages, _) = async_tungstenite::client_async(url, stream).await?;
    for len in [0, 1, 125, 126, 127, 128, 65_535, 65_536, 200_000] {
        for message in [
            Message::text("x".repeat(len)),
            Message::binary(vec![0xfe; len]),
        ] {
            messages.send(message.clone()).await?;
            assert_eq!(messages.next().await.unwrap()?, message);
        }
    }
    let text = Message::text("Hellö-µ@ßöäüàá");
    messages.send(Message::Ping("are you there".into())).await?;
    messages.send(text.clone()).await?;
    let pong = messages.next().await.unwrap()?;
    assert_eq!(pong, Message::Pong("are you there".into()));
    assert_eq!(messages.next().await.unwrap()?, text);
    let close = CloseFrame {
        code: CloseCode::Normal,
        reason: "that was all".into(),
    };
    messages.close(Some(close.clone())).await?;
    let answer = messages.next().await.unwrap()?;
    assert_eq!(answer, Message::Close(Some(close)));
    assert!(messages.next().await.is_none());
    Ok(())
}
