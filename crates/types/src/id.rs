//! One type per kind of id.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An id that is not of the expected form.
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{text}` is not a {kind} id (expected `{prefix}-` and 16 characters of a-z and 2-7)")]
pub struct ParseIdError {
    text: String,
    kind: &'static str,
    prefix: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 10]);

        impl $name {
            /// The id of these 80 bits, which should be random.
            pub fn from_bytes(bytes: [u8; 10]) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "-{}"), encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                text.strip_prefix(concat!($prefix, "-")).and_then(decode).map(Self).ok_or_else(|| ParseIdError {
                    text: text.chars().take(64).collect(),
                    kind: $kind,
                    prefix: $prefix,
                })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// One task: `t-` and 16 characters of base 32.
    TaskId, "t", "task"
);
id!(
    /// One grant: `g-` and 16 characters of base 32.
    GrantId, "g", "grant"
);

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// RFC 4648 base 32 in lower case; 10 bytes are exactly 16 characters.
fn encode(bytes: &[u8; 10]) -> String {
    let bits = bytes.iter().fold(0u128, |bits, byte| (bits << 8) | u128::from(*byte));
    (0..16).rev().map(|place| char::from(ALPHABET[(bits >> (place * 5)) as usize & 31])).collect()
}

fn decode(text: &str) -> Option<[u8; 10]> {
    if text.len() != 16 {
        return None;
    }
    let mut bits = 0u128;
    for character in text.bytes() {
        let value = ALPHABET.iter().position(|letter| *letter == character)?;
        bits = (bits << 5) | value as u128;
    }
    bits.to_be_bytes()[6..].try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_written() {
        for seed in 0u8..=255 {
            let id = TaskId::from_bytes([seed, 1, 2, 3, 255, 0, seed, 9, 8, seed]);
            assert_eq!(id.to_string().parse::<TaskId>().unwrap(), id);
        }
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let grant = GrantId::from_bytes([7; 10]).to_string();
        let error = grant.parse::<TaskId>().unwrap_err().to_string();
        assert!(error.contains("is not a task id"), "{error}");
    }
}
