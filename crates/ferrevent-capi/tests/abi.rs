//! The shape of the library: what it exports, what its headers declare, and
//! what happens at a function that is not there yet.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use common::{Library, on, prefix, scratch, text};

/// The headers there are, and the legacy names.
const HEADERS: [&str; 20] = [
    "event2/buffer.h",
    "event2/buffer_compat.h",
    "event2/bufferevent.h",
    "event2/bufferevent_compat.h",
    "event2/bufferevent_struct.h",
    "event2/dns.h",
    "event2/dns_compat.h",
    "event2/dns_struct.h",
    "event2/event-config.h",
    "event2/event.h",
    "event2/event_compat.h",
    "event2/event_struct.h",
    "event2/keyvalq_struct.h",
    "event2/listener.h",
    "event2/thread.h",
    "event2/util.h",
    "event2/visibility.h",
    "evdns.h",
    "event.h",
    "evutil.h",
];

fn functions() -> Vec<&'static str> {
    include_str!("../abi/functions.txt").lines().collect()
}

#[test]
fn every_function_of_libevent_is_exported_and_nothing_else() {
    assert_eq!(exported("libevent"), functions());
}

#[test]
fn so_is_every_function_of_its_library_for_openssl() {
    let functions = [
        "bufferevent_get_openssl_error",
        "bufferevent_openssl_filter_new",
        "bufferevent_openssl_get_allow_dirty_shutdown",
        "bufferevent_openssl_get_ssl",
        "bufferevent_openssl_set_allow_dirty_shutdown",
        "bufferevent_openssl_socket_new",
        "bufferevent_ssl_renegotiate",
    ];
    assert_eq!(exported("libevent_openssl"), functions);
}

/// The names that a library exports, in their order.
fn exported(library: &str) -> Vec<String> {
    let library = prefix().join(format!("lib/{library}-2.1.so.7"));
    let nm = Command::new("nm")
        .args(["-D", "--defined-only", "--format=posix"])
        .arg(library)
        .output()
        .unwrap();
    let said = text(&nm.stdout);
    let mut exported: Vec<String> = said
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect();
    exported.sort_unstable();
    exported
}

#[test]
fn programs_load_whichever_of_the_libraries_they_name() {
    let program = scratch().join("names");
    let source = program.with_extension("c");
    std::fs::write(
        &source,
        "extern const char *event_get_version(void);\nextern int puts(const char *);\n\
         int main(void) { puts(event_get_version()); return 0; }\n",
    )
    .unwrap();
    for names in [
        &["-levent"][..],
        &["-levent_core"],
        &["-levent_core", "-levent_extra", "-levent_pthreads"],
    ] {
        let lib = format!("-L{}", prefix().join("lib").display());
        // Linked with ours, and as Debian's programs are.
        for folder in [lib.as_str(), "-L/usr/lib"] {
            cc(&["-Wl,--no-as-needed"], &source, |cc| {
                cc.arg("-o").arg(&program).arg(folder).args(names);
            });
            for library in [Library::Ours, Library::System] {
                let output = on(library, &program).output().unwrap();
                let said = text(&output.stdout);
                assert_eq!(said, "2.1.12-stable\n", "{names:?}: {output:?}");
            }
        }
    }
}

#[test]
fn a_function_that_is_missing_says_its_name() {
    let program = scratch().join("missing");
    let source = program.with_extension("c");
    std::fs::write(
        &source,
        "extern void *evhttp_new(void *);\nint main(void) { return evhttp_new(0) != 0; }\n",
    )
    .unwrap();
    cc(&[], &source, |cc| {
        cc.arg("-o").arg(&program);
        cc.arg(format!("-L{}", prefix().join("lib").display()))
            .arg("-levent");
    });
    let output = on(Library::Ours, &program).output().unwrap();
    assert!(
        text(&output.stderr).contains("has called evhttp_new"),
        "{output:?}"
    );
    assert!(!output.status.success());
}

#[test]
fn headers_compile_by_themselves_as_c_and_as_cpp() {
    for header in HEADERS {
        let source = scratch().join("header.c");
        std::fs::write(&source, format!("#include <{header}>\nint here;\n")).unwrap();
        for flags in [
            &["-std=c99", "-D_DEFAULT_SOURCE"][..],
            &["-std=gnu11"],
            &["-x", "c++", "-std=c++11"],
        ] {
            cc(flags, &source, |cc| {
                cc.arg("-c").arg("-o").arg("/dev/null");
            });
        }
    }
}

/// The types of our headers' functions are those of Debian's.
#[test]
fn functions_are_declared_as_libevent_declares_them() {
    let ours = declared(&format!("-I{}", prefix().join("include").display()));
    let theirs = declared("-I/usr/include");
    let exported = functions();
    let mut compared = 0;
    for (name, declaration) in &theirs {
        if exported.contains(&name.as_str()) {
            assert_eq!(ours.get(name), Some(declaration), "{name}");
            compared += 1;
        }
    }
    assert!(compared > 100, "only {compared} were compared");
}

/// The prototypes that the compiler finds, by name.
fn declared(include: &str) -> BTreeMap<String, String> {
    let name = include.replace('/', "_");
    let source = scratch().join(format!("all{name}.c"));
    let list = source.with_extension("list");
    let lines = HEADERS.map(|header| match header {
        // Debian's leads to what is not here yet.
        "event.h" | "evdns.h" => String::new(),
        header => format!("#include <{header}>\n"),
    });
    std::fs::write(&source, lines.concat()).unwrap();
    let output = Command::new("cc")
        .args(["-std=gnu11", include, "-c", "-o", "/dev/null", "-aux-info"])
        .arg(&list)
        .arg(&source)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let listed = std::fs::read_to_string(list).unwrap();
    listed
        .lines()
        .filter_map(|line| {
            let (_, declaration) = line.split_once("*/ ")?;
            let name = declaration.split(" (").next()?.rsplit([' ', '*']).next()?;
            Some((name.to_owned(), declaration.trim().to_owned()))
        })
        .collect()
}

fn cc(flags: &[&str], source: &Path, more: impl FnOnce(&mut Command)) {
    let mut cc = Command::new("cc");
    cc.args(["-Wall", "-Wextra", "-Werror"]).args(flags);
    cc.arg(format!("-I{}", prefix().join("include").display()));
    cc.arg(source);
    more(&mut cc);
    let output = cc.output().unwrap();
    assert!(output.status.success(), "{cc:?}: {}", text(&output.stderr));
}
