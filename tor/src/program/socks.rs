//! One SOCKS connection: what it asks for, and the bytes both ways. The
//! grammar is tor-socksproto's.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use arti_client::isolation::IsolationHelper;
use arti_client::{ErrorKind, HasKind, StreamPrefs, TorClient};
use ferrevent::asynch::AsyncStream;
use futures::future::try_join;
use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tor_socksproto::{
    Buffer, Handshake, NextStep, SocksAddr, SocksAuth, SocksCmd, SocksProxyHandshake, SocksRequest,
    SocksStatus,
};
use tracing::{debug, info};

use super::state::State;
use crate::TorRuntime;

/// Longest time for a client to say what it wants.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// Serves a connection to its end, and logs what went wrong.
pub(super) async fn serve(
    runtime: TorRuntime,
    client: Arc<TorClient<TorRuntime>>,
    state: Arc<State>,
    stream: AsyncStream,
) {
    let peer = match stream.peer_addr().await {
        Ok(Some(peer)) => peer.to_string(),
        _ => "a client that is gone".to_owned(),
    };
    match converse(&runtime, &client, &state, stream).await {
        Ok(()) => debug!("SOCKS {peer}: done"),
        Err(error) => info!("SOCKS {peer}: {error:#}"),
    }
}

async fn converse(
    runtime: &TorRuntime,
    client: &TorClient<TorRuntime>,
    state: &Arc<State>,
    mut stream: AsyncStream,
) -> anyhow::Result<()> {
    let handshake = handshake(&mut stream);
    let Ok(asked) = runtime.tasks().timeout(HANDSHAKE, handshake).await else {
        bail!(
            "it has not said what it wants within {} s",
            HANDSHAKE.as_secs()
        );
    };
    let (request, early) = asked?;
    match request.command() {
        SocksCmd::CONNECT => connect(client, state, stream, &request, &early).await,
        SocksCmd::RESOLVE => resolve(client, stream, &request).await,
        other => {
            answer(
                &mut stream,
                &request,
                SocksStatus::COMMAND_NOT_SUPPORTED,
                None,
            )
            .await?;
            bail!("{other} is not supported here; CONNECT and RESOLVE are")
        }
    }
}

/// What it asks for, and what it has sent behind that.
async fn handshake(stream: &mut AsyncStream) -> anyhow::Result<(SocksRequest, Vec<u8>)> {
    let mut buffer = Buffer::new();
    let mut handshake = SocksProxyHandshake::new();
    loop {
        match handshake
            .step(&mut buffer)
            .context("what it says is no SOCKS")?
        {
            NextStep::Send(bytes) => {
                stream.write_all(&bytes).await?;
                stream.flush().await?;
            }
            NextStep::Recv(mut receiving) => {
                let len = stream.read(receiving.buf()).await?;
                receiving
                    .note_received(len)
                    .context("it has gone before it said what it wants")?;
            }
            NextStep::Finished(finished) => return Ok(finished.into_output_and_vec()),
        }
    }
}

async fn connect(
    client: &TorClient<TorRuntime>,
    state: &Arc<State>,
    mut stream: AsyncStream,
    request: &SocksRequest,
    early: &[u8],
) -> anyhow::Result<()> {
    let (host, port) = (request.addr().to_string(), request.port());
    let mut preferences = StreamPrefs::new();
    let isolation = ByUser(request.auth().clone());
    preferences.set_isolation(Box::new(isolation) as Box<dyn arti_client::isolation::Isolation>);
    let connected = client.connect_with_prefs((host.as_str(), port), &preferences);
    let data = match connected.await {
        Ok(data) => data,
        Err(error) => {
            answer(&mut stream, request, status_of(error.kind()), None).await?;
            return Err(error).with_context(|| format!("no stream to {host}:{port}"));
        }
    };
    answer(&mut stream, request, SocksStatus::SUCCEEDED, None).await?;
    let counted = state.add(&data);
    let (mut far_read, mut far_write) = data.split();
    let (near_read, near_write) = stream.split();
    far_write.write_all(early).await?;
    let there = pump(near_read, far_write);
    let back = pump(&mut far_read, near_write);
    // Where one way fails, both ends are let go.
    let outcome = try_join(there, back).await;
    drop(counted);
    outcome.map(drop).with_context(|| format!("{host}:{port}"))
}

/// Moves bytes until the end, and passes that on. A cell goes as soon as there
/// is nothing more to put into it.
async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let len = from.read(&mut piece).await?;
        if len == 0 {
            return to.close().await;
        }
        to.write_all(&piece[..len]).await?;
        to.flush().await?;
    }
}

const PIECE: usize = 16 * 1024;

async fn resolve(
    client: &TorClient<TorRuntime>,
    mut stream: AsyncStream,
    request: &SocksRequest,
) -> anyhow::Result<()> {
    let host = request.addr().to_string();
    if let Ok(address) = host.parse::<IpAddr>() {
        let found = SocksAddr::Ip(address);
        return answer(&mut stream, request, SocksStatus::SUCCEEDED, Some(&found)).await;
    }
    match client.resolve(&host).await {
        Ok(found) => {
            let found = found.first().map(|address| SocksAddr::Ip(*address));
            let status = match found {
                Some(_) => SocksStatus::SUCCEEDED,
                None => SocksStatus::HOST_UNREACHABLE,
            };
            answer(&mut stream, request, status, found.as_ref()).await
        }
        Err(error) => {
            answer(&mut stream, request, status_of(error.kind()), None).await?;
            Err(error).with_context(|| format!("{host} cannot be resolved"))
        }
    }
}

async fn answer(
    stream: &mut AsyncStream,
    request: &SocksRequest,
    status: SocksStatus,
    address: Option<&SocksAddr>,
) -> anyhow::Result<()> {
    let reply = request.reply(status, address)?;
    stream.write_all(&reply).await?;
    Ok(stream.flush().await?)
}

/// SOCKS's word for what went wrong.
fn status_of(kind: ErrorKind) -> SocksStatus {
    match kind {
        ErrorKind::RemoteHostNotFound
        | ErrorKind::RemoteHostResolutionFailed
        | ErrorKind::ExitTimeout
        | ErrorKind::RemoteNetworkTimeout => SocksStatus::HOST_UNREACHABLE,
        ErrorKind::RemoteConnectionRefused => SocksStatus::CONNECTION_REFUSED,
        ErrorKind::RemoteNetworkFailed | ErrorKind::TorAccessFailed => {
            SocksStatus::NETWORK_UNREACHABLE
        }
        ErrorKind::ExitPolicyRejected
        | ErrorKind::NoExit
        | ErrorKind::ForbiddenStreamTarget
        | ErrorKind::InvalidStreamTarget => SocksStatus::NOT_ALLOWED,
        _ => SocksStatus::GENERAL_FAILURE,
    }
}

/// Streams of different users share no circuit.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ByUser(SocksAuth);

impl IsolationHelper for ByUser {
    fn compatible_same_type(&self, other: &Self) -> bool {
        self == other
    }

    fn join_same_type(&self, other: &Self) -> Option<Self> {
        (self == other).then(|| self.clone())
    }
}
