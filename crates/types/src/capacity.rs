//! How much a released output can carry.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An upper bound on the information in something that leaves, in bits.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bits(pub f64);

impl std::ops::Add for Bits {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl std::iter::Sum for Bits {
    fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
        items.fold(Self::default(), |sum, item| sum + item)
    }
}

impl fmt::Display for Bits {
    /// Whole bits, rounded up: a bound is never shown smaller than it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} bits", self.0.ceil())
    }
}
