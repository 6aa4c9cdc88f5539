//! ThreadSanitizer knows only what was built for it: with the standard library
//! of the toolchain it reports races that are none. So that library is built
//! too, from Debian's sources, which need Debian's compiler. cargo keeps it
//! until that compiler changes.

use crate::{cargo, packages};

use super::Setup;

const RUSTC: &str = "/usr/bin/rustc";

/// The LLVM of that compiler; the runtime has to be of the same.
const LLVM: &str = "19";
const RUNTIME: &str = "/usr/lib/llvm-19/lib/clang/19/lib/linux/libclang_rt.tsan-x86_64.a";

const PACKAGES: &[packages::Wanted] = &[
    ("test -x /usr/bin/rustc", "rustc-web"),
    (
        "test -e /usr/lib/rustlib/src/rust/library/std/Cargo.toml",
        "rust-web-src",
    ),
    (
        "test -e /usr/lib/llvm-19/lib/clang/19/lib/linux/libclang_rt.tsan-x86_64.a",
        "libclang-rt-19-dev",
    ),
];

pub(super) fn setup() -> Result<Setup, String> {
    packages::ensure(PACKAGES)?;
    let llvm = cargo::version_line(RUSTC, "LLVM version")?;
    if llvm.split('.').next() != Some(LLVM) {
        return Err(format!(
            "{RUSTC} is built on LLVM {llvm}, and xtask/src/sanitize/thread.rs is written for {LLVM}"
        ));
    }
    let flags = [
        "-Zsanitizer=thread",
        "-Zexternal-clangrt",
        "-Zpre-link-arg=-Wl,--whole-archive",
        &format!("-Zpre-link-arg={RUNTIME}"),
        "-Zpre-link-arg=-Wl,--no-whole-archive",
        "-Clink-arg=-lm",
        "-Clink-arg=-lc",
    ];
    let mut arguments = vec![
        "--ignore-rust-version".to_owned(),
        "-Zbuild-std=std,panic_unwind,test".to_owned(),
        "-Zprofile-rustflags".to_owned(),
    ];
    // The standard library has its own features.
    let ours = [
        "ferrevent",
        "ferrevent-core",
        "ferrevent-models",
        "ferrevent-os",
    ];
    let ours = ours.map(|package| (package, cargo::NEWER));
    for (package, features) in ours.into_iter().chain([cargo::NEWER_ABROAD]) {
        arguments.push("--config".to_owned());
        arguments.push(format!(
            "profile.dev.package.{package}.rustflags=['-Zcrate-attr=feature({features})']"
        ));
    }
    Ok(Setup {
        rustc: RUSTC,
        host: cargo::version_line(RUSTC, "host")?,
        flags: flags.map(str::to_owned).to_vec(),
        cargo: arguments,
    })
}
