//! What goes beside the command when it is installed: shell completions and
//! manual pages, both made from the same description as the help.

use std::io::{self, ErrorKind, Write};

use clap::{Args, Command, CommandFactory, ValueEnum};
use clap_complete::Shell as Known;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::Arguments;

/// For whom completions are.
#[derive(Args)]
pub(crate) struct Completions {
    /// The shell that is to complete.
    #[arg(value_enum)]
    shell: Shell,
}

/// Shells that are tested.
#[derive(Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Which page is meant.
#[derive(Args)]
pub(crate) struct Page {
    /// The page of this command, such as relay; without it the one of ferrevent.
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

pub(crate) fn completions(options: &Completions) -> Result<(), String> {
    let shell = match options.shell {
        Shell::Bash => Known::Bash,
        Shell::Zsh => Known::Zsh,
        Shell::Fish => Known::Fish,
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "ferrevent", &mut text);
    print(&text)
}

pub(crate) fn page(page: &Page) -> Result<(), String> {
    let mut all = Arguments::command().disable_help_subcommand(true);
    all.build();
    let wanted = match &page.command {
        None => all,
        Some(name) => all.find_subcommand(name).cloned().ok_or_else(|| {
            format!(
                "there is no page of \"{name}\"; there are those of {}",
                names(&all).join(", ")
            )
        })?,
    };
    let mut text = Vec::new();
    render(&wanted, &mut text).map_err(|error| error.to_string())?;
    print(&text)
}

fn render(command: &Command, out: &mut Vec<u8>) -> io::Result<()> {
    let version = concat!("ferrevent ", env!("CARGO_PKG_VERSION"));
    // Without a date every argument after it would be taken for another.
    let man = Man::new(command.clone().subcommand_help_heading("COMMANDS"))
        .date(version)
        .source("Ferrevent")
        .manual("Ferrevent Manual");
    man.render_title(out)?;
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;
    if command.has_subcommands() {
        man.render_subcommands_section(out)?;
    }
    if let Some(help) = command.get_after_long_help() {
        sections(&help.to_string()).to_writer(out)?;
    }
    Ok(())
}

/// What stands after the options in the help: headings at the margin, items
/// two columns in, and what they mean six columns in.
fn sections(help: &str) -> Roff {
    let mut page = Roff::new();
    for line in help.lines() {
        if line.is_empty() {
            continue;
        } else if let Some(text) = line.strip_prefix("      ") {
            page.text([roman(text)]);
        } else if let Some(item) = line.strip_prefix("  ") {
            page.control("TP", []).text([bold(item)]);
        } else {
            page.control("SH", [line.trim_end_matches(':').to_uppercase().as_str()]);
        }
    }
    page
}

fn names(command: &Command) -> Vec<String> {
    command
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect()
}

/// A reader that has seen enough, such as head(1), is no failure.
fn print(text: &[u8]) -> Result<(), String> {
    match io::stdout().write_all(text) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {error}"))
        }
        _ => Ok(()),
    }
}
