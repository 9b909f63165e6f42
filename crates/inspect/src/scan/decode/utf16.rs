//! UTF-16 in either order, recognised by the zeros that plain signs have there.

use super::super::place::{Map, Scale};
use super::Decoded;

/// Zeros beside plain signs from which on bytes are taken for UTF-16.
const LEAST_SIGNS: usize = 6;

/// What bytes with zeros stand for, in each order that they speak for.
pub(crate) fn utf16(bytes: &[u8]) -> Vec<Decoded> {
    let mut evidence = [[0usize; 2]; 2]; // [parity of the zero][whether the sign stands before it]
    let plain = |byte: Option<&u8>| byte.is_some_and(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t'));
    for at in memchr::memchr_iter(0, bytes) {
        let before = at.checked_sub(1).is_some_and(|before| plain(bytes.get(before)));
        let after = plain(bytes.get(at + 1));
        if let Some(seen) = evidence.get_mut(at % 2) {
            seen[0] += usize::from(after);
            seen[1] += usize::from(before);
        }
    }
    let [[even_after, even_before], [odd_after, odd_before]] = evidence;
    // Little: the sign stands before its zero.
    let candidates = [(odd_before, 0, true), (even_before, 1, true), (even_after, 0, false), (odd_after, 1, false)];
    let read = |(_, parity, little): (usize, usize, bool)| decode(bytes, parity, little);
    candidates.into_iter().filter(|(seen, ..)| *seen >= LEAST_SIGNS).map(read).collect()
}

fn decode(bytes: &[u8], parity: usize, little: bool) -> Decoded {
    let units = bytes.get(parity..).unwrap_or_default().chunks_exact(2).map(|pair| match *pair {
        [low, high] if little => u16::from_le_bytes([low, high]),
        [high, low] => u16::from_be_bytes([high, low]),
        _ => 0,
    });
    let (mut text, mut map, mut at) = (Vec::new(), Map::default(), parity);
    for character in char::decode_utf16(units) {
        let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
        let before = character.len_utf16() * 2;
        let mut encoded = [0; 4];
        let encoded = character.encode_utf8(&mut encoded).as_bytes();
        map.push(text.len(), at, Scale::Ratio { before, after: encoded.len() });
        text.extend_from_slice(encoded);
        at += before;
    }
    Decoded { name: "utf-16", bytes: text, map }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders_are_read_at_both_parities() {
        let text = "card 4111 1111 中文 x";
        for little in [true, false] {
            for parity in [0, 1] {
                let mut bytes = vec![b'!'; parity];
                bytes.extend(
                    text.encode_utf16().flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }),
                );
                let found = utf16(&bytes);
                let hit = found.iter().find(|decoded| String::from_utf8_lossy(&decoded.bytes).contains(text)).unwrap();
                let place = String::from_utf8_lossy(&hit.bytes).find("4111").unwrap();
                assert_eq!(hit.map.before(&(place..place + 4)), parity + 10..parity + 18);
            }
        }
        assert!(utf16(b"plain text without zeros").is_empty());
    }
}
