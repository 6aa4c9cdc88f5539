//! `ferrevent-tor link`: one link to one relay, step by step.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use clap::Args;
use safelog::MaybeSensitive;
use tor_circmgr::build::exit_circparams_from_netparams;
use tor_linkspec::{ChannelMethod, HasRelayIds, OwnedChanTarget};
use tor_llcrypto::pk::ed25519::Ed25519Identity;
use tor_llcrypto::pk::rsa::RsaIdentity;
use tor_netdir::params::NetParameters;
use tor_proto::client::circuit::TimeoutEstimator;
use tor_proto::memquota::{ChannelAccount, SpecificAccount};
use tor_proto::peer::PeerAddr;
use tor_proto::{ClientChannelBuilder, ClientTunnel, ClockSkew};
use tor_rtcompat::tls::TlsConnector;
use tor_rtcompat::{CertifiedConn, NetStreamProvider, SpawnExt, TlsProvider};

use super::tap::Tap;
use super::{Common, client};
use crate::TorRuntime;

#[derive(Args)]
pub(super) struct Options {
    /// The relay's OR port: 192.0.2.1:9001 or [2001:db8::1]:9001
    #[arg(value_name = "RELAY")]
    relay: SocketAddr,
    /// What its RSA identity must be: 40 hexadecimal digits.
    #[arg(long, value_name = "FINGERPRINT", value_parser = rsa)]
    fingerprint: Option<RsaIdentity>,
    /// What its Ed25519 identity must be: base64, without =.
    #[arg(long, value_name = "IDENTITY", value_parser = ed25519)]
    identity: Option<Ed25519Identity>,
    /// Print the whole descriptor to standard output.
    #[arg(long)]
    descriptor: bool,
    /// Give up a step that takes longer.
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    timeout: u64,
    #[command(flatten)]
    common: Common,
}

fn rsa(text: &str) -> Result<RsaIdentity, String> {
    let text = text.trim_start_matches('$');
    RsaIdentity::from_hex(text).ok_or_else(|| "40 hexadecimal digits are wanted".into())
}

fn ed25519(text: &str) -> Result<Ed25519Identity, String> {
    Ed25519Identity::from_base64(text).ok_or_else(|| "43 characters of base64 are wanted".into())
}

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = options.common.runtime()?;
    let linking = link(runtime.clone(), options);
    runtime.run(linking).context("the runtime cannot run")?
}

async fn link(runtime: TorRuntime, options: &Options) -> anyhow::Result<()> {
    let relay = options.relay;
    let mut steps = Steps::new(&runtime, Duration::from_secs(options.timeout));
    let tcp = steps.take("TCP", async {
        let options = tor_rtcompat::TcpConnectOptions::default();
        let connecting = NetStreamProvider::<SocketAddr>::connect(&runtime, &relay, &options);
        let connected = connecting.await;
        connected.with_context(|| format!("{relay} cannot be reached"))
    });
    let tcp = tcp.await?;
    let tls = steps.take("TLS", async {
        let connector = runtime.tls_connector();
        let beginning = connector.negotiate_unvalidated(tcp, NAME);
        beginning
            .await
            .with_context(|| format!("no TLS with {relay}"))
    });
    let tls = tls.await?;
    steps.note(tls.agreed().to_owned());
    let certificate = tls.peer_certificate()?.map(|it| it.into_owned());
    let certificate = certificate.context("the relay has shown no certificate")?;
    let (tap, heard) = Tap::new(tls);

    let mut target = OwnedChanTarget::builder();
    target.addrs(vec![relay]);
    if let Some(identity) = options.fingerprint {
        target.rsa_identity(identity);
    }
    if let Some(identity) = options.identity {
        target.ed_identity(identity);
    }
    let target = target.build()?;
    let mut skew = ClockSkew::None;
    let channel = steps.take("link handshake", async {
        let mut builder = ClientChannelBuilder::new();
        builder.set_declared_method(ChannelMethod::Direct(vec![relay]));
        let account = ChannelAccount::new_noop();
        let link = builder.launch(tap, runtime.clone(), account);
        let unverified = link.connect(SystemTime::now).await;
        let unverified = unverified.with_context(|| format!("{relay} speaks no link protocol"))?;
        skew = unverified.clock_skew();
        let verified = unverified.verify(&target, &certificate, None);
        let verified = verified.with_context(|| format!("{relay} is not who it should be"))?;
        let peer = MaybeSensitive::not_sensitive(PeerAddr::from(relay));
        let (channel, reactor) = verified.finish(peer).await?;
        runtime.spawn(async move {
            // Why it ends is told to those who use it.
            let _ = reactor.run().await;
        })?;
        Ok(channel)
    });
    let channel = channel.await?;
    if let Some(version) = heard.link_protocol() {
        steps.note(format!("version {version}"));
    }
    for identity in channel.target().identities() {
        steps.note(identity.to_string());
    }
    match skew {
        ClockSkew::None => {}
        ClockSkew::Slow(by) => steps.note(format!("its clock is {} s ahead", by.as_secs())),
        ClockSkew::Fast(by) => steps.note(format!("its clock is {} s behind", by.as_secs())),
    }

    let tunnel = steps.take("CREATE_FAST", async {
        let (pending, reactor) = channel.new_tunnel(Arc::new(Patience)).await?;
        runtime.spawn(async move {
            let _ = reactor.run().await;
        })?;
        let parameters = exit_circparams_from_netparams(&NetParameters::default())?;
        let created = pending.create_firsthop_fast(parameters).await;
        Ok(Arc::new(created.context("the relay makes no circuit")?))
    });
    let tunnel = tunnel.await?;
    let descriptor = steps
        .take("descriptor", descriptor(&runtime, tunnel))
        .await?;
    steps.note(format!("{} bytes", descriptor.len()));
    for line in descriptor.lines() {
        let word = line.split(' ').next().unwrap_or_default();
        if ["router", "platform", "bandwidth"].contains(&word) {
            steps.note(line.to_owned());
        }
    }
    if options.descriptor {
        print!("{descriptor}");
    }
    channel.terminate();
    Ok(())
}

/// The name that is asked for: no relay looks at it.
const NAME: &str = "www.example.net";

async fn descriptor(runtime: &TorRuntime, tunnel: Arc<ClientTunnel>) -> anyhow::Result<String> {
    let stream = tunnel.begin_dir_stream().await.context("BEGIN_DIR")?;
    let mut text = Vec::new();
    // dir-spec, "General-use HTTP URLs": what the relay says of itself.
    client::get(runtime, stream, "relay", "/tor/server/authority", &mut text).await?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Steps, with the time that each took.
struct Steps<'a> {
    runtime: &'a TorRuntime,
    patience: Duration,
}

impl<'a> Steps<'a> {
    fn new(runtime: &'a TorRuntime, patience: Duration) -> Self {
        Self { runtime, patience }
    }

    async fn take<T>(
        &mut self,
        name: &str,
        step: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let began = Instant::now();
        let limited = self.runtime.tasks().timeout(self.patience, step);
        let Ok(outcome) = limited.await else {
            anyhow::bail!("{name}: no answer within {} s", self.patience.as_secs());
        };
        let outcome = outcome.with_context(|| name.to_owned())?;
        eprintln!("{:8.1} ms  {name}", began.elapsed().as_secs_f64() * 1e3);
        Ok(outcome)
    }

    fn note(&self, text: String) {
        eprintln!("             {text}");
    }
}

/// What is waited for half-closed streams of the one circuit.
struct Patience;

impl TimeoutEstimator for Patience {
    fn circuit_build_timeout(&self, _: usize) -> Duration {
        Duration::from_secs(10)
    }
}
