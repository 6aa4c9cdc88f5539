//! Where a relay listens.

use std::fmt;
use std::io;
use std::str::FromStr;

use ferrevent::activation::{self, Passed};
use ferrevent::{
    Address, Context, Handler, ListenOptions, ListenerId, StreamConfig, is_unresolved,
};

/// An address, or sockets that a service manager opened.
#[derive(Clone, Debug)]
pub(crate) enum Listen {
    Address(Address),
    /// Those with this name, or all of them.
    Systemd(Option<String>),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("systemd:") {
            Some("") => Ok(Listen::Systemd(None)),
            Some(name) => Ok(Listen::Systemd(Some(name.into()))),
            None => text
                .parse()
                .map(Listen::Address)
                .map_err(|error| format!("{error}, or systemd: for the sockets of a unit")),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Address(address) => address.fmt(f),
            Listen::Systemd(name) => write!(f, "systemd:{}", name.as_deref().unwrap_or("")),
        }
    }
}

/// A listener, and where it is bound.
pub(super) type Listening = (ListenerId, String);

impl Listen {
    /// Listens; each connection is told to a handler of this factory.
    pub(super) fn open<H: Handler + Send + 'static>(
        &self,
        context: &mut Context<'_>,
        options: &ListenOptions,
        config: StreamConfig,
        factory: impl Fn() -> H + Clone + Send + 'static,
    ) -> Result<Vec<Listening>, String> {
        let make = move || -> Box<dyn Handler + Send> { Box::new(factory()) };
        match self {
            Listen::Address(address) => {
                let listener = context
                    .listen_with(address, options, Some(config), make)
                    .map_err(|error| cannot_listen(address, &error))?;
                let bound = match context.listener_addr(listener) {
                    Some(bound) => bound.to_string(),
                    None => address.to_string(),
                };
                Ok(vec![(listener, bound)])
            }
            Listen::Systemd(name) => passed(name.as_deref())?
                .into_iter()
                .map(|socket| {
                    let address = socket.address();
                    let listener = context
                        .listen_on(socket.fd, Some(config), make.clone())
                        .map_err(|error| cannot_take(&socket.name, &address, &error))?;
                    Ok((listener, address))
                })
                .collect(),
        }
    }
}

/// The sockets that were passed, all or those of a name: one at least.
pub(super) fn passed(name: Option<&str>) -> Result<Vec<Passed>, String> {
    let all = activation::take().map_err(|error| {
        format!("the service manager passed no usable sockets (sd_listen_fds(3)): {error}")
    })?;
    let names: Vec<String> = all.iter().map(|passed| passed.name.clone()).collect();
    let taken: Vec<Passed> = all
        .into_iter()
        .filter(|passed| name.is_none_or(|name| passed.name == name))
        .collect();
    match (taken.is_empty(), name) {
        (false, _) => Ok(taken),
        (true, Some(name)) if !names.is_empty() => Err(format!(
            "no socket named \"{name}\" was passed, only {}; set FileDescriptorName={name} in the \
             .socket unit, or write systemd: for all of them",
            names.join(", ")
        )),
        _ => Err(
            "no socket was passed to this process (LISTEN_FDS): start it by a .socket unit, \
             or try it with systemd-socket-activate -l 8080 ferrevent relay systemd: ..."
                .into(),
        ),
    }
}

pub(super) fn cannot_take(name: &str, address: &str, error: &io::Error) -> String {
    format!(
        "cannot take connections from the passed socket {name} ({address}): {error}; \
         its unit needs ListenStream= and Accept=no"
    )
}

pub(super) fn cannot_listen(address: &Address, error: &io::Error) -> String {
    use io::ErrorKind as Kind;
    let remedy = match error.kind() {
        _ if is_unresolved(error) => "is the name right, and does the resolver answer?",
        Kind::AddrInUse => {
            "somebody listens there already: end that, choose another address, \
             or give both --reuse-port"
        }
        Kind::PermissionDenied => {
            "ports below 1024 and foreign directories need more rights: choose another address"
        }
        Kind::AddrNotAvailable => "this machine does not have that address",
        Kind::NotFound => "the directory or the name does not exist",
        _ => "choose another address",
    };
    format!("cannot listen on {address}: {error}; {remedy}")
}
