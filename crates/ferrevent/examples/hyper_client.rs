//! Fetches a page by HTTP/1.1, or by HTTP/2 without being told: `hyper_client
//! [--http2] HOST:PORT PATH`.

use std::error::Error;

use bytes::Bytes;
use ferrevent::asynch::{AsyncStream, Runtime};
use ferrevent::{Address, EventLoop};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{http1, http2};
use hyper::header::HOST;
use hyper::{Request, Version};

/// Sends one request over a stream, and gives back status and body.
pub(crate) async fn fetch(
    runtime: &Runtime,
    stream: AsyncStream,
    version: Version,
    uri: &str,
) -> Result<(u16, Bytes), Box<dyn Error + Send + Sync>> {
    let request = Request::builder().uri(uri).version(version);
    let response = if version == Version::HTTP_2 {
        let builder = http2::Builder::new(runtime.clone());
        let (mut sender, connection) = builder.handshake(stream).await?;
        runtime.spawn(connection).detach();
        let request = request.body(Empty::<Bytes>::new())?;
        sender.send_request(request).await?
    } else {
        let (mut sender, connection) = http1::handshake(stream).await?;
        runtime.spawn(connection).detach();
        let uri: hyper::Uri = uri.parse()?;
        let host = uri.authority().map_or("", |it| it.as_str()).to_owned();
        let path = uri.path_and_query().map_or("/", |it| it.as_str());
        let request = request.uri(path).header(HOST, host);
        sender
            .send_request(request.body(Empty::<Bytes>::new())?)
            .await?
    };
    let status = response.status().as_u16();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}

#[allow(dead_code, reason = "the tests have their own")]
fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut version = Version::HTTP_11;
    if arguments.first().is_some_and(|first| first == "--http2") {
        version = Version::HTTP_2;
        arguments.remove(0);
    }
    let [host, path] = &arguments[..] else {
        return Err("usage: hyper_client [--http2] HOST:PORT PATH".into());
    };
    let address: Address = host.parse()?;
    let uri = format!("http://{host}{path}");
    let mut events = EventLoop::new()?;
    let runtime = events.runtime();
    let (status, body) = events.block_on(async move {
        let stream = runtime.connect(&address).await?;
        fetch(&runtime, stream, version, &uri).await
    })??;
    println!("{status}\n{}", String::from_utf8_lossy(&body));
    Ok(())
}
