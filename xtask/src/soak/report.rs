//! What is told of a run.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::judge::{self, Verdict, figure, median};
use super::stage::{STUCK, WAVE};
use super::{Record, chart, save};

/// Every verdict, and the figures behind them.
pub(crate) fn summary(record: &Record, verdicts: &[Verdict]) -> String {
    let mut text = format!("{}\n\n", headline(record, verdicts));
    text.push_str("| | wanted | seen | |\n|---|---|---|---|\n");
    for verdict in verdicts {
        let mark = match verdict.passed {
            Some(true) => "passed",
            Some(false) => "**failed**",
            None => "not judged",
        };
        let Verdict {
            what, wanted, seen, ..
        } = verdict;
        let _ = writeln!(text, "| {what} | {wanted} | {seen} | {mark} |");
    }
    text.push('\n');
    traffic(&mut text, record);
    cost(&mut text, record);
    text.push_str("\n## Memory\n\n");
    memory(&mut text, record);
    text
}

/// Writes the page of a run, its drawing, and the list of all pages.
pub(crate) fn write(
    root: &Path,
    args: &[String],
    record: &Record,
    verdicts: &[Verdict],
) -> Result<(), String> {
    let folder = root.join("docs/soak");
    let name = record.setting.name();
    let mut page = format!("# Soak: {}\n\n", title(record));
    page.push_str(&summary(record, verdicts));
    let _ = write!(page, "\n![Memory over time]({name}.svg)\n");
    let _ = write!(
        page,
        "\n## This run\n\n{}, Linux {}, commit {}, {} cores: `cargo xtask soak{}`, seed {}.\n",
        said(Command::new("date").args(["-u", "+%F %H:%M UTC"])),
        said(Command::new("uname").arg("-r")),
        said(
            Command::new("git")
                .args(["rev-parse", "--short", "HEAD"])
                .current_dir(root)
        ),
        std::thread::available_parallelism().map_or(0, usize::from),
        args.iter()
            .fold(String::new(), |text, arg| text + " " + arg),
        record.options.seed,
    );
    save(&folder.join(format!("{name}.md")), &page)?;
    save(&folder.join(format!("{name}.svg")), &chart::drawing(record))?;
    list(&folder)
}

fn title(record: &Record) -> String {
    match record.setting.workers {
        0 => format!("{}, a single loop", record.setting.backend),
        workers => format!("{}, a pool of {workers}", record.setting.backend),
    }
}

fn headline(record: &Record, verdicts: &[Verdict]) -> String {
    let failed = verdicts.iter().filter(|one| !one.is_passed()).count();
    let outcome = if failed == 0 {
        "All passed".to_owned()
    } else {
        format!("**{failed} failed**")
    };
    let total = |key| figure(&record.totals, key);
    format!(
        "{outcome} on {}: {:.1} minutes, {} connections, {:.1} GB checked, {} wrong bytes, {} stuck.",
        title(record),
        record.options.minutes,
        connections(record),
        gigabytes(total("up").saturating_add(total("down"))),
        total("wrong"),
        total("stuck"),
    )
}

fn connections(record: &Record) -> u64 {
    let total = |key| figure(&record.totals, key);
    ["left", "left_reset", "broken", "cut"]
        .iter()
        .fold(judge::completed(record), |sum, key| {
            sum.saturating_add(total(key))
        })
}

fn traffic(text: &mut String, record: &Record) {
    let total = |key| figure(&record.totals, key);
    let _ = writeln!(
        text,
        "Connections: {} chats, {} with long silences, {} echoed streams, {} uploads, {} downloads, \
         {} both ways at once, {} of tiny writes; {} left before their order was complete, {} of them \
         with a reset; {} broken off by the client, {} by the server. Of all of them {} went through a relay.\n",
        total("chat"),
        total("idle"),
        total("echo"),
        total("upload"),
        total("download"),
        total("duplex"),
        total("burst"),
        total("left") + total("left_reset"),
        total("left_reset"),
        total("broken"),
        total("cut"),
        total("relayed_clean") + total("relayed_client") + total("relayed_upstream"),
    );
    let _ = writeln!(
        text,
        "Load: at most {} open at once ({} wanted) in waves of {} s with a rest after each; {:.1} GB up, \
         {:.1} GB down, at most {} MB/s by order, {:.1} MB/s and {:.1} connections/s on the average; the \
         longest connection took {:.1} s; stuck is one on which nothing moves for {} s.\n",
        total("peak"),
        record.options.connections,
        WAVE.as_secs(),
        gigabytes(total("up")),
        gigabytes(total("down")),
        record.options.rate_mb,
        gigabytes(total("up") + total("down")) * 1000.0 / record.seconds,
        connections(record) as f64 / record.seconds,
        total("longest_ms") as f64 / 1000.0,
        STUCK.as_secs(),
    );
}

fn cost(text: &mut String, record: &Record) {
    let share = |cpu: f64| format!("{:.0} %", cpu / record.seconds * 100.0);
    let _ = write!(text, "CPU, of one core:");
    for (name, cpu) in record.names.iter().zip(&record.cpu) {
        let _ = write!(text, " {name} {},", share(*cpu));
    }
    let _ = writeln!(text, " the load {}.", share(record.load_cpu));
}

/// A row for each wave, and one for the time before.
fn memory(page: &mut String, record: &Record) {
    page.push_str(
        "Anonymous resident memory (`RssAnon` of proc_pid_status(5)) in KiB: the median under load, and \
         at the rest after it, when no connection is open. Descriptors in parentheses: the most under \
         load, and at rest.\n\n| until |",
    );
    for name in &record.names {
        let _ = write!(page, " {name}, under load | at rest |");
    }
    page.push_str("\n|---|");
    page.push_str(&"---:|---:|".repeat(record.names.len()));
    let _ = write!(page, "\n| 0 s |");
    for seen in &record.base.subjects {
        let _ = write!(page, " | {} ({}) |", seen.memory_kib, seen.descriptors);
    }
    page.push('\n');
    let mut begin = record.base.at;
    for rest in &record.rests {
        let _ = write!(page, "| {} s |", rest.at.as_secs());
        let wave = record
            .looks
            .iter()
            .filter(|look| look.at >= begin && look.at < begin + WAVE);
        for (subject, seen) in rest.subjects.iter().enumerate() {
            let under_load: Vec<_> = wave.clone().map(|look| look.subjects[subject]).collect();
            let kib: Vec<u64> = under_load.iter().map(|seen| seen.memory_kib).collect();
            let most = under_load
                .iter()
                .map(|seen| seen.descriptors)
                .max()
                .unwrap_or(0);
            let _ = write!(
                page,
                " {} ({most}) | {} ({}) |",
                median(&kib),
                seen.memory_kib,
                seen.descriptors
            );
        }
        page.push('\n');
        begin = rest.at;
    }
}

/// The page that names the others, each with its first line.
fn list(folder: &Path) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut pages: Vec<_> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".md") && name != "README.md")
        .collect();
    pages.sort();
    let mut text = String::from(ABOUT);
    for name in pages {
        let page =
            fs::read_to_string(folder.join(&name)).map_err(|error| format!("{name}: {error}"))?;
        let mut lines = page.lines().filter(|line| !line.is_empty());
        let title = lines
            .next()
            .unwrap_or_default()
            .trim_start_matches("# Soak: ");
        let _ = writeln!(
            text,
            "- [{title}]({name}). {}",
            lines.next().unwrap_or_default()
        );
    }
    save(&folder.join("README.md"), &text)
}

const ABOUT: &str = "\
# Soak

`cargo xtask soak` puts random traffic on a server and on two `ferrevent relay` in front of it, one over
TCP and one over unix sockets, each a process of its own. The load knows nothing of Ferrevent: it is
blocking sockets and threads. Every byte follows from its place in its stream, so one that is lost,
doubled, changed or out of place is found, by the client on the way down and by the server on the way up.
Clients and server send, read and rest at random paces, end their sides in any order, reset, or leave;
each connection is judged by how it should have ended, and so are the server's own record and the relays'
logs. Memory and descriptors are watched from outside, under load and at the rests between its waves,
when no connection is open.

Memory under load goes up and down with the bytes in flight; what tells a leak is what is held at the
rests. That is to be flat after the first minute, within 1 % of what is held under load. The watched
programs run with one arena and without the thread caches of glibc's malloc, `GLIBC_TUNABLES=\
glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1`: these keep freed pieces of every size wherever they
lie, and each keeps its page, so that with them the memory at rest creeps up by some pages a minute for a
while, and differs from rest to rest by some hundred KiB on a pool. It is the allocator's, not the
programs': without them it stays the same to the page.

Everything about a connection follows from the seed. One that fails is named `SLOT:NUMBER`;
`cargo xtask soak --seed N --only SLOT:NUMBER` does it alone.

";

fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}

/// What a command prints; a question mark if it cannot be asked.
fn said(command: &mut Command) -> String {
    command
        .output()
        .ok()
        .filter(|output| output.status.success())
        .map_or("?".into(), |output| {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        })
}
