//! Names the library as programs look for it, compiles what only C can say,
//! and writes a function for every name of libevent's that has none yet.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fmt::Write as _, fs, io};

fn main() -> io::Result<()> {
    if env::var_os("CARGO_CFG_UNIX").is_some() {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libevent-2.1.so.7");
    }
    println!("cargo::rerun-if-changed=abi/functions.txt");
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-changed=csrc");
    cc::Build::new()
        .file("csrc/variadic.c")
        .flag_if_supported("-std=c99")
        .warnings(true)
        .compile("ferrevent_variadic");
    println!("cargo::rustc-check-cfg=cfg(older_compiler)");
    if minor_version().is_some_and(|minor| minor < UNSAFE_NAKED) {
        println!("cargo::rustc-cfg=older_compiler");
    }
    let mut written = BTreeSet::new();
    collect(Path::new("src"), &mut written)?;
    let mut text = String::new();
    for name in fs::read_to_string("abi/functions.txt")?.lines() {
        if !written.contains(name) {
            let _ = write!(
                text,
                "#[unsafe(no_mangle)]\nextern \"C\" fn {name}() -> ! {{ missing(\"{name}\") }}\n"
            );
        }
    }
    let out = env::var_os("OUT_DIR")
        .map(PathBuf::from)
        .unwrap_or_default();
    let file = out.join("missing.rs");
    // A fresh file: what is there may be another folder's too, by a hard link.
    let _ = fs::remove_file(&file);
    fs::write(file, text)
}

/// Rust 1.88 has naked functions; before, as a feature, they were written otherwise.
const UNSAFE_NAKED: u32 = 88;

/// That of the compiler: `rustc 1.95.0 (...)` is 95.
fn minor_version() -> Option<u32> {
    let compiler = env::var_os("RUSTC")?;
    let output = Command::new(compiler).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split('.').nth(1)?.parse().ok()
}

/// The names of the functions that a folder's files export.
fn collect(folder: &Path, names: &mut BTreeSet<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, names)?;
            continue;
        }
        let text = fs::read_to_string(&path)?;
        for item in text.split("#[unsafe(no_mangle)]").skip(1) {
            let name = item
                .split_once(" fn ")
                .and_then(|(_, rest)| rest.split('(').next());
            names.extend(name.map(str::to_owned));
        }
    }
    Ok(())
}
