//! `--check`: whether a relay would start and work, and what it would do.
//! Nothing is relayed, and nothing is left behind.

mod address;
mod report;
mod tls;

use std::process::ExitCode;
use std::thread;

use ferrevent::compress::Compression;

use super::limits;
use super::listen::Listen;
use super::options::Options;
use super::service::Service;
use crate::log;
use report::Report;

/// Looks at everything, and tells it on standard output.
pub(super) fn run(options: &Options) -> ExitCode {
    let mut report = Report::default();
    match options.agree() {
        Ok(()) => {
            let listening = address::listen(options, &mut report);
            let tls = tls::files(options, &mut report);
            let upstream = address::connect(options, &mut report);
            address::loops(&listening, &upstream.addresses, &mut report);
            if let Some(tls) = tls.filter(|_| upstream.answers) {
                tls::connect(options, &tls, &mut report);
            }
        }
        Err(problem) => report.problem("options", problem),
    }
    files(options, &mut report);
    log_file(options, &mut report);
    backend(options, &mut report);
    workers(options, &mut report);
    service(&mut report);
    compression(options, &mut report);
    explain(options, &mut report);
    report.outcome()
}

fn files(options: &Options, report: &mut Report) {
    let Some(cap) = options.capacity.max_connections else {
        let text = match limits::fitting() {
            Some(most) => format!(
                "no --max-connections: about {most} fit under the limit of open files, \
                 then no more are accepted until some end"
            ),
            None => "no --max-connections, and no limit of open files".into(),
        };
        report.ok("files", text);
        return;
    };
    match limits::provide(cap) {
        Ok(()) => report.ok(
            "files",
            format!(
                "{} open files suffice for {cap} connections, and are allowed",
                limits::needed(cap)
            ),
        ),
        Err(problem) => report.problem("files", problem),
    }
}

fn log_file(options: &Options, report: &mut Report) {
    let Some(path) = options.log.file() else {
        report.ok("log", "goes to standard error");
        return;
    };
    let was_there = path.exists();
    match log::open_file(path) {
        Ok(_) => {
            if !was_there {
                // Only made to see whether it can be.
                let _ = std::fs::remove_file(path);
            }
            report.ok("log", format!("{} can be written", path.display()));
        }
        Err(problem) => report.problem("log", problem),
    }
}

fn backend(options: &Options, report: &mut Report) {
    let builder = options.builder();
    let built = match options.capacity.workers {
        0 => builder.build().map(|events| events.backend_kind()),
        workers => builder
            .build_pool(workers.into())
            .map(|pool| pool.backend_kind()),
    };
    match built {
        Ok(kind) => report.ok("backend", format!("{kind} works")),
        Err(error) => report.problem(
            "backend",
            format!("{error}; choose another --backend, or leave it out"),
        ),
    }
}

fn workers(options: &Options, report: &mut Report) {
    let workers = usize::from(options.capacity.workers);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    if workers == 0 {
        report.ok("workers", "a single loop");
    } else if workers <= cores {
        report.ok("workers", format!("{workers} threads on {cores} cores"));
    } else {
        report.warning(
            "workers",
            format!(
                "{workers} threads on {cores} cores: more than there are cores gain nothing, \
                 try --workers {cores}"
            ),
        );
    }
}

fn service(report: &mut Report) {
    match Service::find() {
        Ok(service) if service.is_there() => {
            let watchdog = match service.watchdog() {
                Some(period) => format!(
                    ", with a sign of life every {}",
                    humantime::format_duration(period)
                ),
                None => String::new(),
            };
            report.ok(
                "service",
                format!("the service manager will be told of readiness{watchdog}"),
            );
        }
        Ok(_) => report.ok("service", "no service manager asks for readiness"),
        Err(problem) => report.problem("service", problem),
    }
}

/// Nothing can be tried: a peer says nothing before it has something to say.
fn compression(options: &Options, report: &mut Report) {
    if let Some(how) = options.compression.clients() {
        let format = how.format();
        report.ok(
            "listen",
            format!(
                "clients must compress by {format}, as a relay with --compress {format} does; \
                 what they get is compressed by {how}"
            ),
        );
    }
    if let Some(how) = options.compression.upstream() {
        let format = how.format();
        report.ok(
            "connect",
            format!(
                "what the upstream gets is compressed by {how}, and it must compress by {format}, \
                 as a relay with --listen-compress {format} does"
            ),
        );
    }
}

fn explain(options: &Options, report: &mut Report) {
    let from = match &options.listen {
        Listen::Systemd(_) => "the sockets that systemd passes".into(),
        Listen::Address(address) => address.to_string(),
    };
    let with = |tls: bool, compression: Option<Compression>| match (tls, compression) {
        (false, None) => String::new(),
        (true, None) => " with TLS".into(),
        (false, Some(how)) => format!(" with {how}"),
        (true, Some(how)) => format!(" with TLS and {how}"),
    };
    let mut text = format!(
        "would relay {from}{} to {}{}, {}",
        with(options.tls.listens(), options.compression.clients()),
        options.connect,
        with(options.tls.connects(), options.compression.upstream()),
        match options.capacity.max_connections {
            Some(cap) => format!("{cap} connections at a time; others would wait"),
            None => "as many connections at a time as descriptors allow".into(),
        }
    );
    text.push_str(&match options.times.idle_timeout {
        Some(time) => format!(
            "; idle ones would be closed after {}",
            humantime::format_duration(time)
        ),
        None => "; idle ones would stand for ever (see --idle-timeout)".into(),
    });
    report.explanation(text);
}
