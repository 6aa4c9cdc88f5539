//! The peer of `ferrevent-tor fetch` on tokio: the same client, to be measured
//! beside it.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io;

use anyhow::Context as _;
use ferrevent::tls::rustls::crypto::ring;
use ferrevent_tor::program::{client, config};
use tor_rtcompat::ToplevelBlockOn;
use tor_rtcompat::tokio::TokioRustlsRuntime;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let mut next = || arguments.next().context("arti-on-tokio CONFIG URL FILE");
    let config = config::read(&[next()?.into()])?;
    let uri = next()?.to_string_lossy().parse()?;
    let file = File::create(next()?)?;
    if ring::default_provider().install_default().is_err() {
        anyhow::bail!("there is a provider of cryptography already");
    }
    let runtime = TokioRustlsRuntime::create()?;
    let mut into = io::BufWriter::with_capacity(1 << 16, file);
    let trying = client::Trying {
        limit: None,
        failed: &|| None,
    };
    let fetching = client::fetch(runtime.clone(), config, &trying, &uri, &mut into);
    let fetched = runtime.block_on(fetching)?;
    let seconds = fetched.fetch.as_secs_f64();
    eprintln!(
        "{} bytes in {seconds:.3} s; bootstrap {:.3} s",
        fetched.bytes,
        fetched.bootstrap.as_secs_f64(),
    );
    Ok(())
}
