//! What the measuring examples share: `ADDR [--backend NAME] [--workers N]
//! [--chunk BYTES] [--cert PEM --key PEM]`.

use std::error::Error;

use ferrevent::{Address, Builder, Handler};

#[cfg(feature = "tls")]
use ferrevent::tls;

pub(crate) struct Arguments {
    pub(crate) address: Address,
    pub(crate) backend: Option<ferrevent::BackendKind>,
    /// None is a single loop.
    pub(crate) workers: Option<usize>,
    #[allow(dead_code, reason = "not every example writes")]
    pub(crate) chunk: usize,
    certificate: Option<String>,
    key: Option<String>,
}

const USAGE: &str = "usage: ADDR [--backend NAME] [--workers N] [--chunk BYTES] \
     [--cert PEM --key PEM]";

pub(crate) fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut given = std::env::args().skip(1);
    let mut arguments = Arguments {
        address: given.next().ok_or(USAGE)?.parse()?,
        backend: None,
        workers: None,
        chunk: 64 * 1024,
        certificate: None,
        key: None,
    };
    while let Some(option) = given.next() {
        let value = given.next().ok_or(USAGE)?;
        match option.as_str() {
            "--backend" => arguments.backend = Some(value.parse()?),
            "--workers" => arguments.workers = Some(value.parse()?),
            "--chunk" => arguments.chunk = value.parse()?,
            "--cert" => arguments.certificate = Some(value),
            "--key" => arguments.key = Some(value),
            _ => return Err(USAGE.into()),
        }
    }
    if arguments.chunk == 0 {
        return Err("--chunk must be at least 1".into());
    }
    if arguments.certificate.is_some() != arguments.key.is_some() {
        return Err("--cert and --key belong together".into());
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
    let address = &arguments.address;
    let tls = secure(arguments)?;
    if let Some(workers) = arguments.workers {
        let pool = builder.build_pool(workers)?;
        pool.on_trouble(|trouble| eprintln!("{trouble:?}"));
        match &tls {
            #[cfg(feature = "tls")]
            Some(server) => pool.context().listen_tls(address, server, factory)?,
            _ => pool.context().listen(address, factory)?,
        };
        return Ok(pool.run()?);
    }
    let mut events = builder.build()?;
    events.on_trouble(|trouble| eprintln!("{trouble:?}"));
    match &tls {
        #[cfg(feature = "tls")]
        Some(server) => events.context().listen_tls(address, server, factory)?,
        _ => events.context().listen(address, factory)?,
    };
    Ok(events.run()?)
}

/// Nothing is resumed, so that every handshake that is measured is a full one.
#[cfg(feature = "tls")]
fn secure(arguments: &Arguments) -> Result<Option<tls::Server>, Box<dyn Error>> {
    let (Some(certificate), Some(key)) = (&arguments.certificate, &arguments.key) else {
        return Ok(None);
    };
    let own = tls::Certificates::from_files(certificate, key)?;
    let server = tls::Server::builder().certificates(own);
    Ok(Some(server.resumption(false).build()?))
}

#[cfg(not(feature = "tls"))]
fn secure(arguments: &Arguments) -> Result<Option<std::convert::Infallible>, Box<dyn Error>> {
    match arguments.certificate {
        Some(_) => Err("this was built without TLS".into()),
        None => Ok(None),
    }
}
