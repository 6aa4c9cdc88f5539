//! What a client does, whatever runtime it is on: the peer that is measured
//! beside this one runs the same code.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Polling, Poll, ready};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use arti_client::{DataStream, TorClient, TorClientConfig};
use futures::future::{Either, select};
use futures::io::{AsyncRead, AsyncWrite};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{Request, Uri, header};
use tor_rtcompat::{Runtime, SpawnExt};

/// What a fetch came to.
#[derive(Clone, Copy, Debug)]
pub struct Fetched {
    /// Until the directory was there and circuits could be built.
    pub bootstrap: Duration,
    /// From the request for a stream until the last byte.
    pub fetch: Duration,
    /// Bytes of the body.
    pub bytes: u64,
}

/// How long is tried to become a client, and what a runtime knows of what is in
/// the way.
pub struct Trying<'a> {
    /// So long; without end, if there is no limit.
    pub limit: Option<Duration>,
    /// The last connection that failed, and why.
    pub failed: &'a (dyn Fn() -> Option<String> + Sync),
}

/// After so long it is said what is in the way, and then from time to time.
const FIRST: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_secs(60);

/// Becomes a client of the network, and says meanwhile what is in the way: Arti
/// itself tries for ever, and in silence.
///
/// # Errors
/// Why that did not come about: what could not be read, or who not reached.
pub async fn bootstrap<R: Runtime>(
    runtime: R,
    config: TorClientConfig,
    trying: &Trying<'_>,
) -> anyhow::Result<Arc<TorClient<R>>> {
    const IMPOSSIBLE: &str = "the Tor network cannot be used";
    let client = TorClient::with_runtime(runtime.clone()).config(config);
    let client = client.create_unbootstrapped_async().await;
    let client = client.context(IMPOSSIBLE)?;
    let began = Instant::now();
    let mut next = FIRST;
    let mut succeeds = Box::pin(client.bootstrap());
    loop {
        let left = trying
            .limit
            .map(|limit| limit.saturating_sub(began.elapsed()));
        let wait = left.map_or(next, |left| left.min(next));
        let waits = Box::pin(runtime.sleep(wait));
        match select(succeeds, waits).await {
            Either::Left((outcome, _)) => {
                outcome.context(IMPOSSIBLE)?;
                break;
            }
            Either::Right((_, still)) => succeeds = still,
        }
        let why = in_the_way(&client, trying);
        if let Some(limit) = trying.limit
            && began.elapsed() >= limit
        {
            bail!(
                "no way into the Tor network within {} s: {why}",
                limit.as_secs()
            );
        }
        eprintln!("no way into the Tor network yet, and trying on: {why}");
        next = AGAIN;
    }
    Ok(client)
}

/// What Arti thinks of it, and who did not answer.
fn in_the_way<R: Runtime>(client: &TorClient<R>, trying: &Trying<'_>) -> String {
    let status = client.bootstrap_status();
    let mut why = match status.blocked() {
        Some(blockage) => blockage.to_string(),
        None => status.to_string(),
    };
    if let Some(failed) = (trying.failed)() {
        why.push_str("; the last connection that failed: ");
        why.push_str(&failed);
    }
    why
}

/// Fetches a page, from the beginning.
///
/// # Errors
/// What failed, and at whose.
pub async fn fetch<R: Runtime>(
    runtime: R,
    config: TorClientConfig,
    trying: &Trying<'_>,
    uri: &Uri,
    into: &mut (dyn Write + Send),
) -> anyhow::Result<Fetched> {
    let began = Instant::now();
    let client = bootstrap(runtime, config, trying).await?;
    let bootstrap = began.elapsed();
    let began = Instant::now();
    let bytes = page(&client, uri, into).await?;
    Ok(Fetched {
        bootstrap,
        fetch: began.elapsed(),
        bytes,
    })
}

/// Fetches one page by a client that is there.
async fn page<R: Runtime>(
    client: &TorClient<R>,
    uri: &Uri,
    into: &mut (dyn Write + Send),
) -> anyhow::Result<u64> {
    let host = uri.host().context("the URL names no host")?;
    if uri.scheme_str() != Some("http") {
        bail!("{uri}: only http:// is fetched; for others there is the proxy");
    }
    let port = uri.port_u16().unwrap_or(80);
    let host = host.trim_matches(['[', ']']);
    let stream = client.connect((host, port)).await;
    let stream = stream.with_context(|| format!("no stream to {host}:{port}"))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = format!("{host}:{port}");
    let asked = get(client.runtime(), stream, &host, path, into);
    asked.await.with_context(|| uri.to_string())
}

/// Asks a server at the end of a stream for a page, and tells how long it is.
///
/// # Errors
/// What it answers, if that is no page, or what broke off.
pub(super) async fn get<R: Runtime>(
    runtime: &R,
    stream: DataStream,
    host: &str,
    path: &str,
    into: &mut (dyn Write + Send),
) -> anyhow::Result<u64> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(Spoken(stream)).await?;
    runtime.spawn(async move {
        // What fails there is told by the sender, or by the body.
        let _ = connection.await;
    })?;
    let request = Request::get(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, "ferrevent-tor")
        .body(Empty::<Bytes>::new())?;
    let mut response = sender.send_request(request).await?;
    if !response.status().is_success() {
        bail!("the server answers {}", response.status());
    }
    let mut bytes = 0;
    while let Some(frame) = response.frame().await {
        if let Ok(data) = frame.context("the page was cut short")?.into_data() {
            bytes += data.len() as u64;
            into.write_all(&data)
                .context("the page cannot be written")?;
        }
    }
    into.flush().context("the page cannot be written")?;
    Ok(bytes)
}

/// A stream through Tor, for hyper.
struct Spoken(DataStream);

/// As much as is read at once: a few cells.
const PIECE: usize = 4096;

impl hyper::rt::Read for Spoken {
    fn poll_read(
        mut self: Pin<&mut Self>,
        polling: &mut Polling<'_>,
        mut into: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut piece = [0; PIECE];
        let room = into.remaining().min(PIECE);
        let read = Pin::new(&mut self.0).poll_read(polling, &mut piece[..room]);
        let len = ready!(read)?;
        into.put_slice(&piece[..len]);
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Spoken {
    fn poll_write(
        mut self: Pin<&mut Self>,
        polling: &mut Polling<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(polling, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, polling: &mut Polling<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(polling)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, polling: &mut Polling<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(polling)
    }
}
