//! The values in bytes of any format: what stands between the signs by which formats part them.

use super::KEY_BYTES;
use super::stretch::{keyed, u64_of};

/// A keyed hash of values; of either case, and of numbers whatever zeros they end in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ValueHash {
    start: u64,
    factor: u64,
}

/// Longer values are no fields: [`super::stretch`] knows them.
const MAX_VALUE_BYTES: usize = 128;
/// Shorter ones have no rarity.
const LEAST_VALUE_BYTES: usize = 2;
/// Sets the bit by which letters of either case differ.
const CASE: u64 = 0x2020_2020_2020_2020;

impl ValueHash {
    pub(crate) fn of(key: &[u8; KEY_BYTES]) -> Self {
        let digest = keyed(key, b"value", &[]);
        Self { start: u64_of(&digest), factor: u64_of(digest.get(8..).unwrap_or_default()) | 1 }
    }

    /// The hash of one value that is trimmed.
    fn of_value(self, value: &[u8]) -> u64 {
        let value = canonical(value);
        let fold = |hash: u64, word: u64| {
            let product = u128::from(hash ^ (word | CASE)) * u128::from(self.factor);
            product as u64 ^ (product >> 64) as u64
        };
        let (words, rest) = value.as_chunks::<8>();
        let hash =
            words.iter().fold(self.start ^ value.len() as u64, |hash, word| fold(hash, u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        let hash = fold(hash, u64::from_le_bytes(last));
        hash.wrapping_mul(self.factor) ^ hash >> 32
    }

    /// Gives `take` the hash and the place of every value in the bytes, and of every word in those with spaces.
    pub(crate) fn each(self, bytes: &[u8], mut take: impl FnMut(u64, usize, usize)) {
        let mut start = 0;
        let mut spaces = 0;
        for (at, byte) in bytes.iter().chain(b"\n").enumerate() {
            match PARTS[usize::from(*byte)] {
                ORDINARY => {}
                SPACE => spaces += 1,
                _ => {
                    if at - start >= LEAST_VALUE_BYTES {
                        self.between(bytes, start, at, spaces, &mut take);
                    }
                    (start, spaces) = (at + 1, 0);
                }
            }
        }
    }

    fn between(self, bytes: &[u8], start: usize, end: usize, spaces: usize, take: &mut impl FnMut(u64, usize, usize)) {
        let mut give = |from: usize, to: usize| {
            let value = bytes.get(from..to).unwrap_or_default();
            if (LEAST_VALUE_BYTES..=MAX_VALUE_BYTES).contains(&value.len()) {
                take(self.of_value(value), from, to);
            }
        };
        if spaces == 0 {
            return give(start, end);
        }
        let text = bytes.get(start..end).unwrap_or_default();
        let from = start + text.iter().take_while(|byte| **byte == b' ').count();
        let to = end - text.iter().rev().take_while(|byte| **byte == b' ').count();
        if from >= to {
            return;
        }
        give(from, to);
        let text = bytes.get(from..to).unwrap_or_default();
        let Some(last) = memchr::memrchr(b' ', text) else { return };
        // `name=Jane Doe age=7`: what stands before the last word is a value too.
        if memchr::memchr(b' ', text) != Some(last) {
            let before = text.get(..last).unwrap_or_default().trim_ascii_end();
            give(from, from + before.len());
        }
        let mut at = from;
        for word in text.split(|byte| *byte == b' ') {
            give(at, at + word.len());
            at += word.len() + 1;
        }
    }

    /// The value of a cell as [`ValueHash::each`] meets it wherever it is written, and the bits that its signs allow.
    ///
    /// A cell with parting signs in it is met in parts: the longest stands for it.
    pub(crate) fn of_cell(self, cell: &[u8]) -> Option<(u64, u8)> {
        let parts = cell.split(|byte| PARTS[usize::from(*byte)] == PARTING).map(<[u8]>::trim_ascii);
        let longest = parts.max_by_key(|part| part.len())?;
        let fits = (LEAST_VALUE_BYTES..=MAX_VALUE_BYTES).contains(&longest.len());
        fits.then(|| (self.of_value(longest), bits_of_signs(longest)))
    }
}

const ORDINARY: u8 = 0;
const SPACE: u8 = 1;
const PARTING: u8 = 2;

/// What parts values in CSV, TSV, JSON, SQL and lines of `key=value`.
const PARTS: [u8; 256] = {
    let mut parts = [ORDINARY; 256];
    let signs = b",\t\n\r;|\"'`:=(){}[]<>&\\\0";
    let mut at = 0;
    while at < signs.len() {
        parts[signs[at] as usize] = PARTING;
        at += 1;
    }
    parts[b' ' as usize] = SPACE;
    parts
};

/// Numbers without the zeros at their ends that change nothing.
fn canonical(value: &[u8]) -> &[u8] {
    let value = value.strip_prefix(b"+").unwrap_or(value);
    if value.last() != Some(&b'0') || !value.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-')) {
        return value;
    }
    match memchr::memchr(b'.', value) {
        None => value,
        Some(_) => {
            let zeros = value.iter().rev().take_while(|byte| **byte == b'0').count();
            let value = value.get(..value.len() - zeros).unwrap_or(value);
            value.strip_suffix(b".").unwrap_or(value)
        }
    }
}

/// The most that a value of these signs can say, in bits.
fn bits_of_signs(value: &[u8]) -> u8 {
    let value = canonical(value);
    let leading = value.iter().take_while(|byte| matches!(byte, b'0' | b'.' | b'-')).count();
    let bits: f32 = value
        .iter()
        .skip(leading)
        .map(|byte| match byte {
            b'0'..=b'9' => 3.3,
            b'a'..=b'z' | b'A'..=b'Z' | 0x80.. => 2.0,
            _ => 0.0,
        })
        .sum();
    bits.min(60.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<u64> {
        let mut seen = Vec::new();
        ValueHash::of(&[7; 32]).each(text.as_bytes(), |hash, _, _| seen.push(hash));
        seen
    }

    fn cell(text: &str) -> u64 {
        ValueHash::of(&[7; 32]).of_cell(text.as_bytes()).unwrap().0
    }

    #[test]
    fn a_cell_is_met_in_every_format() {
        for (value, text) in [
            ("Jane Doe", "a,Jane Doe,7"),
            ("Jane Doe", r#"{"name": "Jane Doe", "age": 7}"#),
            ("Jane Doe", "INSERT INTO t VALUES ('Jane Doe', 7)"),
            ("Jane Doe", "name=Jane Doe age=7"),
            ("Jane Doe", "a\tJane Doe\tb"),
            ("17.990", "x,17.99"),
            ("17.99", "radius=17.9900 next"),
            ("P842302", "the row of p842302 is"),
            ("1987-03-14 10:11", "1987-03-14 10:11,"),
        ] {
            assert!(values(text).contains(&cell(value)), "{value} in {text}");
        }
        assert_ne!(cell("Jane Doe"), cell("Jane Roe"));
        assert_ne!(cell("100"), cell("10"));
    }

    #[test]
    fn signs_bound_what_a_value_can_say() {
        for (value, least, most) in
            [("0.12", 6, 6), ("17.99", 13, 13), ("no", 4, 4), ("0.00", 0, 0), ("Jane Doe", 14, 14)]
        {
            let bits = bits_of_signs(value.as_bytes());
            assert!((least..=most).contains(&bits), "{value}: {bits}");
        }
    }
}
