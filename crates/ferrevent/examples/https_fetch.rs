//! Fetches a page by HTTPS, by HTTP/2 if the server speaks it: `https_fetch
//! HOST[:PORT] PATH [CA]`. With a CA, a PEM file, no other is trusted.

use std::error::Error;

use bytes::Bytes;
use ferrevent::asynch::Runtime;
use ferrevent::tls::{Client, ClientBuilder, Roots};
use ferrevent::{Address, EventLoop};
use hyper::Version;

#[allow(dead_code, reason = "it has a main of its own")]
#[path = "hyper_client.rs"]
mod hyper_client;

/// Fetches from a server of this name, which may be anywhere.
pub(crate) async fn fetch(
    runtime: &Runtime,
    client: ClientBuilder,
    address: &Address,
    host: &str,
    path: &str,
) -> Result<(Version, u16, Bytes), Box<dyn Error + Send + Sync>> {
    let client = client.alpn(["h2", "http/1.1"]).build()?;
    let stream = runtime.connect_tls_as(address, &client, host).await?;
    let protocol = stream
        .with(|stream| stream.tls().and_then(|tls| tls.alpn().map(<[u8]>::to_vec)))
        .await?;
    let version = match protocol.as_deref() {
        Some(b"h2") => Version::HTTP_2,
        _ => Version::HTTP_11,
    };
    let uri = format!("https://{host}{path}");
    let (status, body) = hyper_client::fetch(runtime, stream, version, &uri).await?;
    Ok((version, status, body))
}

#[allow(dead_code, reason = "the tests have their own")]
fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (host, path, authority) = match &arguments[..] {
        [host, path] => (host.clone(), path.clone(), None),
        [host, path, authority] => (host.clone(), path.clone(), Some(authority)),
        _ => return Err("usage: https_fetch HOST[:PORT] PATH [CA]".into()),
    };
    let mut client = Client::builder();
    if let Some(authority) = authority {
        client = client.roots(Roots::from_pem(&std::fs::read(authority)?)?);
    }
    let address = match host.parse() {
        Ok(address) => address,
        Err(_) => format!("{host}:443").parse()?,
    };
    let name = host.split(':').next().unwrap_or(&host).to_owned();
    let mut events = EventLoop::new()?;
    let runtime = events.runtime();
    let (version, status, body) =
        events.block_on(async move { fetch(&runtime, client, &address, &name, &path).await })??;
    println!("{version:?} {status}\n{}", String::from_utf8_lossy(&body));
    Ok(())
}
