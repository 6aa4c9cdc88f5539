//! Memory over time (SVG 1.1).

use std::fmt::Write;
use std::time::Duration;

use super::Record;

const LEFT: f64 = 60.0;
const TOP: f64 = 40.0;
const WIDTH: f64 = 700.0;
const HEIGHT: f64 = 240.0;
const COLOURS: [&str; 3] = ["#c0392b", "#2c6fbb", "#3a8f4d"];

/// A line for each program under test, and a dot at each of its rests.
pub(crate) fn drawing(record: &Record) -> String {
    let looks = || record.looks.iter().chain(&record.rests);
    let most = looks()
        .flat_map(|look| look.subjects.iter().map(|seen| seen.memory_kib))
        .max()
        .unwrap_or(1)
        .max(1);
    let scale = Scale {
        seconds: record.seconds.max(1.0),
        kib: most as f64 * 1.05,
    };
    let mut body = String::new();
    for (index, (name, colour)) in record.names.iter().zip(COLOURS).enumerate() {
        let points: String = record
            .looks
            .iter()
            .map(|look| scale.point(look.at, look.subjects[index].memory_kib))
            .map(|(x, y)| format!("{x:.1},{y:.1} "))
            .collect();
        let _ = writeln!(
            body,
            r#"<polyline points="{points}" fill="none" stroke="{colour}"/><text x="{:.0}" y="32" fill="{colour}">{name}</text>"#,
            LEFT + 120.0 * index as f64,
        );
        for rest in &record.rests {
            let (x, y) = scale.point(rest.at, rest.subjects[index].memory_kib);
            let _ = writeln!(
                body,
                r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{colour}"/>"#
            );
        }
    }
    let mib = (scale.kib / 1024.0 / 4.0).ceil().max(1.0);
    for step in 0..=4 {
        let kib = mib * f64::from(step) * 1024.0;
        let (_, y) = scale.point(Duration::ZERO, kib as u64);
        if y >= TOP - 1.0 {
            let _ = writeln!(
                body,
                r##"<line x1="{LEFT}" y1="{y:.1}" x2="{:.0}" y2="{y:.1}" stroke="#ddd"/><text x="{:.0}" y="{:.1}" text-anchor="end">{} MiB</text>"##,
                LEFT + WIDTH,
                LEFT - 4.0,
                y + 4.0,
                mib * f64::from(step),
            );
        }
    }
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{:.0}" height="{:.0}" font-family="sans-serif" font-size="11">
<rect width="100%" height="100%" fill="white"/>
<text x="8" y="16" font-size="14">Anonymous memory over {:.0} s; dots: at rest, with no connection open</text>
{body}</svg>
"#,
        LEFT + WIDTH + 20.0,
        TOP + HEIGHT + 20.0,
        record.seconds,
    )
}

struct Scale {
    seconds: f64,
    kib: f64,
}

impl Scale {
    fn point(&self, at: Duration, kib: u64) -> (f64, f64) {
        (
            LEFT + at.as_secs_f64() / self.seconds * WIDTH,
            TOP + HEIGHT - kib as f64 / self.kib * HEIGHT,
        )
    }
}
