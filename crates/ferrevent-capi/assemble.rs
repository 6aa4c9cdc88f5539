//! Puts the library where programs, compilers and pkg-config look for it. The
//! tests and `cargo xtask capi` share this.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The whole library, and those that only lead to it: a process that loads
/// several of libevent's still has one.
const WHOLE: &str = "libevent";
const STUBS: [&str; 3] = ["libevent_core", "libevent_extra", "libevent_pthreads"];

/// libevent's own library for OpenSSL would look for what is inside of its
/// others. So that programs load that may use it, it is here: what makes a
/// bufferevent of TLS says that it is missing, and the others answer what they
/// do of one without.
const OPENSSL: &str = "libevent_openssl";
const OPENSSL_SOURCE: &str = "\
#include <stdio.h>
#include <stdlib.h>
static void missing(const char *name)
{
	fprintf(stderr, \"ferrevent: this program has called %s, which this library does not have yet; \"
		\"run it on the system's own libevent\\n\", name);
	abort();
}
void bufferevent_openssl_filter_new(void) { missing(__func__); }
void bufferevent_openssl_socket_new(void) { missing(__func__); }
void *bufferevent_openssl_get_ssl(void *bev) { (void)bev; return NULL; }
unsigned long bufferevent_get_openssl_error(void *bev) { (void)bev; return 0; }
int bufferevent_openssl_get_allow_dirty_shutdown(void *bev) { (void)bev; return -1; }
void bufferevent_openssl_set_allow_dirty_shutdown(void *bev, int allow) { (void)bev; (void)allow; }
int bufferevent_ssl_renegotiate(void *bev) { (void)bev; return -1; }
";

/// Makes `lib`, `include` and `lib/pkgconfig` below a folder, of a library and
/// a folder of headers.
pub(crate) fn assemble(library: &Path, headers: &Path, prefix: &Path) -> Result<(), String> {
    let lib = prefix.join("lib");
    let config = lib.join("pkgconfig");
    make_dir(&config)?;
    copy(library, &lib.join(soname(WHOLE)))?;
    for stub in STUBS {
        link(&lib, stub, "")?;
    }
    link(&lib, OPENSSL, OPENSSL_SOURCE)?;
    for name in [WHOLE].iter().chain(&STUBS) {
        // What a program names is what it is told to load; what it uses is in the whole.
        let script = lib.join(format!("{name}.so"));
        let named = if *name == WHOLE {
            String::new()
        } else {
            soname(name)
        };
        let _ = fs::remove_file(&script);
        fs::write(&script, format!("INPUT ( {} {named} )\n", soname(WHOLE)))
            .map_err(|error| at(&script, &error))?;
        let text = pkg_config(prefix, name);
        let file = config.join(format!("{name}.pc"));
        fs::write(&file, text).map_err(|error| at(&file, &error))?;
    }
    copy_headers(headers, &prefix.join("include"))
}

fn soname(name: &str) -> String {
    format!("{name}-2.1.so.7")
}

/// Links a library that has nothing of its own but what this C source says.
fn link(lib: &Path, name: &str, text: &str) -> Result<(), String> {
    let source = lib.join(format!("{name}.c"));
    fs::write(&source, text).map_err(|error| at(&source, &error))?;
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(lib.join(soname(name)))
        .arg(&source)
        .arg(format!("-Wl,-soname,{}", soname(name)))
        .args(["-Wl,-rpath,$ORIGIN", "-Wl,--no-as-needed"])
        .arg(format!("-L{}", lib.display()))
        .arg(format!("-l:{}", soname(WHOLE)))
        .output()
        .map_err(|error| format!("cc: {error}"))?;
    let _ = fs::remove_file(&source);
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("linking {name}: {}: {said}", output.status))
}

pub(crate) fn pkg_config(prefix: &Path, name: &str) -> String {
    let requires = match name {
        "libevent_pthreads" => "Requires: libevent\n",
        _ => "",
    };
    let link = name.trim_start_matches("lib");
    format!(
        "prefix={}\nlibdir=${{prefix}}/lib\nincludedir=${{prefix}}/include\n\n\
         Name: {name}\nDescription: the interface of libevent 2.1, by Ferrevent\n\
         Version: 2.1.12-stable\n{requires}Libs: -L${{libdir}} -l{link}\n\
         Cflags: -I${{includedir}}\n",
        prefix.display()
    )
}

pub(crate) fn copy_headers(from: &Path, to: &Path) -> Result<(), String> {
    make_dir(to)?;
    for entry in fs::read_dir(from).map_err(|error| at(from, &error))? {
        let path = entry.map_err(|error| at(from, &error))?.path();
        let target: PathBuf = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy_headers(&path, &target)?;
        } else {
            copy(&path, &target)?;
        }
    }
    Ok(())
}

/// Over what is there by a fresh file: programs that run keep the old one.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let _ = fs::remove_file(to);
    fs::copy(from, to)
        .map(drop)
        .map_err(|error| format!("{} to {}: {error}", from.display(), to.display()))
}

fn make_dir(path: &Path) -> Result<(), String> {
    fs::create_dir_all(path).map_err(|error| at(path, &error))
}

fn at(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}
