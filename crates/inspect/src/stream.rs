//! Captured standard streams: withheld, unless the profile releases them and they are fit for it.

use std::collections::HashSet;

use hotcell_types::{Bits, ByteSize, StreamRecord};

use crate::scan::Scanner;
use crate::{Finding, FindingKind, Neutralizer, sensitive};

/// What the profile says about a captured stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StreamRule {
    /// It does not leave.
    #[default]
    Withhold,
    /// It leaves if it is text, short enough, and holds no value of the inputs.
    Release {
        /// Most bytes.
        max_bytes: u64,
    },
}

/// What became of a captured stream.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamVerdict {
    /// What the receipt says: `released` or `withheld`.
    pub record: StreamRecord,
    /// The text that leaves, with control sequences neutralised; none when it is withheld.
    pub text: Option<String>,
    /// The most that it can carry: nothing when it is withheld.
    pub capacity: Bits,
    /// What was found, also in a stream that is withheld anyway.
    pub findings: Vec<Finding>,
}

/// Values of the inputs (lines or cells) that must not leave verbatim.
///
/// # Security
/// This is an exact comparison of whole lines and of the words between separators. A workload that changes a value in
/// any way (encodes, cuts, spaces it) is not caught by it: that is what withholding is for.
#[derive(Debug, Default)]
pub struct SensitiveValues(HashSet<Box<str>>);

/// Shorter values are too common to mean anything.
const MIN_VALUE_CHARS: usize = 6;
/// Most values that are held: a million, about 100 MB.
const MAX_VALUES: usize = 1_000_000;

impl SensitiveValues {
    /// No value yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value: a whole line, or a cell. False when it is too short to count or there are too many already.
    pub fn add(&mut self, value: &str) -> bool {
        let value = value.trim();
        if value.chars().nth(MIN_VALUE_CHARS - 1).is_none() || self.0.len() >= MAX_VALUES {
            return false;
        }
        self.0.insert(value.into());
        true
    }

    /// How many lines of a text are a value, or have one among their words.
    fn lines_held_by(&self, text: &str) -> u64 {
        let separators = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '|' | '"' | '\'' | '=' | ':');
        let is_held =
            |line: &&str| self.0.contains(line.trim()) || line.split(separators).any(|word| self.0.contains(word));
        if self.0.is_empty() { 0 } else { text.lines().filter(is_held).count() as u64 }
    }
}

/// Judges a captured stream.
///
/// A stream that would be released is held against the detectors of `scanner`, where there is one.
///
/// `written` is the number of bytes that the workload wrote, which is more than were captured when the capture was cut.
pub fn inspect_stream(
    name: &str,
    captured: &[u8],
    written: u64,
    rule: StreamRule,
    sensitive: &SensitiveValues,
    scanner: Option<&Scanner>,
) -> StreamVerdict {
    let mut findings = Vec::new();
    let held = sensitive.lines_held_by(&String::from_utf8_lossy(captured));
    if held > 0 {
        let lines = format!("in {held} line{}", if held == 1 { "" } else { "s" });
        findings.push(Finding::of_file(FindingKind::StreamHoldsInput, name).with_detail(lines));
    }
    let text = match rule {
        StreamRule::Withhold => None,
        StreamRule::Release { max_bytes } => {
            if written.max(captured.len() as u64) > max_bytes {
                let limit = format!("at most {}", ByteSize(max_bytes));
                findings.push(Finding::of_file(FindingKind::StreamTooLong, name).with_detail(limit));
            } else if std::str::from_utf8(captured).is_err() {
                findings.push(Finding::of_file(FindingKind::StreamNotUtf8, name));
            }
            if let Some(scanner) = scanner {
                findings.extend(sensitive::reasons(name, &scanner.scan(captured)));
            }
            if findings.is_empty() { neutralized(captured) } else { None }
        }
    };
    let released = text.is_some();
    let capacity = match (&text, rule) {
        (Some(_), StreamRule::Release { max_bytes }) => {
            Bits(8.0 * captured.len() as f64 + (max_bytes as f64 + 1.0).log2())
        }
        _ => Bits(0.0),
    };
    StreamVerdict {
        record: StreamRecord {
            name: name.to_owned(),
            bytes: written.max(captured.len() as u64),
            disposition: if released { "released" } else { "withheld" }.to_owned(),
        },
        text,
        capacity,
        findings,
    }
}

fn neutralized(captured: &[u8]) -> Option<String> {
    let (mut neutralizer, mut text) = (Neutralizer::new(), Vec::new());
    neutralizer.push(captured, &mut text);
    neutralizer.finish(&mut text);
    String::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sensitive() -> SensitiveValues {
        let mut values = SensitiveValues::new();
        assert!(values.add("P842302"));
        assert!(values.add("P842302,M,17.99,10.38"));
        assert!(!values.add("17.99"));
        values
    }

    #[test]
    fn a_stream_is_withheld_unless_it_is_fit_for_release() {
        let release = StreamRule::Release { max_bytes: 100 };
        for (captured, written, rule, codes) in [
            (&b"done\n"[..], 5, StreamRule::Withhold, &[][..]),
            (b"P842302,M,17.99,10.38\n", 23, StreamRule::Withhold, &["INS-303"]),
            (b"id=P842302\n", 11, release, &["INS-303"]),
            (b"\"P842302\"; x", 12, release, &["INS-303"]),
            (b"\xff", 1, release, &["INS-301"]),
            (b"cut", 101, release, &["INS-302"]),
            (&[b'x'; 101], 101, release, &["INS-302"]),
        ] {
            let verdict = inspect_stream("stdout", captured, written, rule, &sensitive(), None);
            let found: Vec<_> = verdict.findings.iter().map(|finding| finding.kind.code()).collect();
            assert_eq!(found, codes, "{captured:?}");
            assert_eq!((verdict.text, verdict.capacity), (None, Bits(0.0)), "{captured:?}");
            assert_eq!(verdict.record.disposition, "withheld");
            assert_eq!(verdict.record.bytes, written);
            assert!(verdict.findings.iter().all(|finding| !finding.to_string().contains("842302")));
        }
    }

    #[test]
    fn a_released_stream_is_neutralised_and_counted() {
        let rule = StreamRule::Release { max_bytes: 1023 };
        let verdict = inspect_stream("stderr", b"ok\x1b[2J 17.99\n", 12, rule, &sensitive(), None);
        assert_eq!(verdict.text.as_deref(), Some("ok␛[2J 17.99\n"));
        assert_eq!(verdict.capacity, Bits(8.0 * 13.0 + 10.0));
        assert_eq!(verdict.record.disposition, "released");
        assert!(verdict.findings.is_empty());
    }
}
