//! Half-open intervals of numbers: ports, addresses.

use std::fmt;
use std::str::FromStr;

/// The numbers from `start` up to and without `end`: `0x60..0x65` are five ports. Never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interval {
    start: u64,
    end: u64,
}

impl Interval {
    /// None where it would hold nothing.
    pub fn new(start: u64, end: u64) -> Option<Self> {
        (start < end).then_some(Self { start, end })
    }

    /// The first number in it.
    pub fn start(self) -> u64 {
        self.start
    }

    /// The first number behind it.
    pub fn end(self) -> u64 {
        self.end
    }

    /// Whether `count` numbers from `at` on lie in it, all of them. No number lies nowhere.
    pub fn contains(self, at: u64, count: u64) -> bool {
        count > 0 && at >= self.start && at.checked_add(count).is_some_and(|end| end <= self.end)
    }

    /// Whether they have a number in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}

impl FromStr for Interval {
    type Err = String;

    /// `START..END`, each decimal or hexadecimal with `0x`.
    fn from_str(text: &str) -> Result<Self, String> {
        let shown = crate::limit::brief(text);
        let number = |text: &str| match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+')),
            None => text.parse().ok().filter(|_| !text.starts_with('+')),
        };
        let (start, end) = text.split_once("..").ok_or_else(|| format!("`{shown}` is not of the form START..END"))?;
        let ends = number(start).zip(number(end));
        let (start, end) = ends.ok_or_else(|| format!("`{shown}`: START and END are numbers, as 96 or 0x60"))?;
        Self::new(start, end).ok_or_else(|| format!("`{shown}` holds nothing: END is the first number outside"))
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}..{:#x}", self.start, self.end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn interval(text: &str) -> Interval {
        text.parse().unwrap()
    }

    #[test]
    fn an_access_one_byte_outside_of_an_interval_is_not_in_it() {
        let ports = interval("0x60..0x65");
        for (at, count, inside) in [
            (0x60, 1, true),
            (0x64, 1, true),
            (0x60, 5, true),
            (0x61, 4, true),
            (0x5f, 1, false),
            (0x65, 1, false),
            (0x64, 2, false),
            (0x5f, 2, false),
            (0x60, 6, false),
            (0x60, 0, false),
            (u64::MAX, 1, false),
            (0x60, u64::MAX, false),
        ] {
            assert_eq!(ports.contains(at, count), inside, "{at:#x} {count}");
        }
        assert!(interval("0..0xffffffffffffffff").contains(u64::MAX - 1, 1));
        assert!(!interval("0..0xffffffffffffffff").contains(u64::MAX, 1));
    }

    #[test]
    fn neighbours_do_not_overlap() {
        let ports = interval("96..101");
        for (other, overlaps) in
            [("101..102", false), ("95..96", false), ("100..101", true), ("0..97", true), ("97..98", true)]
        {
            assert_eq!(ports.overlaps(interval(other)), overlaps, "{other}");
            assert_eq!(interval(other).overlaps(ports), overlaps, "{other}");
        }
    }

    #[test]
    fn what_holds_nothing_or_is_no_number_is_no_interval() {
        for text in [
            "",
            "..",
            "1",
            "1..",
            "..2",
            "5..5",
            "6..5",
            "-1..5",
            "+1..5",
            "0x..5",
            "0x+1..5",
            "1...5",
            "1..2..3",
            "1..18446744073709551616",
            "a..b",
            "1 .. 2",
        ] {
            assert!(text.parse::<Interval>().is_err(), "{text}");
        }
        assert_eq!(interval("0x60..0x65").to_string(), "0x60..0x65");
    }

    proptest! {
        #[test]
        fn an_interval_is_the_set_of_its_numbers(start in 0u64..50, length in 1u64..20, at in 0u64..80, count in 1u64..20) {
            let interval = Interval::new(start, start + length).unwrap();
            let all = (at..at + count).all(|number| (start..start + length).contains(&number));
            let any = (at..at + count).any(|number| (start..start + length).contains(&number));
            prop_assert_eq!(interval.contains(at, count), all);
            prop_assert_eq!(interval.overlaps(Interval::new(at, at + count).unwrap()), any);
        }
    }
}
