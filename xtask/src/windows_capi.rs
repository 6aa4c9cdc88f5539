//! `cargo xtask capi --windows`: the library with libevent's interface for
//! programs of Windows, and C programs on it under Wine.
//!
//! One library has everything; those of the other names lead to it, so that a
//! process has one copy of the state whichever it loads.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::capi::assemble;
use crate::windows::{Place, make_dir, output, run, write};

/// As libevent's own builds by MinGW name it.
const WHOLE: &str = "libevent-7";
/// The others of those, and the names that builds by libtool have.
const LEADING: [&str; 5] = [
    "libevent_core-7",
    "libevent_extra-7",
    "libevent-2-1-7",
    "libevent_core-2-1-7",
    "libevent_extra-2-1-7",
];
/// What programs are linked by, and which library they ask for then.
const IMPORTS: [(&str, &str); 3] = [
    ("libevent", WHOLE),
    ("libevent_core", "libevent_core-7"),
    ("libevent_extra", "libevent_extra-7"),
];
/// What a library needs that has nothing of its own.
const ENTRY: &str = "\
int __stdcall DllMainCRTStartup(void *library, unsigned long reason, void *reserved)
{
	(void)library;
	(void)reason;
	(void)reserved;
	return 1;
}
";

const FOLDER: &str = "target/capi-windows";
const CC: &str = "x86_64-w64-mingw32-gcc";
const DLLTOOL: &str = "x86_64-w64-mingw32-dlltool";
const NM: &str = "x86_64-w64-mingw32-nm";

/// Builds it, optimised, into `target/capi-windows`.
pub(crate) fn build() -> Result<(), String> {
    let place = Place::prepare()?;
    let folder = make(&place, "shared")?;
    eprintln!("   {}: bin, lib, include", folder.display());
    Ok(())
}

/// The C programs, and nothing else.
pub(crate) fn test_alone() -> Result<(), String> {
    let place = Place::prepare()?;
    let outcome = test(&place, false);
    place.end_wine("-k");
    outcome
}

/// C programs on it, under Wine: they must see what they see on this side.
pub(crate) fn test(place: &Place, full: bool) -> Result<(), String> {
    let folder = make(place, if full { "shared" } else { "dev" })?;
    let program = compile(&folder, "start")?;
    on_wine(place, &folder, &program, &[], "on iocp\non poll\n")?;
    let program = compile(&folder, "completions")?;
    let count = if full { 200 } else { 20 };
    for threads in ["no", "threads"] {
        let wanted = completions(count, threads == "threads");
        let arguments = [threads, &count.to_string()];
        on_wine(place, &folder, &program, &arguments, &wanted)?;
    }
    Ok(())
}

/// What that program sees; on this side of Wine Debian's library sees the same.
fn completions(clients: u32, threads: bool) -> String {
    let (answers, pauses) = (clients * 200, clients * 3);
    let last = if threads {
        "== from another thread\ntold 0x80\nsum 1000000\n"
    } else {
        ""
    };
    format!(
        "method iocp
== pipelined requests, with pauses
taken {clients}, ended {clients}, answered {answers}, clients paused {pauses} times, the server too
== refused
told 0x20, refused 1
== timeouts
told 0x80
told 0x41, enabled 0x4
== ends of one side
told 0x80
sent all 1, told 0x11, ended 1: 300000 bytes came
== marks
told 0x80
sum 1000000, never more than the mark: 1
== a limit on reading
told 0x80
came 1000000, not too early: 1
== a limit on writing
told 0x80
came 1000000, not too early: 1
== a group
told 0x80
told 0x80
came 2000000, not too early: 1
== a descriptor that is passed on
told 0x80
none 1
sum 1000000
{last}"
    )
}

fn on_wine(
    place: &Place,
    folder: &Path,
    program: &Path,
    arguments: &[&str],
    wanted: &str,
) -> Result<(), String> {
    let name = program.display();
    eprintln!("== {name} {}", arguments.join(" "));
    let mut command = place.wine(program);
    // Beside the program is where Windows looks for its libraries first.
    command.args(arguments).current_dir(folder.join("bin"));
    let output = command
        .output()
        .map_err(|error| format!("{name}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    if output.status.success() && said == format!("{wanted}done\n") {
        return Ok(());
    }
    let complained = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{name}: {}: it said\n{said}{complained}instead of\n{wanted}done",
        output.status
    ))
}

/// Compiles a C program of the library's tests, with its headers.
fn compile(folder: &Path, name: &str) -> Result<PathBuf, String> {
    let program = folder.join("bin").join(format!("{name}.exe"));
    let source = format!("crates/ferrevent-capi/tests/c/{name}.c");
    let mut compile = Command::new(CC);
    compile
        .args(["-std=gnu99", "-Wall", "-Wextra", "-Werror", "-O1", "-g"])
        .arg("-D__USE_MINGW_ANSI_STDIO=1")
        .arg(format!("-I{}", folder.join("include").display()))
        .arg(source)
        .arg("-o")
        .arg(&program)
        .arg(format!("-L{}", folder.join("lib").display()))
        // One by another name: what both of them do is done once.
        .args(["-levent_core", "-levent_extra", "-lws2_32"]);
    run(&format!("{name}.exe"), &mut compile)?;
    Ok(program)
}

fn make(place: &Place, profile: &str) -> Result<PathBuf, String> {
    place.cargo(
        "the library with libevent's interface for Windows",
        &[
            "rustc",
            "-p",
            "ferrevent-capi",
            "--lib",
            "--profile",
            profile,
            "--locked",
            "--ignore-rust-version",
            "--crate-type",
            "cdylib",
        ],
    )?;
    let built = if profile == "dev" { "debug" } else { profile };
    let library = place.program(&format!("{built}/ferrevent_capi.dll"));
    let imports = place.program(&format!("{built}/libferrevent_capi.dll.a"));
    let root = std::env::current_dir().map_err(|error| error.to_string())?;
    let folder = root.join(FOLDER);
    put_together(&library, &functions(&imports)?, &folder)?;
    let headers = root.join("crates/ferrevent-capi/include");
    assemble::copy_headers(&headers, &folder.join("include"))?;
    Ok(folder)
}

/// What a library exports, by the import library that was made for it.
fn functions(imports: &Path) -> Result<BTreeSet<String>, String> {
    let listed = output(Command::new(NM).arg("--defined-only").arg(imports))?;
    let functions: BTreeSet<String> = listed
        .lines()
        .filter_map(|line| line.split_once(" T ").map(|(_, name)| name.to_owned()))
        .collect();
    if functions.contains("event_base_new") {
        return Ok(functions);
    }
    Err(format!("{}: no functions found in it", imports.display()))
}

fn put_together(library: &Path, functions: &BTreeSet<String>, folder: &Path) -> Result<(), String> {
    let (bin, lib) = (folder.join("bin"), folder.join("lib"));
    let config = lib.join("pkgconfig");
    for folder in [&bin, &config] {
        make_dir(folder)?;
    }
    assemble::copy(library, &bin.join(format!("{WHOLE}.dll")))?;
    let names = lib.join("names.def");
    let leads = lib.join("leads.def");
    let entry = lib.join("entry.c");
    write(&entry, ENTRY)?;
    let lines = |line: &dyn Fn(&str) -> String| -> String {
        let lines = functions.iter().map(|name| line(name));
        std::iter::once("EXPORTS\n".to_owned())
            .chain(lines)
            .collect()
    };
    write(&names, &lines(&|name| format!("{name}\n")))?;
    write(
        &leads,
        &lines(&|name| format!("{name} = \"{WHOLE}.{name}\"\n")),
    )?;
    for name in LEADING {
        let mut link = Command::new(CC);
        link.args(["-shared", "-nostdlib", "-s", "-o"])
            .arg(bin.join(format!("{name}.dll")))
            .args([&entry, &leads]);
        run(&format!("{name}.dll"), &mut link)?;
    }
    for (name, asked_for) in IMPORTS {
        let mut tool = Command::new(DLLTOOL);
        tool.arg("-d")
            .arg(&names)
            .args(["-D", &format!("{asked_for}.dll"), "-l"])
            .arg(lib.join(format!("{name}.dll.a")));
        run(&format!("{name}.dll.a"), &mut tool)?;
        let file = config.join(format!("{name}.pc"));
        write(&file, &assemble::pkg_config(folder, name))?;
    }
    for file in [names, leads, entry] {
        fs::remove_file(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}
