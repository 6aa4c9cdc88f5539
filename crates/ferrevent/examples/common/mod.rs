//! What the measuring examples share: `ADDR [--backend NAME] [--workers N]
//! [--chunk BYTES]`.

use std::error::Error;

use ferrevent::{Address, Builder, Handler};

pub(crate) struct Arguments {
    pub(crate) address: Address,
    pub(crate) backend: Option<ferrevent::BackendKind>,
    /// None is a single loop.
    pub(crate) workers: Option<usize>,
    #[allow(dead_code, reason = "not every example writes")]
    pub(crate) chunk: usize,
}

pub(crate) fn arguments() -> Result<Arguments, Box<dyn Error>> {
    const USAGE: &str = "usage: ADDR [--backend NAME] [--workers N] [--chunk BYTES]";
    let mut given = std::env::args().skip(1);
    let mut arguments = Arguments {
        address: given.next().ok_or(USAGE)?.parse()?,
        backend: None,
        workers: None,
        chunk: 64 * 1024,
    };
    while let Some(option) = given.next() {
        let value = given.next().ok_or(USAGE)?;
        match option.as_str() {
            "--backend" => arguments.backend = Some(value.parse()?),
            "--workers" => arguments.workers = Some(value.parse()?),
            "--chunk" => arguments.chunk = value.parse()?,
            _ => return Err(USAGE.into()),
        }
    }
    if arguments.chunk == 0 {
        return Err("--chunk must be at least 1".into());
    }
    Ok(arguments)
}

/// Serves for ever, on a loop or a pool.
pub(crate) fn serve<H: Handler + Send + 'static>(
    arguments: &Arguments,
    factory: impl FnMut() -> H + Send + 'static,
) -> Result<(), Box<dyn Error>> {
    let mut builder = Builder::new();
    if let Some(kind) = arguments.backend {
        builder = builder.backend(kind);
    }
    if let Some(workers) = arguments.workers {
        let pool = builder.build_pool(workers)?;
        pool.on_trouble(|trouble| eprintln!("{trouble:?}"));
        pool.context().listen(&arguments.address, factory)?;
        return Ok(pool.run()?);
    }
    let mut events = builder.build()?;
    events.on_trouble(|trouble| eprintln!("{trouble:?}"));
    events.context().listen(&arguments.address, factory)?;
    Ok(events.run()?)
}
