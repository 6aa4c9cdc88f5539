//! `cargo xtask capi`: the library with libevent's interface, its headers and
//! what pkg-config reads, where programs and compilers look for them.

#[path = "../../crates/ferrevent-capi/assemble.rs"]
mod assemble;

use std::path::{Path, PathBuf};

use crate::cargo;

const USAGE: &str = "usage: cargo xtask capi [install --prefix DIR]";

/// Builds it into `target/capi`; `install` puts it below a folder besides.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let prefix = match args {
        [] => None,
        [install, flag, prefix] if install == "install" && flag == "--prefix" => {
            Some(PathBuf::from(prefix))
        }
        _ => return Err(USAGE.into()),
    };
    cargo::run(
        "the library with libevent's interface",
        &[
            "rustc",
            "-p",
            "ferrevent-capi",
            "--lib",
            "--release",
            "--locked",
            "--crate-type",
            "cdylib",
        ],
        &[],
    )?;
    let root = std::env::current_dir().map_err(|error| error.to_string())?;
    let library = Path::new("target/release/libferrevent_capi.so");
    let headers = Path::new("crates/ferrevent-capi/include");
    for folder in std::iter::once("target/capi".into()).chain(prefix) {
        let folder: PathBuf = root.join(folder);
        assemble::assemble(library, headers, &folder)?;
        eprintln!("   {}: lib, include, lib/pkgconfig", folder.display());
    }
    Ok(())
}
