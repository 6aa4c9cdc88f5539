//! ThreadSanitizer knows only what was built for it: with the standard library
//! of the toolchain it reports races that are none. So that library is built
//! too, from Debian's sources, which need Debian's compiler. cargo keeps it
//! until that compiler changes.

use std::os::unix::fs::PermissionsExt;

use crate::{cargo, packages};

use super::Setup;
use super::programs::Build;

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
        "ferrevent-dns",
        "ferrevent-models",
        "ferrevent-os",
    ];
    let ours = ours.map(|package| (package, cargo::NEWER));
    let in_c = ("ferrevent-capi", cargo::NEWER_IN_C);
    let all = ours.into_iter().chain([in_c]).chain(cargo::NEWER_ABROAD);
    for (package, features) in all {
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

/// How the C programs and their library are built: the runtime is in the
/// programs alone, whose own code gcc looks after.
pub(super) fn programs(setup: &Setup) -> Result<Build, String> {
    let linker = std::path::absolute(LINKER).map_err(|error| error.to_string())?;
    let written = std::fs::create_dir_all("target/sanitize")
        .and_then(|()| std::fs::write(&linker, linker_script()))
        .and_then(|()| std::fs::set_permissions(&linker, PermissionsExt::from_mode(0o755)));
    written.map_err(|error| format!("{}: {error}", linker.display()))?;
    let host = setup.host.to_uppercase().replace('-', "_");
    Ok(Build {
        name: "thread",
        rustc: setup.rustc,
        flags: setup.flags.clone(),
        cargo: setup.cargo.clone(),
        environment: vec![(
            format!("CARGO_TARGET_{host}_LINKER"),
            linker.display().to_string(),
        )],
        with_error: Some(("sharing", &["unlocked"])),
        compile: &["-fsanitize=thread"],
        link: vec![
            "-Wl,--export-dynamic,--whole-archive".to_owned(),
            RUNTIME.to_owned(),
            "-Wl,--no-whole-archive".to_owned(),
            "-lm".to_owned(),
            "-ldl".to_owned(),
            "-lresolv".to_owned(),
        ],
    })
}

const LINKER: &str = "target/sanitize/linker.sh";

/// Links all as cc does, but without the runtime what is shared.
fn linker_script() -> String {
    format!(
        "#!/bin/sh
case \" $* \" in
*' -shared '*) ;;
*) exec cc \"$@\" ;;
esac
for argument do
	shift
	[ \"$argument\" = '{RUNTIME}' ] || set -- \"$@\" \"$argument\"
done
exec cc \"$@\"
"
    )
}
