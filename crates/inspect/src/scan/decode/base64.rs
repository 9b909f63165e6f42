//! Base64 at any offset, base32 and hexadecimal.

use super::super::place::{Map, Scale};
use super::Decoded;

/// Whether what was decoded is something, and not the sense of signs that were never encoded.
type Belief<'a> = &'a dyn Fn(&[u8]) -> bool;

/// Bits of a sign of base64, in either alphabet; 255 for what is none.
const VALUES: [u8; 256] = {
    let mut values = [255; 256];
    let signs = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut at = 0;
    while at < 64 {
        values[signs[at] as usize] = at as u8;
        at += 1;
    }
    values[b'-' as usize] = 62;
    values[b'_' as usize] = 63;
    values
};

/// Bits of a sign of base32, of either case.
const VALUES_32: [u8; 256] = {
    let mut values = [255; 256];
    let signs = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut at = 0;
    while at < 32 {
        values[signs[at] as usize] = at as u8;
        values[signs[at].to_ascii_lowercase() as usize] = at as u8;
        at += 1;
    }
    values
};

/// Decodes signs of base64 without padding; what is no sign ends it.
pub(crate) fn decode(signs: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(signs.len() / 4 * 3 + 3);
    let mut groups = signs.chunks_exact(4);
    for group in &mut groups {
        let &[a, b, c, d] = group else { break };
        let [a, b, c, d] = [a, b, c, d].map(|sign| VALUES[usize::from(sign)]);
        if (a | b | c | d) & 0x80 != 0 {
            return bytes;
        }
        bytes.extend_from_slice(&[a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d]);
    }
    let rest: Vec<u8> = groups.remainder().iter().map(|sign| VALUES[usize::from(*sign)]).collect();
    match *rest.as_slice() {
        [a, b] if (a | b) & 0x80 == 0 => bytes.push(a << 2 | b >> 4),
        [a, b, c] if (a | b | c) & 0x80 == 0 => bytes.extend_from_slice(&[a << 2 | b >> 4, b << 4 | c >> 2]),
        _ => {}
    }
    bytes
}

/// What a run of signs of base64 can stand for, begun at each of its first four signs.
pub(crate) fn base64<'a>(signs: &'a [u8], from: usize, believed: Belief<'a>) -> impl Iterator<Item = Decoded> + 'a {
    (0..4).filter_map(move |offset| {
        let bytes = decode(signs.get(offset..)?);
        let mut map = Map::default();
        map.push(0, from + offset, Scale::Ratio { before: 4, after: 3 });
        believed(&bytes).then_some(Decoded { name: "base64", bytes, map })
    })
}

/// The same for base32.
pub(crate) fn base32<'a>(signs: &'a [u8], from: usize, believed: Belief<'a>) -> impl Iterator<Item = Decoded> + 'a {
    (0..8).filter_map(move |offset| {
        let mut bytes = Vec::with_capacity(signs.len());
        let (mut bits, mut count) = (0u32, 0);
        for sign in signs.get(offset..)? {
            let value = VALUES_32[usize::from(*sign)];
            if value == 255 {
                break;
            }
            bits = bits << 5 | u32::from(value);
            count += 5;
            if count >= 8 {
                count -= 8;
                bytes.push((bits >> count) as u8);
            }
        }
        let mut map = Map::default();
        map.push(0, from + offset, Scale::Ratio { before: 8, after: 5 });
        believed(&bytes).then_some(Decoded { name: "base32", bytes, map })
    })
}

/// The same for hexadecimal.
pub(crate) fn hex<'a>(signs: &'a [u8], from: usize, believed: Belief<'a>) -> impl Iterator<Item = Decoded> + 'a {
    (0..2).filter_map(move |offset| {
        let pairs = signs.get(offset..)?.chunks_exact(2);
        let bytes: Vec<u8> = pairs.map_while(pair_value).collect();
        let mut map = Map::default();
        map.push(0, from + offset, Scale::Ratio { before: 2, after: 1 });
        believed(&bytes).then_some(Decoded { name: "hex", bytes, map })
    })
}

/// The byte that two signs of hexadecimal stand for.
pub(crate) fn pair_value(pair: &[u8]) -> Option<u8> {
    let &[high, low] = pair else { return None };
    let value = |sign: u8| char::from(sign).to_digit(16);
    Some((value(high)? << 4 | value(low)?) as u8)
}

#[cfg(test)]
mod tests {
    use super::super::is_plausible;
    use super::*;

    #[test]
    fn text_is_found_at_any_offset_and_in_either_alphabet() {
        let plain = "the quick brown fox jumps over >>??";
        let encoded = "dGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyID4-Pz8";
        for before in ["", "A", "AB", "ABC"] {
            let signs = format!("{before}{encoded}");
            let found = base64(signs.as_bytes(), 0, &is_plausible)
                .any(|decoded| String::from_utf8_lossy(&decoded.bytes).contains(plain));
            assert!(found, "{before}");
        }
        assert_eq!(decode(b"Pj4/Pw"), b">>??");
        assert_eq!(decode(b"!!!!"), b"");
        assert!(base64(b"ThisIsAnIdentifierOfAProgram", 0, &is_plausible).next().is_none());
    }

    #[test]
    fn base32_and_hexadecimal_are_read() {
        let found = base32(b"JBSWY3DPEBLW64TMMQQQ", 3, &is_plausible).next().unwrap();
        assert_eq!(found.bytes, b"Hello World!");
        assert_eq!(found.map.before(&(0..5)), 3..11);
        let found = hex(b"48656c6c6f20576f726c6421", 0, &is_plausible).next().unwrap();
        assert_eq!(found.bytes, b"Hello World!");
        assert_eq!(found.map.before(&(6..12)), 12..24);
    }
}
