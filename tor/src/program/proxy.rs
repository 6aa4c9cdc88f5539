//! `ferrevent-tor proxy`.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use arti_client::TorClient;
use clap::Args;
use ferrevent::Address;
use ferrevent::asynch::{Listener, Signals};
use futures::future::{Either, select};

use super::state::State;
use super::{Common, client, config, live, socks};
use crate::TorRuntime;

#[derive(Args)]
pub(super) struct Options {
    /// Where programs ask for connections.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9150")]
    socks: SocketAddr,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = options.common.runtime()?;
    let config = config::read(&options.common.config)?;
    let own = runtime.clone();
    let serving = async move {
        let tasks = own.tasks();
        let listener = tasks.listen(&Address::Socket(options.socks)).await?;
        // A proxy waits for its network, however long that takes.
        let failed = || own.last_failure();
        let trying = client::Trying {
            limit: None,
            failed: &failed,
        };
        let client = client::bootstrap(own.clone(), config, &trying).await?;
        let local = listener.local_addr().unwrap_or(options.socks);
        eprintln!("SOCKS on {local}");
        let state = Arc::new(State::default());
        if live::is_wanted() {
            let drawing = live::draw(own.clone(), Arc::clone(&state));
            tasks.spawn(drawing).detach();
        }
        serve(&own, &listener, &client, &state).await
    };
    runtime.run(serving).context("the runtime cannot run")?
}

const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

/// Serves until a signal.
async fn serve(
    runtime: &TorRuntime,
    listener: &Listener,
    client: &Arc<TorClient<TorRuntime>>,
    state: &Arc<State>,
) -> anyhow::Result<()> {
    let tasks = runtime.tasks();
    let mut signals = [tasks.signal(SIGINT).await?, tasks.signal(SIGTERM).await?];
    let [interrupt, terminate] = &mut signals;
    let ends = select(Box::pin(comes(interrupt)), Box::pin(comes(terminate)));
    let accepts = Box::pin(async {
        loop {
            let stream = listener.accept().await?;
            let serving = socks::serve(
                runtime.clone(),
                Arc::clone(client),
                Arc::clone(state),
                stream,
            );
            tasks.spawn(serving).detach();
        }
    });
    match select(accepts, ends).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(_) => Ok(()),
    }
}

async fn comes(signals: &mut Signals) {
    // Where signals cannot be had any more the loop is no more, too.
    let _ = signals.recv().await;
}
