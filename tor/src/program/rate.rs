//! Rates and amounts, as they are written on a command line.

use std::str::FromStr;

use ferrevent::limit::RateLimit;

/// Bytes, or bytes a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) u64);

const UNITS: [(&str, f64); 12] = [
    ("", 1.0),
    ("b", 1.0),
    ("kb", 1e3),
    ("mb", 1e6),
    ("gb", 1e9),
    ("kib", 1024.0),
    ("mib", 1024.0 * 1024.0),
    ("gib", 1024.0 * 1024.0 * 1024.0),
    ("bit", 0.125),
    ("kbit", 125.0),
    ("mbit", 125e3),
    ("gbit", 125e6),
];

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let amount = text.strip_suffix("/s").unwrap_or(text).trim();
        let end = amount
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(amount.len());
        let (number, unit) = amount.split_at(end);
        let unit = unit.trim().to_ascii_lowercase();
        let one = UNITS.iter().find(|(name, _)| *name == unit);
        let number: Option<f64> = number.parse().ok();
        match (number, one) {
            (Some(number), Some((_, one))) if number * one < 1e15 => {
                Ok(Self((number * one) as u64))
            }
            _ => Err(format!(
                "\"{text}\" is no amount: a number and B, kB, MB, GB (thousands), KiB, MiB, GiB \
                 (1024s), bit, kbit, Mbit or Gbit"
            )),
        }
    }
}

pub(super) fn limit(rate: Bytes, burst: Option<Bytes>) -> anyhow::Result<RateLimit> {
    let limit = RateLimit::new(rate.0)?;
    Ok(match burst {
        Some(burst) => limit.with_burst(burst.0)?,
        None => limit,
    })
}

#[cfg(test)]
mod tests {
    use super::Bytes;

    #[test]
    fn amounts_are_read() {
        let read = |text: &str| text.parse().map(|Bytes(bytes)| bytes);
        assert_eq!(read("500KB/s"), Ok(500_000));
        assert_eq!(read("1MB"), Ok(1_000_000));
        assert_eq!(read("1.5 MiB/s"), Ok(1_572_864));
        assert_eq!(read("4Mbit"), Ok(500_000));
        assert_eq!(read("17"), Ok(17));
        for wrong in ["", "MB", "1 furlong", "-1", "1e30 GB", "99999999GB"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
