//! What the tests share.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ferrevent::BackendKind;
use ferrevent_tor::TorRuntime;
use tor_rtcompat::SleepProviderExt;

pub(crate) const ANY: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// No test takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a test on every backend, with one worker and with several. It is given
/// a clone, as Arti is.
pub(crate) fn everywhere<F: Future<Output = io::Result<()>>>(test: impl Fn(TorRuntime) -> F) {
    for kind in BackendKind::ALL {
        for workers in [1, 3] {
            eprintln!("-- {kind}, {workers} workers");
            let builder = TorRuntime::builder().backend(*kind).workers(workers);
            let runtime = builder.build().unwrap();
            let limited = runtime.timeout(PATIENCE, test(runtime.clone()));
            let outcome = runtime.run(limited).unwrap();
            outcome.expect("it takes no such time").unwrap();
        }
    }
}

/// A folder of the test's own, removed with it.
pub(crate) struct WorkDir(PathBuf);

pub(crate) fn work_dir(name: &str) -> WorkDir {
    let path = std::env::temp_dir().join(format!("ferrevent-tor-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    WorkDir(path)
}

impl WorkDir {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
