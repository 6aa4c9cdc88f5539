//! `ferrevent-tor respond`: accepts links, and answers what comes on them.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow};
use clap::Args;
use ferrevent::limit::{Direction, RateLimits};
use futures::io::{AsyncReadExt, AsyncWriteExt};
use futures::stream::StreamExt;
use safelog::Sensitive;
use tor_cell::relaycell::RelayCmd;
use tor_cell::relaycell::msg::{Connected, End};
use tor_cert::rsa::EncodedRsaCrosscert;
use tor_cert::x509::{TlsKeyAndCert, create_legacy_rsa_id_cert};
use tor_circmgr::build::exit_circparams_from_netparams;
use tor_key_forge::{Keygen, ToEncodableCert};
use tor_linkspec::{HasRelayIds, OwnedChanTarget};
use tor_llcrypto::rng::CautiousRng;
use tor_netdir::params::NetParameters;
use tor_proto::ccparams::Algorithm;
use tor_proto::client::circuit::CircParameters;
use tor_proto::memquota::{ChannelAccount, SpecificAccount};
use tor_proto::peer::PeerAddr;
use tor_proto::relay::channel_provider::{ChannelProvider, OutboundChanSender};
use tor_proto::relay::{
    CircNetParameters, CircuitIncomingStreamReceiver, CongestionControlNetParams,
    CreateRequestHandler, MaybeVerifiableRelayResponderChannel,
};
use tor_proto::stream::{
    IncomingStream, IncomingStreamRequest, IncomingStreamRequestContext,
    IncomingStreamRequestDisposition, IncomingStreamRequestFilter,
};
use tor_proto::{RelayChannelAuthMaterial, RelayChannelBuilder};
use tor_relay_crypto::pk::{
    RelayIdentityKeypair, RelayIdentityRsaKeypair, RelayLinkSigningKeypair, RelayNtorKeypair,
    RelayNtorKeys, RelaySigningKeypair,
};
use tor_relay_crypto::{gen_link_cert, gen_signing_cert, gen_tls_cert};
use tor_rtcompat::tls::{TlsAcceptorSettings, TlsConnector};
use tor_rtcompat::{CertifiedConn, NetStreamListener, NetStreamProvider, SpawnExt, TlsProvider};
use tracing::{info, warn};

use super::rate::{self, Bytes};
use super::tap::Tap;
use super::{Common, live};
use crate::{Acceptor, TcpStream, TorRuntime};

#[derive(Args)]
pub(super) struct Options {
    /// Where links are accepted.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9001")]
    listen: SocketAddr,
    /// Let the accepted links together receive, and send, no more than this;
    /// --rate is for all links.
    #[arg(long, value_name = "RATE")]
    relayed_rate: Option<Bytes>,
    /// End when so many links were served.
    #[arg(long, value_name = "LINKS")]
    links: Option<usize>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = options.common.runtime()?;
    if let Some(rate) = options.relayed_rate {
        let limit = rate::limit(rate, None)?;
        runtime.relayed().reset(RateLimits::both(limit));
    }
    let serving = serve(runtime.clone(), options);
    runtime.run(serving).context("the runtime cannot run")?
}

async fn serve(runtime: TorRuntime, options: &Options) -> anyhow::Result<()> {
    let auth = Arc::new(identity()?);
    runtime.add_link_key(auth.tls_key_and_cert())?;
    let settings = TlsAcceptorSettings::new(auth.tls_key_and_cert().clone())?;
    let acceptor = runtime.tls_acceptor(settings)?;
    let nowhere: Arc<Nowhere> = Arc::new(Nowhere);
    let provider: Weak<Nowhere> = Arc::downgrade(&nowhere);
    let parameters = parameters()?;
    let keys = RelayNtorKeys::new(RelayNtorKeypair::generate(&mut CautiousRng)?);
    let factory = || Box::new(Everything) as Box<dyn IncomingStreamRequestFilter>;
    let (handler, streams) = CreateRequestHandler::new(
        provider,
        parameters,
        keys,
        Box::new(factory),
        &[RelayCmd::BEGIN_DIR],
    );
    runtime.spawn(answer_all(runtime.clone(), streams))?;

    let (address, sockets) = (options.listen, tor_rtcompat::TcpListenOptions::default());
    let listener = NetStreamProvider::<SocketAddr>::listen(&runtime, &address, &sockets);
    let listener = listener.await.context("no links can be accepted")?;
    let local = NetStreamListener::<SocketAddr>::local_addr(&listener)?;
    let ids: Vec<String> = auth.identities().map(|id| id.to_string()).collect();
    eprintln!("links on {local}, {}", ids.join(" "));
    let responder = Arc::new(Responder {
        runtime: runtime.clone(),
        acceptor,
        auth,
        local,
        handler: Arc::new(handler),
    });
    let mut incoming = NetStreamListener::<SocketAddr>::incoming(listener);
    let (ended, mut ends) = futures::channel::mpsc::unbounded();
    let most = options.links.unwrap_or(usize::MAX);
    for _ in 0..most {
        let (tcp, peer) = incoming.next().await.context("the listener is gone")??;
        let (responder, ended) = (Arc::clone(&responder), ended.clone());
        runtime.spawn(async move {
            if let Err(error) = responder.respond(tcp, peer).await {
                warn!("{peer}: {error:#}");
            }
            let _ = ended.unbounded_send(());
        })?;
    }
    for _ in 0..most {
        ends.next().await;
    }
    Ok(())
}

/// What all accepted links have in common.
struct Responder {
    runtime: TorRuntime,
    acceptor: Acceptor,
    auth: Arc<RelayChannelAuthMaterial>,
    local: SocketAddr,
    handler: Arc<CreateRequestHandler>,
}

impl Responder {
    /// Serves one link to its end.
    async fn respond(&self, tcp: TcpStream, peer: SocketAddr) -> anyhow::Result<()> {
        let runtime = &self.runtime;
        let tls = self.acceptor.negotiate_unvalidated(tcp, "").await;
        let tls = tls.context("no TLS")?;
        let agreed = tls.agreed().to_owned();
        let own = tls.own_certificate()?.map(|it| it.into_owned());
        let own = own.context("no certificate was shown")?;
        let (tap, heard) = Tap::new(tls);
        let accepting = RelayChannelBuilder::new().accept(
            Sensitive::new(PeerAddr::from(peer)),
            vec![self.local],
            tap,
            runtime.clone(),
            Arc::clone(&self.auth),
            ChannelAccount::new_noop(),
            Arc::clone(&self.handler),
        );
        let accepted = accepting.handshake(SystemTime::now).await;
        let accepted = accepted.context("no link protocol")?;
        let (who, (_channel, reactor)) = match accepted {
            MaybeVerifiableRelayResponderChannel::Verifiable(relay) => {
                let target = OwnedChanTarget::builder().addrs(vec![peer]).build()?;
                let verified = relay.verify(&target, &own, None).context("a false relay")?;
                ("a relay", verified.finish().await?)
            }
            MaybeVerifiableRelayResponderChannel::NonVerifiable(client) => {
                ("a client", client.finish()?)
            }
        };
        let version = heard.link_protocol().unwrap_or_default();
        eprintln!("{peer}: {who}, version {version}, {agreed}");
        let outcome = reactor.run().await;
        let relayed = runtime.relayed();
        eprintln!(
            "{peer}: gone; links have received {} and sent {}",
            live::amount(relayed.moved_bytes(Direction::Read) as f64),
            live::amount(relayed.moved_bytes(Direction::Write) as f64),
        );
        outcome.map_err(|error| anyhow!(error))
    }
}

/// A relay's keys and certificates, for as long as it runs.
fn identity() -> anyhow::Result<RelayChannelAuthMaterial> {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const ISSUER: &str = "www.ferrevent-issuer.net";
    let (mut rng, now) = (CautiousRng, SystemTime::now());
    let rsa = RelayIdentityRsaKeypair::generate(&mut rng)?;
    let identity = RelayIdentityKeypair::generate(&mut rng)?;
    let signing = RelaySigningKeypair::generate(&mut rng)?;
    let link = RelayLinkSigningKeypair::generate(&mut rng)?;
    let tls = TlsKeyAndCert::create(&mut rng, now, ISSUER, "www.ferrevent-subject.com")?;
    let signing_cert = gen_signing_cert(&identity, &signing, now + 30 * DAY)?;
    let link_cert = gen_link_cert(&signing, &link, now + 2 * DAY)?;
    let tls_cert = gen_tls_cert(&signing, *tls.link_cert_sha256(), now + 2 * DAY)?;
    let ed_identity = identity.to_ed25519_id();
    let cross = EncodedRsaCrosscert::encode_and_sign(rsa.keypair(), &ed_identity, now + 2 * DAY)?;
    let legacy = create_legacy_rsa_id_cert(&mut rng, now, ISSUER, rsa.keypair())?;
    Ok(RelayChannelAuthMaterial::new(
        &rsa.public().into(),
        ed_identity,
        link,
        signing_cert.to_encodable_cert(),
        tls_cert,
        link_cert.to_encodable_cert(),
        legacy,
        cross,
        tls,
    ))
}

/// What a consensus without parameters says of circuits.
fn parameters() -> anyhow::Result<CircNetParameters> {
    let all: CircParameters = exit_circparams_from_netparams(&NetParameters::default())?;
    let control = all.ccontrol;
    let Algorithm::Vegas(vegas_exit) = control.alg().clone() else {
        return Err(anyhow!("circuits without congestion control"));
    };
    Ok(CircNetParameters {
        cc: CongestionControlNetParams {
            fixed_window: *control.fixed_window_params(),
            vegas_exit,
            cwnd: control.cwnd_params(),
            rtt: control.rtt_params().clone(),
            flow_ctrl: all.flow_ctrl,
        },
    })
}

/// Answers what is asked on streams of all circuits.
async fn answer_all(runtime: TorRuntime, mut circuits: CircuitIncomingStreamReceiver) {
    while let Some(mut streams) = circuits.next().await {
        let tasks = runtime.clone();
        let serving = async move {
            while let Some(stream) = streams.next().await {
                let answering = async move {
                    if let Err(error) = answer(stream).await {
                        info!("a stream: {error:#}");
                    }
                };
                tasks.tasks().spawn(answering).detach();
            }
        };
        runtime.tasks().spawn(serving).detach();
    }
}

/// Whatever is asked of its directory, it has so much to say.
const PAGE: usize = 1 << 20;

async fn answer(stream: IncomingStream) -> anyhow::Result<()> {
    if !matches!(stream.request(), IncomingStreamRequest::BeginDir(_)) {
        stream.reject(End::new_misc()).await?;
        return Ok(());
    }
    let mut stream = stream.accept_data(Connected::new_empty()).await?;
    let mut asked = Vec::new();
    let mut byte = [0];
    while !asked.ends_with(b"\r\n\r\n") && asked.len() < 4096 {
        if stream.read(&mut byte).await? == 0 {
            return Ok(());
        }
        asked.push(byte[0]);
    }
    let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {PAGE}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&vec![b'.'; PAGE]).await?;
    stream.flush().await?;
    // Whoever asked knows the length, and ends it: an end from here would be
    // one for miscellaneous reasons (tor-proto 0.47), that is an error.
    while stream.read(&mut byte).await? > 0 {}
    Ok(())
}

/// Accepts every request, for now.
struct Everything;

impl IncomingStreamRequestFilter for Everything {
    fn disposition(
        &mut self,
        _: &IncomingStreamRequestContext<'_>,
        _: &tor_proto::circuit::CircHopSyncView<'_>,
    ) -> tor_proto::Result<IncomingStreamRequestDisposition> {
        Ok(IncomingStreamRequestDisposition::Accept)
    }
}

/// Circuits are not extended.
struct Nowhere;

impl ChannelProvider for Nowhere {
    type BuildSpec = OwnedChanTarget;

    fn get_or_launch(
        self: Arc<Self>,
        _: tor_proto::circuit::UniqId,
        _: OwnedChanTarget,
        sender: OutboundChanSender,
    ) -> tor_proto::Result<()> {
        let refused = "circuits are not extended from here".into();
        sender.send(Err(tor_proto::Error::ChanProto(refused)));
        Ok(())
    }
}
