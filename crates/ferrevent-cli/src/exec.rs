//! `ferrevent exec`: an installed program that uses libevent, on this engine.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

/// What programs look for.
const LIBRARY: &str = "libevent-2.1.so.7";

#[derive(Args)]
pub(crate) struct Options {
    /// The folder of libevent-2.1.so.7, as `cargo xtask capi` makes it.
    ///
    /// Without it: ../lib and ../capi/lib, seen from this command.
    #[arg(long, value_name = "DIR")]
    library: Option<PathBuf>,
    /// Have the program say which kernel interface it got.
    #[arg(long)]
    show: bool,
    /// The program and its arguments.
    #[arg(required = true, trailing_var_arg = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

/// Becomes the program; returns only when that is not possible.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let folder = match &options.library {
        Some(folder) if folder.join(LIBRARY).exists() => folder.clone(),
        Some(folder) => {
            return Err(format!(
                "{} has no {LIBRARY}; make one with: cargo xtask capi",
                folder.display()
            ));
        }
        None => beside_this_command().ok_or_else(|| {
            format!("there is no {LIBRARY} beside this command; say where by --library")
        })?,
    };
    let folder = folder
        .canonicalize()
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    let [program, arguments @ ..] = options.program.as_slice() else {
        return Err("a program to run must be named".into());
    };
    let mut command = Command::new(program);
    command.args(arguments);
    command.env("LD_LIBRARY_PATH", before_others(&folder));
    if options.show {
        command.env("EVENT_SHOW_METHOD", "1");
    }
    let error = command.exec();
    Err(format!("{}: {error}", program.display()))
}

fn beside_this_command() -> Option<PathBuf> {
    let command = std::env::current_exe().ok()?;
    let above = command.parent()?.parent()?;
    ["lib", "capi/lib"]
        .map(|folder| above.join(folder))
        .into_iter()
        .find(|folder| folder.join(LIBRARY).exists())
}

fn before_others(folder: &Path) -> OsString {
    let mut path = folder.as_os_str().to_owned();
    if let Some(others) = std::env::var_os("LD_LIBRARY_PATH")
        && !others.is_empty()
    {
        path.push(":");
        path.push(others);
    }
    path
}
