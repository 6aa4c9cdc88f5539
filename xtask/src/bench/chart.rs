//! Ratios as bars (SVG 1.1).

use std::fmt::Write;

use super::stats::{Metric, Series};

/// The report's drawings: file name and content.
pub(crate) fn all(series: &[Series]) -> Vec<(&'static str, String)> {
    let of = |title: &str, starts: &[&str]| {
        let chosen = series
            .iter()
            .filter(|one| starts.iter().any(|start| one.name.starts_with(start)));
        drawing(title, &chosen.collect::<Vec<_>>())
    };
    vec![
        (
            "echo-tcp.svg",
            of("Echo over TCP: server CPU per request", &["echo-tcp"]),
        ),
        (
            "echo-unix.svg",
            of(
                "Echo over unix sockets: server CPU per request",
                &["echo-unix"],
            ),
        ),
        (
            "bulk.svg",
            of(
                "Bulk: server CPU per gigabyte; accept: per connection",
                &["sink", "pump", "accept"],
            ),
        ),
        (
            "tls.svg",
            of(
                "TLS: server CPU per handshake, gigabyte, request; memory of an idle connection",
                &["tls-"],
            ),
        ),
        (
            "rest.svg",
            of(
                "Memory of an idle connection; timers, buffers, wakes: time",
                &["idle", "timers", "buffers", "wakes"],
            ),
        ),
    ]
}

const LABELS: f64 = 250.0;
const BARS: f64 = 480.0;
const ROW: f64 = 15.0;
const TOP: f64 = 46.0;
/// Ratios beyond this are cut off; the figure beside the bar tells.
const WIDEST: f64 = 4.0;

fn drawing(title: &str, series: &[&Series]) -> String {
    let mut body = String::new();
    let mut y = TOP;
    for one in series {
        let _ = writeln!(
            body,
            r#"<text x="8" y="{:.0}" font-weight="bold">{} (to {})</text>"#,
            y + 11.0,
            one.name,
            one.reference
        );
        y += ROW;
        for (peer, _) in &one.peers {
            if *peer == one.reference {
                continue;
            }
            let Some(ratio) = one.ratios(peer, one.reference, Metric::Cost) else {
                continue;
            };
            let again = Some(*peer) == one.again;
            let name = if again { "itself again (A/A)" } else { peer };
            bar(&mut body, y, name, ratio.median, colour(peer, again));
            y += ROW;
        }
        y += ROW / 2.0;
    }
    let one = LABELS + BARS / WIDEST;
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0}" height="{height:.0}" font-family="sans-serif" font-size="11">
<rect width="100%" height="100%" fill="white"/>
<text x="8" y="18" font-size="14">{title}</text>
<text x="8" y="34">Ratio to the reference in the same run; less is better; bars end at {WIDEST}.</text>
<line x1="{one:.1}" y1="{TOP}" x2="{one:.1}" y2="{y:.0}" stroke="#444" stroke-dasharray="3 3"/>
{body}</svg>
"##,
        width = LABELS + BARS + 60.0,
        height = y + 8.0,
    )
}

fn bar(body: &mut String, y: f64, name: &str, ratio: f64, colour: &str) {
    let length = ratio.min(WIDEST) / WIDEST * BARS;
    let base = y + 11.0;
    let _ = writeln!(
        body,
        r#"<text x="{:.0}" y="{base:.0}" text-anchor="end">{name}</text><rect x="{LABELS}" y="{:.0}" width="{length:.1}" height="11" fill="{colour}"/><text x="{:.1}" y="{base:.0}">{ratio:.2}</text>"#,
        LABELS - 6.0,
        y + 1.0,
        LABELS + length + 4.0,
    );
}

fn colour(peer: &str, again: bool) -> &'static str {
    if again {
        "#cccccc"
    } else if peer.starts_with("ferrevent") {
        "#c0392b"
    } else {
        "#7f9db9"
    }
}
