//! What the measuring examples share: `ADDR [--backend NAME] [--chunk BYTES]`.

use std::error::Error;

use ferrevent::{Address, Builder, EventLoop};

pub(crate) struct Arguments {
    pub(crate) address: Address,
    pub(crate) backend: Option<ferrevent::BackendKind>,
    #[allow(dead_code, reason = "not every example writes")]
    pub(crate) chunk: usize,
}

pub(crate) fn arguments() -> Result<Arguments, Box<dyn Error>> {
    const USAGE: &str = "usage: ADDR [--backend NAME] [--chunk BYTES]";
    let mut given = std::env::args().skip(1);
    let mut arguments = Arguments {
        address: given.next().ok_or(USAGE)?.parse()?,
        backend: None,
        chunk: 64 * 1024,
    };
    while let Some(option) = given.next() {
        let value = given.next().ok_or(USAGE)?;
        match option.as_str() {
            "--backend" => arguments.backend = Some(value.parse()?),
            "--chunk" => arguments.chunk = value.parse()?,
            _ => return Err(USAGE.into()),
        }
    }
    if arguments.chunk == 0 {
        return Err("--chunk must be at least 1".into());
    }
    Ok(arguments)
}

pub(crate) fn event_loop(arguments: &Arguments) -> Result<EventLoop, Box<dyn Error>> {
    let mut builder = Builder::new();
    if let Some(kind) = arguments.backend {
        builder = builder.backend(kind);
    }
    let mut events = builder.build()?;
    events.on_trouble(|trouble| eprintln!("{trouble:?}"));
    Ok(events)
}
