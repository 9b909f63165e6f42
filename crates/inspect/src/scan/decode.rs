//! Decoding: what bytes stand for, bounded, with the way back to their places.

pub(crate) mod base64;
pub(crate) mod compressed;
pub(crate) mod escapes;
pub(crate) mod fold;
pub(crate) mod utf16;

use super::place::Map;

/// Bytes that others stand for.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// The encoding, for people.
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) map: Map,
}

/// Whether bytes hold text of some length, or begin as something that can be decoded further: what is neither came
/// of something that was never encoded.
pub(crate) fn is_plausible(bytes: &[u8]) -> bool {
    compressed::has_magic(bytes) || longest_text(bytes) >= LEAST_TEXT
}

/// Shortest stretch of text for which a decoding is believed.
const LEAST_TEXT: usize = 9;

/// The length of the longest stretch of printable text, in bytes; wide characters of two bytes count too.
fn longest_text(bytes: &[u8]) -> usize {
    let (mut longest, mut current, mut zeros) = (0, 0usize, 0usize);
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let step = match byte {
            b' '..=b'~' | b'\t' | b'\n' | b'\r' => 1,
            0xe3..=0xe9 | 0xef
                if bytes.get(at + 1..at + 3).is_some_and(|rest| rest.iter().all(|byte| byte & 0xc0 == 0x80)) =>
            {
                3
            }
            _ => 0,
        };
        if step == 0 {
            // A zero between printable signs: UTF-16.
            zeros = if *byte == 0 && current > 0 { zeros + 1 } else { 0 };
            if zeros >= 6 {
                return LEAST_TEXT;
            }
            current = 0;
            at += 1;
        } else {
            if current > 0 {
                zeros = 0;
            }
            current += step;
            longest = longest.max(current);
            if longest >= LEAST_TEXT {
                return longest;
            }
            at += step;
        }
    }
    longest
}
