//! `ferrevent-tor fetch`.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use hyper::Uri;

use super::{Common, client, config, live};

#[derive(Args)]
pub(super) struct Options {
    /// What to fetch: http://HOST[:PORT]/PATH
    #[arg(value_name = "URL")]
    uri: Uri,
    /// Write it to this file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Give up when there is no way into the Tor network within so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = options.common.runtime()?;
    let config = config::read(&options.common.config)?;
    let mut into: Box<dyn Write + Send> = match &options.output {
        Some(path) => {
            let file = File::create(path).with_context(|| path.display().to_string())?;
            Box::new(io::BufWriter::with_capacity(1 << 16, file))
        }
        None => Box::new(io::stdout()),
    };
    let failed = || runtime.last_failure();
    let trying = client::Trying {
        limit: Some(Duration::from_secs(options.timeout)),
        failed: &failed,
    };
    let fetching = client::fetch(runtime.clone(), config, &trying, &options.uri, &mut into);
    let fetched = runtime.run(fetching).context("the runtime cannot run")??;
    let seconds = fetched.fetch.as_secs_f64().max(1e-6);
    eprintln!(
        "{} bytes in {seconds:.3} s, {}/s; bootstrap {:.3} s",
        fetched.bytes,
        live::amount(fetched.bytes as f64 / seconds),
        fetched.bootstrap.as_secs_f64(),
    );
    Ok(())
}
