//! Sizes and times as people write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of bytes; written `512MiB`, `1GiB`, `64KiB`, `100MB` or a bare number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// A size or time that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}")]
pub struct ParseSizeError {
    text: String,
    what: &'static str,
}

const UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

impl ByteSize {
    /// The number of bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// A whole number of mebibytes.
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// Reads what [`Display`](fmt::Display) wrote, as far as its one decimal tells: `22.5 KiB`. As input a size is whole.
    pub fn from_shown(text: &str) -> Option<Self> {
        let (number, unit) = text.trim().split_once(' ')?;
        let (_, factor) = UNITS.iter().find(|(known, _)| *known == unit)?;
        let number: f64 = number.parse().ok().filter(|number| (0.0..=f64::from(u32::MAX)).contains(number))?;
        Some(Self((number * *factor as f64).round() as u64))
    }
}

impl FromStr for ByteSize {
    type Err = ParseSizeError;
    fn from_str(text: &str) -> Result<Self, ParseSizeError> {
        let wrong = || ParseSizeError { text: text.chars().take(64).collect(), what: "size such as 512MiB" };
        let (number, unit) = UNITS
            .iter()
            .find_map(|(unit, factor)| text.strip_suffix(unit).map(|number| (number, *factor)))
            .unwrap_or((text, 1));
        let number: u64 = number.trim_end().parse().map_err(|_| wrong())?;
        number.checked_mul(unit).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for ByteSize {
    /// The largest binary unit of which it is a whole number, or else one decimal: `512 MiB`, `22.5 KiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = UNITS[..4].iter().rev().find(|(_, factor)| self.0 >= *factor).copied().unwrap_or(("B", 1));
        if self.0.is_multiple_of(factor) {
            write!(f, "{} {unit}", self.0 / factor)
        } else {
            write!(f, "{:.1} {unit}", self.0 as f64 / factor as f64)
        }
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    /// A number of bytes or a text such as `512MiB`.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Number(u64),
            Text(String),
        }
        match Raw::deserialize(deserializer)? {
            Raw::Number(bytes) => Ok(Self(bytes)),
            Raw::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

/// Reads a time such as `500ms`, `60s`, `15m` or `2h`; a bare number is seconds.
///
/// # Errors
/// [`ParseSizeError`] when the text is none of these or too large.
pub fn parse_duration(text: &str) -> Result<Duration, ParseSizeError> {
    let wrong = || ParseSizeError { text: text.chars().take(64).collect(), what: "time such as 60s, 15m or 500ms" };
    let (number, millis) = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)]
        .into_iter()
        .find_map(|(unit, factor)| text.strip_suffix(unit).map(|number| (number, factor)))
        .unwrap_or((text, 1_000));
    let number: u64 = number.trim_end().parse().map_err(|_| wrong())?;
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_read_as_people_write_them() {
        for (text, bytes) in [("512MiB", 512 << 20), ("1GiB", 1 << 30), ("7", 7), ("10 kB", 10_000), ("0B", 0)] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5GiB", "99999999999TiB", "5 apples"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
        assert_eq!(parse_duration("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert!(parse_duration("soon").is_err());
        assert_eq!(ByteSize(512 << 20).to_string(), "512 MiB");
        assert_eq!(ByteSize(23_040).to_string(), "22.5 KiB");
        for (shown, bytes) in [("22.5 KiB", Some(23_040)), ("512 MiB", Some(512 << 20)), ("3 B", Some(3))] {
            assert_eq!(ByteSize::from_shown(shown).map(ByteSize::bytes), bytes, "{shown}");
        }
        for text in ["", "512MiB", "x KiB", "-1 KiB", "NaN B", "inf TiB", "1 apple"] {
            assert_eq!(ByteSize::from_shown(text), None, "{text}");
        }
    }
}
