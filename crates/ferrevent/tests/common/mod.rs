//! What the tests share: the matrix of what they run on, rigs that are told of
//! faults, and handlers that record.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(unused_imports, reason = "as above")]

pub(crate) mod ledger;
pub(crate) mod matrix;
pub(crate) mod record;
pub(crate) mod rig;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ferrevent::{Address, BackendKind, Builder, Context, EventLoop, Handle, Handler};

pub(crate) use matrix::{on_every_backend, on_pools};
pub(crate) use record::{Progress, Recorder, Shared};
pub(crate) use rig::{Outcome, Rig};

/// No test takes this long unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A loop or a rig: what tests are written for.
pub(crate) trait Works {
    fn context(&mut self) -> Context<'_>;
    /// Lets it work for a while.
    fn run_for(&mut self, time: Duration) -> std::io::Result<()>;
    fn dump(&mut self) -> String;

    fn connect(
        &mut self,
        address: Address,
        handler: impl Handler + Send + 'static,
    ) -> std::io::Result<Handle> {
        self.context().connect(&address, handler)
    }
}

impl Works for EventLoop {
    fn context(&mut self) -> Context<'_> {
        EventLoop::context(self)
    }

    fn run_for(&mut self, time: Duration) -> std::io::Result<()> {
        EventLoop::run_for(self, time)
    }

    fn dump(&mut self) -> String {
        EventLoop::dump(self)
    }
}

/// Runs a test on a loop on every backend.
pub(crate) fn on_every_loop(test: impl Fn(&mut EventLoop)) {
    for kind in kinds() {
        eprintln!("-- loop on {kind}");
        test(&mut Builder::new().backend(kind).build().unwrap());
    }
}

/// The backends that tests run on: all, unless `FERREVENT_BACKEND` names one.
pub(crate) fn kinds() -> impl Iterator<Item = BackendKind> {
    let only = only_kind();
    let all = BackendKind::ALL.iter().copied();
    all.filter(move |kind| only.is_none_or(|only| only == *kind))
}

/// Simulated kernels with these seeds, unless `FERREVENT_BACKEND` names another.
pub(crate) fn simulated(seeds: Range<u64>) -> impl Iterator<Item = BackendKind> {
    let all = seeds.map(BackendKind::Simulated);
    all.filter(|_| only_kind().is_none())
}

fn only_kind() -> Option<BackendKind> {
    let name = std::env::var("FERREVENT_BACKEND").ok()?;
    Some(name.parse().unwrap())
}

/// The transports a stream test runs over. Windows has no unix sockets here.
pub(crate) fn addresses(name: &str) -> Vec<Address> {
    let tcp = "127.0.0.1:0".parse().unwrap();
    if cfg!(windows) {
        return vec![tcp];
    }
    vec![tcp, Address::Unix(socket_path(name))]
}

/// Where a test's unix socket lies: beside what else was built, unless a path
/// of a socket cannot be as long (108 bytes, unix(7)).
fn socket_path(name: &str) -> PathBuf {
    let file = format!("{name}-{}", std::process::id());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&file);
    if path.as_os_str().len() < 108 {
        return path;
    }
    std::env::temp_dir().join(format!("ferrevent-{file}"))
}

/// Two connected sockets: unix sockets where there are any.
#[cfg(unix)]
pub(crate) type Local = std::os::unix::net::UnixStream;
#[cfg(windows)]
pub(crate) type Local = std::net::TcpStream;

#[cfg(unix)]
pub(crate) fn local_pair() -> (Local, Local) {
    Local::pair().unwrap()
}

#[cfg(windows)]
pub(crate) fn local_pair() -> (Local, Local) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let near = Local::connect(listener.local_addr().unwrap()).unwrap();
    let far = listener.accept().unwrap().0;
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    (near, far)
}

/// Lets the rig work until a condition holds.
pub(crate) fn until(rig: &mut impl Works, what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(
            Instant::now() < end,
            "{what} did not come about\n{}",
            rig.dump()
        );
        rig.run_for(Duration::from_micros(500)).unwrap();
    }
}

/// Listens, and answers the address that a client connects to.
pub(crate) fn listen<H: Handler + Send + 'static>(
    rig: &mut impl Works,
    address: &Address,
    factory: impl FnMut() -> H + Send + 'static,
) -> Address {
    let listener = rig.context().listen(address, factory).unwrap();
    match rig.context().listener_addr(listener) {
        Some(bound) => Address::Socket(bound),
        None => address.clone(),
    }
}

/// Bytes that differ everywhere, from a seed.
pub(crate) fn random_bytes(len: usize, mut seed: u64) -> Vec<u8> {
    seed |= 1;
    (0..len)
        .map(|_| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed >> 32) as u8
        })
        .collect()
}
