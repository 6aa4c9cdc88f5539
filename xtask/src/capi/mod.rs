//! `cargo xtask capi`: the library with libevent's interface, its headers and
//! what pkg-config reads, where programs and compilers look for them.

#[path = "../../../crates/ferrevent-capi/assemble.rs"]
pub(crate) mod assemble;
pub(crate) mod tor;

use std::path::{Path, PathBuf};

use crate::{cargo, packages, windows_capi};

const LIBRARY: &str = "target/shared/libferrevent_capi.so";
const USAGE: &str =
    "usage: cargo xtask capi [install --prefix DIR | compare [ROUNDS] | --windows [test] | tor]";

/// Builds it into `target/capi`; `install` puts it below a folder besides, and
/// `compare` measures programs on it.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    if let Some((command, rest)) = args.split_first()
        && command == "tor"
    {
        return tor::run(rest);
    }
    let prefix = match args {
        [] => None,
        [flag] if flag == "--windows" => return windows_capi::build(),
        [flag, test] if flag == "--windows" && test == "test" => return windows_capi::test_alone(),
        [install, flag, prefix] if install == "install" && flag == "--prefix" => {
            Some(PathBuf::from(prefix))
        }
        [compare] if compare == "compare" => return in_turns("15"),
        [compare, rounds] if compare == "compare" && rounds.parse::<usize>().is_ok() => {
            return in_turns(rounds);
        }
        _ => return Err(USAGE.into()),
    };
    let root = std::env::current_dir().map_err(|error| error.to_string())?;
    let built = build(&root)?;
    let prefix = prefix.map(|prefix| root.join(prefix));
    if let Some(prefix) = &prefix {
        assemble(&root, &root.join(LIBRARY), prefix)?;
    }
    for folder in std::iter::once(built).chain(prefix) {
        eprintln!("   {}: lib, include, lib/pkgconfig", folder.display());
    }
    Ok(())
}

/// What memcached and pgbouncer cost on this library and on Debian's, in turns.
fn in_turns(rounds: &str) -> Result<(), String> {
    packages::ensure(packages::FOR_TESTS)?;
    let root = std::env::current_dir().map_err(|error| error.to_string())?;
    build(&root)?;
    let library = root.join(LIBRARY).display().to_string();
    for program in ["memcached", "pgbouncer"] {
        cargo::run(
            program,
            &[
                "test",
                "-p",
                "ferrevent-capi",
                "--locked",
                "--test",
                program,
                "--",
                "--ignored",
                "--nocapture",
                "compared",
            ],
            &[
                ("FERREVENT_ROUNDS", rounds),
                ("FERREVENT_CAPI_LIBRARY", &library),
            ],
        )?;
    }
    Ok(())
}

/// Builds it, and answers where it is.
pub(crate) fn build(root: &Path) -> Result<PathBuf, String> {
    cargo::run(
        "the library with libevent's interface",
        &[
            "rustc",
            "-p",
            "ferrevent-capi",
            "--lib",
            "--profile",
            "shared",
            "--locked",
            "--crate-type",
            "cdylib",
        ],
        &[],
    )?;
    let folder = root.join("target/capi");
    assemble(root, &root.join(LIBRARY), &folder)?;
    Ok(folder)
}

/// Puts a library that was built into a folder, with its headers.
pub(crate) fn assemble(root: &Path, library: &Path, folder: &Path) -> Result<(), String> {
    let headers = root.join("crates/ferrevent-capi/include");
    assemble::assemble(library, &headers, folder)
}
