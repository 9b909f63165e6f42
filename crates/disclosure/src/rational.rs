//! Positive fractions of whole numbers, written `3/2`, `0.25` or `7`.

use std::fmt;
use std::str::FromStr;

/// A positive fraction in lowest terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rational {
    numerator: u64,
    denominator: u64,
}

impl Rational {
    /// The largest numerator and denominator: small enough that no sampler leaves 128 bits.
    pub const MOST: u64 = 1 << 24;

    /// The fraction, where both parts are from 1 to [`Rational::MOST`] in lowest terms.
    pub fn new(numerator: u64, denominator: u64) -> Option<Self> {
        if numerator == 0 || denominator == 0 {
            return None;
        }
        let common = common_divisor(numerator, denominator);
        let (numerator, denominator) = (numerator / common, denominator / common);
        (numerator <= Self::MOST && denominator <= Self::MOST).then_some(Self { numerator, denominator })
    }

    pub(crate) fn whole(numerator: u64) -> Self {
        Self { numerator, denominator: 1 }
    }

    /// Above the line.
    pub fn numerator(self) -> u64 {
        self.numerator
    }

    /// Below the line.
    pub fn denominator(self) -> u64 {
        self.denominator
    }

    /// The product with a positive fraction of these parts.
    pub(crate) fn times(self, numerator: u64, denominator: u64) -> Option<Self> {
        Self::new(self.numerator.checked_mul(numerator)?, self.denominator.checked_mul(denominator)?)
    }
}

fn common_divisor(mut one: u64, mut other: u64) -> u64 {
    while other > 0 {
        (one, other) = (other, one % other);
    }
    one
}

impl FromStr for Rational {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("it is no positive number such as `3/2`, `0.25` or `7` with parts of at most {}", Self::MOST);
        let (numerator, denominator) = match (text.split_once('/'), text.split_once('.')) {
            (Some((above, below)), None) => (digits(above), digits(below)),
            (None, Some((whole, part))) if part.len() <= 9 => {
                (digits(&format!("{whole}{part}")), 10u64.checked_pow(u32::try_from(part.len()).unwrap_or(0)))
            }
            (None, None) => (digits(text), Some(1)),
            _ => (None, None),
        };
        numerator.zip(denominator).and_then(|(above, below)| Self::new(above, below)).ok_or_else(wrong)
    }
}

fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl fmt::Display for Rational {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.denominator {
            1 => write!(f, "{}", self.numerator),
            below => write!(f, "{}/{below}", self.numerator),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_read_exactly() {
        for (text, shown) in
            [("3/2", "3/2"), ("6/4", "3/2"), ("0.25", "1/4"), ("7", "7"), ("1.0", "1"), ("0.1", "1/10")]
        {
            assert_eq!(text.parse::<Rational>().unwrap().to_string(), shown, "{text}");
        }
        for text in
            ["", "0", "-1", "1/0", "1e3", "1/2/3", "0.0", "x", "1.2/3", "99999999999", "0.0000000001", "+1", " 1"]
        {
            assert!(text.parse::<Rational>().is_err(), "{text}");
        }
    }
}
